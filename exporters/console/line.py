"""The line for people: `[ALERT] MODIFIED /etc/passwd @ 2026-01-13T14:32:15Z (MITRE T1136.001) by root …`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.changes import describe_changes
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.names import events
from otel_fim.record import AnyValue, Record, Severity

Paint = Callable[[str, int], str]
"""Puts colour around a text for a severity, or gives the text back."""

_FILE: Final = events.FILE_CREATED.rpartition(".")[0] + "."
_COVERAGE: Final = events.COVERAGE_GAP.rpartition(".")[0] + "."
_WORDS: Final = {events.FILE_ATTRIBUTES_CHANGED: "ATTRIBUTES"}
_EXITED: Final = "exited"


def plain(text: str, severity: int) -> str:
    """No colour."""
    del severity
    return text


def coloured(text: str, severity: int) -> str:
    """ANSI colour by severity: red from ERROR, yellow from WARN, cyan below."""
    code = "1;31" if severity >= Severity.ERROR else "1;33" if severity >= Severity.WARN else "36"
    return f"\x1b[{code}m{text}\x1b[0m"


def format_record(record: Record, paint: Paint = plain) -> str:
    """One line without its end. Whatever the record holds, it has no other control characters than `paint`'s."""
    if record.event_name.startswith(_COVERAGE):
        parts = _coverage(record, paint)
    elif record.event_name.startswith(_FILE) and _text(record.attributes, names.FILE_PATH):
        parts = _file(record, paint)
    else:
        parts = _other(record, paint)
    return " ".join(parts)


def _file(record: Record, paint: Paint) -> list[str]:
    attributes = record.attributes
    before = names.before(names.FILE_PATH)
    path = _path(attributes, names.FILE_PATH, names.OTEL_FIM_FILE_PATH_BYTES)
    if record.event_name == events.FILE_RENAMED and _text(attributes, before):
        path = f"{_path(attributes, before, names.before(names.OTEL_FIM_FILE_PATH_BYTES))} -> {path}"
    parts = [
        paint(f"[ALERT] {_word(record.event_name)}", record.severity_number),
        path,
        f"@ {_time(record)}",
        "while the agent was down" if attributes.get(names.OTEL_FIM_FILE_WHILE_DOWN) is True else "",
        _techniques(attributes),
        _actor(attributes),
    ]
    return _with_rest(parts, describe_changes(attributes))


def _coverage(record: Record, paint: Paint) -> list[str]:
    attributes = record.attributes
    scope = _text(attributes, names.OTEL_FIM_COVERAGE_SCOPE) or _text(attributes, names.OTEL_FIM_COMPONENT_ID)
    reason = escape(_text(attributes, names.OTEL_FIM_COVERAGE_REASON))
    detail = escape(_text(attributes, names.OTEL_FIM_COVERAGE_DETAIL))
    why = ", ".join(part for part in (reason, detail) if part)
    parts = [
        paint(f"[COVERAGE] {_word(record.event_name)}", record.severity_number),
        quoted(scope) if scope else "",
        f"@ {_time(record)}",
    ]
    return _with_rest(parts, why)


def _other(record: Record, paint: Paint) -> list[str]:
    body = record.body if isinstance(record.body, str) else ""
    parts = [
        paint(f"[EVENT] {quoted(record.event_name)}", record.severity_number),
        f"@ {_time(record)}",
        _techniques(record.attributes),
        _actor(record.attributes),
    ]
    return _with_rest(parts, escape(body))


def _with_rest(parts: list[str], rest: str) -> list[str]:
    """The parts that are not empty, and `rest` after a colon."""
    parts = [part for part in parts if part]
    if rest:
        parts[-1] += ":"
        parts.append(rest)
    return parts


def _word(event_name: str) -> str:
    return _WORDS.get(event_name) or escape(event_name.rpartition(".")[2].upper())


def _time(record: Record) -> str:
    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
    if nanoseconds <= 0:
        return "unknown time"
    try:
        moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{nanoseconds // 10**9} s"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _path(attributes: Mapping[str, AnyValue], key: str, bytes_key: str) -> str:
    exact = attributes.get(bytes_key)
    if isinstance(exact, bytes):
        return quoted(exact.decode("utf-8", "surrogateescape"))
    return quoted(_text(attributes, key))


def _techniques(attributes: Mapping[str, AnyValue]) -> str:
    """The narrowest ids: a technique's sub-techniques in its place."""
    narrow = _strings(attributes.get(names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID))
    shown: list[str] = []
    for technique in _strings(attributes.get(names.THREAT_TECHNIQUE_ID)):
        shown.extend([sub for sub in narrow if sub.startswith(technique + ".")] or [technique])
    shown = shown or narrow
    return f"(MITRE {', '.join(map(quoted, shown))})" if shown else ""


def _actor(attributes: Mapping[str, AnyValue]) -> str:
    user = _who(
        attributes, (names.USER_NAME, names.PROCESS_USER_NAME), (names.USER_ID, names.PROCESS_USER_ID)
    )
    login = _who(attributes, (names.OTEL_FIM_LOGIN_USER_NAME,), (names.OTEL_FIM_LOGIN_USER_ID,))
    program = _text(attributes, names.PROCESS_EXECUTABLE_PATH) or _text(attributes, names.PROCESS_COMMAND)
    pid = attributes.get(names.PROCESS_PID)
    parts = [
        user,
        f"(login {login})" if login and login != user else "",
        quoted(program) if program else "",
        f"pid {pid}" if isinstance(pid, int) else "",
        "(process already exited)" if attributes.get(names.OTEL_FIM_ACTOR_STATE) == _EXITED else "",
    ]
    shown = " ".join(part for part in parts if part)
    return f"by {shown}" if shown else ""


def _who(attributes: Mapping[str, AnyValue], name_keys: tuple[str, ...], id_keys: tuple[str, ...]) -> str:
    for key in name_keys:
        if name := _text(attributes, key):
            return quoted(name)
    for key in id_keys:
        number = attributes.get(key)
        if isinstance(number, int | str) and number != "":
            return f"uid {quoted(str(number))}"
    return ""


def _text(attributes: Mapping[str, AnyValue], key: str) -> str:
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def _strings(value: AnyValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
