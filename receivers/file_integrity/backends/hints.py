"""Collects hints while a batch of events is read and hands them over at once."""

from __future__ import annotations

import time
from typing import Final

from otel_fim.receivers.file_integrity.backend import Actor, Change, Hint, Sink

# Joining two enum flags costs more than everything else in here; plain numbers are joined instead.
CREATED: Final = Change.CREATED.value
DELETED: Final = Change.DELETED.value
CONTENT: Final = Change.CONTENT.value
ATTRIBUTES: Final = Change.ATTRIBUTES.value
MOVED_FROM: Final = Change.MOVED_FROM.value
MOVED_TO: Final = Change.MOVED_TO.value
DIRECTORY: Final = Change.DIRECTORY.value
SUBTREE: Final = Change.SUBTREE.value


class _Entry:
    __slots__ = ("actor", "bits", "old_path", "path")

    def __init__(self, path: bytes, bits: int, actor: Actor | None, old_path: bytes | None) -> None:
        self.path = path
        self.bits = bits
        self.actor = actor
        self.old_path = old_path


class HintBatch:
    """Joins what one process does to one path; a rename or a change of a directory keeps its place in the order.

    For one thread. The hints of a batch have one time: the kernel's events carry none.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._changes: dict[int, Change] = {}
        self._entries: list[_Entry] = []
        self._open: dict[tuple[bytes, int], _Entry] = {}

    def add(self, path: bytes, bits: int, actor: Actor | None = None, old_path: bytes | None = None) -> None:
        """`bits` are values of `Change`, joined."""
        if old_path is not None or bits & (DIRECTORY | SUBTREE):
            # What comes before must not be joined with what comes after.
            self._open.clear()
            self._entries.append(_Entry(path, bits, actor, old_path))
            return
        # Equal actors of one batch are the same object, which the entry keeps alive.
        key = (path, id(actor))
        entry = self._open.get(key)
        if entry is None:
            self._open[key] = entry = _Entry(path, bits, actor, None)
            self._entries.append(entry)
        else:
            entry.bits |= bits

    def flush(self) -> int:
        """Hands over what was collected and gives its number."""
        entries = self._entries
        if not entries:
            return 0
        self._entries = []
        self._open.clear()
        now = time.time_ns()
        changes = self._changes
        hints = []
        for entry in entries:
            change = changes.get(entry.bits)
            if change is None:
                change = changes[entry.bits] = Change(entry.bits)
            hints.append(Hint(entry.path, change, now, entry.actor, entry.old_path))
        self._sink.hints(hints)
        return len(hints)
