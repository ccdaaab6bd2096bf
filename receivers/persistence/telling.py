"""Hands records on, some at a time, and has what is known move with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from otel_fim.component import ReceiverContext, StoppingError
from otel_fim.receivers.persistence.book import Book
from otel_fim.receivers.persistence.differ import Delta
from otel_fim.receivers.persistence.kind import FileKind, Kind
from otel_fim.receivers.persistence.records import Cause, RecordBuilder
from otel_fim.record import Record

_MOST_RELATED: Final = 1000
"""More file events than this are not gone through for each item."""


class Teller:
    """Used by the receiver's own thread. Methods raise `StoppingError` when the agent takes no more records."""

    def __init__(self, context: ReceiverContext, book: Book, builder: RecordBuilder, batch_size: int) -> None:
        self._context = context
        self._book = book
        self._builder = builder
        self._batch_size = batch_size

    def tell(
        self, kind: Kind, deltas: list[Delta], causes: Mapping[bytes, Cause], *, while_down: bool = False
    ) -> None:
        """Tells of steps, ordered by path. Those of one file move together, after the last record of them."""
        for chunk in self._chunks(deltas):
            records = [
                self._builder.build(delta, cause_of(kind, delta, causes), while_down=while_down)
                for delta in chunk
                if delta.told
            ]
            entry = self._book.prepare(kind.name, chunk)
            self._book.move(entry)
            if not records:
                self._book.durable(entry)
                continue
            try:
                self._hand_on(records, partial(self._book.durable, entry))
            except StoppingError:
                self._book.drop(entry)
                raise

    def baseline(self, deltas: Sequence[Delta], on_durable: Callable[[], None]) -> None:
        """Tells of what is there. After a crash the baseline is told again as a whole."""
        records = [self._builder.build(delta, None, baseline=True) for delta in deltas if delta.told]
        if records:
            self._hand_on(records, on_durable)
        else:
            on_durable()

    def alone(self, records: Sequence[Record]) -> None:
        """Hands on records that nothing moves with."""
        if records:
            self._context.emit(records)

    def _hand_on(self, records: list[Record], on_durable: Callable[[], None]) -> None:
        size = self._batch_size
        for start in range(0, len(records), size):
            last = start + size >= len(records)
            self._context.emit(records[start : start + size], on_durable if last else None)

    def _chunks(self, deltas: list[Delta]) -> Iterator[list[Delta]]:
        chunk: list[Delta] = []
        for _, group in groupby(deltas, key=lambda delta: delta.item.path):
            steps = list(group)
            if chunk and len(chunk) + len(steps) > self._batch_size:
                yield chunk
                chunk = []
            chunk += steps
        if chunk:
            yield chunk


def cause_of(kind: Kind, delta: Delta, causes: Mapping[bytes, Cause]) -> Cause | None:
    """The file event behind a step: of the same file, of a directory above it, or of a file that decides on it."""
    if not causes:
        return None
    part = delta.item.path
    while part:
        if (found := causes.get(part)) is not None:
            return found
        part = part.rpartition(b"/")[0]
    if isinstance(kind, FileKind) or len(causes) > _MOST_RELATED:
        return None
    sides = [item for item in (delta.after, delta.before) if item is not None]
    return next(
        (cause for at, cause in causes.items() if any(kind.related(at, item) for item in sides)), None
    )
