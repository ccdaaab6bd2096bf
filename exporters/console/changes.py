"""What changed, in a few words: `content 2908→2961 bytes, mode 0644→0666`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.record import AnyValue

_LABELS: Final = {
    names.FILE_TYPE: "type",
    names.FILE_SYMBOLIC_LINK_TARGET_PATH: "target",
    names.FILE_MODE: "mode",
    names.FILE_OWNER_NAME: "owner",
    names.FILE_OWNER_ID: "owner",
    names.FILE_GROUP_NAME: "group",
    names.FILE_GROUP_ID: "group",
    names.OTEL_FIM_FILE_NLINK: "links",
}
"""In the order in which they are shown; an id only where there is no name."""
_IDS: Final = {names.FILE_OWNER_ID: names.FILE_OWNER_NAME, names.FILE_GROUP_ID: names.FILE_GROUP_NAME}
_FOLLOWS_FROM_OTHERS: Final = (
    names.FILE_CHANGED,
    names.FILE_INODE,
    names.OTEL_FIM_FILE_DEVICE,
    names.OTEL_FIM_FILE_NOT_HASHED,
    names.FILE_HASH_SHA256,
    names.FILE_SIZE,
    names.FILE_MODIFIED,
)


def describe_changes(attributes: Mapping[str, AnyValue]) -> str:
    """The differences that the record tells of, empty when it tells of none."""
    listed = attributes.get(names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES)
    changed = [key for key in listed if isinstance(key, str)] if isinstance(listed, list | tuple) else []
    parts = _content(changed, attributes)
    for key, label in _LABELS.items():
        if key in changed and not (_IDS.get(key) in changed and _known(attributes, _IDS[key])):
            parts.append(label + _difference(attributes, key))
    parts += [
        escape(key) + _difference(attributes, key)
        for key in changed
        if key not in _LABELS and key not in _FOLLOWS_FROM_OTHERS
    ]
    if not parts and names.FILE_MODIFIED in changed:
        parts.append("modification time")
    if attributes.get(names.OTEL_FIM_FILE_REPLACED) is True:
        parts.append("replaced by another file")
    return ", ".join(parts)


def _content(changed: list[str], attributes: Mapping[str, AnyValue]) -> list[str]:
    sizes = _difference(attributes, names.FILE_SIZE) if names.FILE_SIZE in changed else ""
    if names.FILE_HASH_SHA256 in changed:
        return ["content" + (f"{sizes} bytes" if sizes else "")]
    return [f"size{sizes}"] if names.FILE_SIZE in changed else []


def _known(attributes: Mapping[str, AnyValue], key: str) -> bool:
    return attributes.get(key) is not None or attributes.get(names.before(key)) is not None


def _difference(attributes: Mapping[str, AnyValue], key: str) -> str:
    before, now = attributes.get(names.before(key)), attributes.get(key)
    if before is None and now is None:
        return ""
    return f" {_value(before)}→{_value(now)}"


def _value(value: AnyValue) -> str:
    if value is None:
        return "none"
    return quoted(value) if isinstance(value, str) else quoted(str(value))
