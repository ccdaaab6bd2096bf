"""What happened to one path, in the words that the mappings ask for."""

from __future__ import annotations

import enum
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.record import AnyValue, Record

_TYPE_DIRECTORY: Final = ("dir", "directory")


class Effect(enum.Flag):
    """What a change means for a path."""

    ARRIVED = enum.auto()
    """Created, or renamed to this path."""
    CHANGED = enum.auto()
    """Other content, or another target of a link."""
    LEFT = enum.auto()
    """Deleted, or renamed away from this path."""
    ATTRIBUTES = enum.auto()
    """Other metadata, same content."""


WRITTEN: Final = Effect.ARRIVED | Effect.CHANGED
TOUCHED: Final = WRITTEN | Effect.LEFT

EFFECTS: Final[dict[str, Effect]] = {
    events.FILE_CREATED: Effect.ARRIVED,
    events.FILE_MODIFIED: Effect.CHANGED,
    events.FILE_DELETED: Effect.LEFT,
    events.FILE_RENAMED: Effect.ARRIVED,
    events.FILE_ATTRIBUTES_CHANGED: Effect.ATTRIBUTES,
}
"""By event name; an event that is not here is no change of a file."""


@dataclass(slots=True, frozen=True)
class Change:
    """One effect on one path. `destination` is where the file went when it left by a rename."""

    effect: Effect
    path: str
    attributes: Mapping[str, AnyValue]
    destination: str = ""
    origin: str = ""
    """Where the file came from when it arrived by a rename."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_directory(self) -> bool:
        return self.attributes.get(names.FILE_TYPE) in _TYPE_DIRECTORY

    @property
    def is_regular(self) -> bool:
        return self.attributes.get(names.FILE_TYPE, "file") == "file"

    @property
    def is_link(self) -> bool:
        return self.attributes.get(names.FILE_TYPE) == "symlink"

    @property
    def link_target(self) -> str:
        target = self.attributes.get(names.FILE_SYMBOLIC_LINK_TARGET_PATH)
        return target if isinstance(target, str) else ""

    @property
    def is_replaced(self) -> bool:
        """Another inode took the file's place, as package managers and editors do it."""
        return self.attributes.get(names.OTEL_FIM_FILE_REPLACED) is True

    @property
    def size(self) -> int | None:
        return _integer(self.attributes.get(names.FILE_SIZE))

    @property
    def size_before(self) -> int | None:
        return _integer(self.attributes.get(names.before(names.FILE_SIZE)))

    @property
    def mode(self) -> int | None:
        """Permission bits now, None when they are not known."""
        return _octal(self.attributes.get(names.FILE_MODE))

    @property
    def mode_before(self) -> int | None:
        return _octal(self.attributes.get(names.before(names.FILE_MODE)))

    @property
    def is_emptied(self) -> bool:
        return self.size == 0 and bool(self.size_before)

    @property
    def is_shortened(self) -> bool:
        size, before = self.size, self.size_before
        return size is not None and before is not None and size < before

    @property
    def is_overwritten(self) -> bool:
        """The content changed and the size did not: an append-only file was edited."""
        size = self.size
        return size is not None and size > 0 and size == self.size_before


def changes(record: Record) -> tuple[Change, ...]:
    """The changes that a record tells of: two for a rename, none for what is no change of a file."""
    effect = EFFECTS.get(record.event_name)
    if effect is None:
        return ()
    attributes = record.attributes
    path = attributes.get(names.FILE_PATH)
    if not isinstance(path, str) or not path:
        return ()
    if record.event_name == events.FILE_RENAMED:
        before = attributes.get(names.before(names.FILE_PATH))
        if isinstance(before, str) and before:
            return (
                Change(effect, path, attributes, origin=before),
                Change(Effect.LEFT, before, attributes, destination=path),
            )
    return (Change(effect, path, attributes),)


def special_bits(mode: int) -> int:
    """The setuid bit, and the setgid bit where it has an effect on execution."""
    bits = mode & stat.S_ISUID
    if mode & stat.S_ISGID and mode & stat.S_IXGRP:
        bits |= stat.S_ISGID
    return bits


def _integer(value: AnyValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _octal(value: AnyValue) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        return int(value, 8)
    except ValueError:
        return None
