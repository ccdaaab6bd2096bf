"""Verification of streams: what is missing, changed, repeated or out of place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from otel_fim.canonical import CANONICAL_VERSION
from otel_fim.chain import EMPTY_HASH, Sealed, sealed_record
from otel_fim.record import Record

_MOST_PROBLEMS: Final = 1000


class ProblemKind(Enum):
    """What can be wrong with a record's place in its stream."""

    UNSEALED = "unsealed"
    """The record has no seal."""
    UNREADABLE = "unreadable"
    """The seal, or the record, is not of a form that can be verified."""
    UNKNOWN_VERSION = "unknown_version"
    """The seal is of a version that this program does not know."""
    CHANGED = "changed"
    """The content is not what was sealed."""
    MISSING = "missing"
    """Numbers are missing before this record."""
    REPEATED = "repeated"
    """The record before has the same number and the same hash: delivered twice."""
    ORDER = "order"
    """The number is not above the one before: a fork of the stream, or records out of order."""
    LINK = "link"
    """The previous hash is not the hash of the record before."""
    RESOURCE = "resource"
    """The resource is not the one that the stream has bound."""


@dataclass(slots=True, frozen=True)
class Problem:
    """One finding. `stream_id` is empty and `number` 0 where they are not known."""

    kind: ProblemKind
    stream_id: str
    number: int
    message: str


@dataclass(slots=True)
class StreamState:
    """What has been seen of a stream: `first` and `last` are numbers, `last_hash` is the last record's."""

    id: str
    first: int = 0
    last: int = 0
    records: int = 0
    last_hash: str = ""
    resource_hash: str = ""


@dataclass(slots=True)
class Verification:
    """Verifies records one after the other, each stream's in ascending order; streams may be interleaved.

    With `partial` a stream may begin after number 1; what came before is then taken for granted. Only the first
    1000 problems are kept, `problem_count` counts them all.
    """

    partial: bool = False
    records: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    streams: dict[str, StreamState] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Nothing was found."""
        return self.problem_count == 0

    def highest(self, stream_id: str) -> int:
        """The last number seen of a stream; 0 for a stream that was not seen."""
        state = self.streams.get(stream_id)
        return state.last if state is not None else 0

    def add(self, record: Record) -> None:
        """Verifies the next record."""
        try:
            sealed = sealed_record(record)
        except ValueError as error:
            self._problem(ProblemKind.UNREADABLE, "", 0, str(error))
            self.records += 1
            return
        self.add_sealed(sealed, record.event_name)

    def add_sealed(self, sealed: Sealed | None, event_name: str = "") -> None:
        """Verifies the next seal; None counts as a record without one."""
        self.records += 1
        if sealed is None:
            self._problem(ProblemKind.UNSEALED, "", 0, f"{event_name or 'a record'} has no seal")
        elif sealed.number < 1 or not sealed.stream_id:
            message = f"{event_name or 'a record'} has a seal without stream or number"
            self._problem(ProblemKind.UNREADABLE, sealed.stream_id, sealed.number, message)
        else:
            state = self.streams.get(sealed.stream_id)
            if state is None:
                state = self.streams[sealed.stream_id] = StreamState(sealed.stream_id)
            self._verify(sealed, state)

    def _verify(self, sealed: Sealed, state: StreamState) -> None:
        number, kinds = sealed.number, ProblemKind
        if sealed.version != str(CANONICAL_VERSION):
            message = f"version {sealed.version!r} is not known; a newer otel-fim may know it"
            self._problem(kinds.UNKNOWN_VERSION, state.id, number, message)
        elif sealed.claimed_hash != sealed.content_hash:
            self._problem(kinds.CHANGED, state.id, number, "the content is not what was sealed")
        if state.records == 0:
            if number > 1 and not self.partial:
                self._problem(kinds.MISSING, state.id, number, f"numbers 1 to {number - 1} are missing")
            if number == 1 and sealed.previous_hash != EMPTY_HASH:
                self._problem(kinds.LINK, state.id, 1, "the first record names a record before it")
            state.first = number
        elif number == state.last and sealed.claimed_hash == state.last_hash:
            self._problem(kinds.REPEATED, state.id, number, "the record is there twice")
            return
        elif number <= state.last:
            self._problem(kinds.ORDER, state.id, number, f"stands after number {state.last}")
            return
        elif number > state.last + 1:
            missing = f"numbers {state.last + 1} to {number - 1} are missing"
            self._problem(kinds.MISSING, state.id, number, missing)
            state.resource_hash = ""  # one of the missing records may have bound another
        elif sealed.previous_hash != state.last_hash:
            message = f"its previous hash is not the hash of number {state.last}"
            self._problem(kinds.LINK, state.id, number, message)
        self._verify_resource(sealed, state)
        state.records += 1
        state.last = number
        state.last_hash = sealed.claimed_hash

    def _verify_resource(self, sealed: Sealed, state: StreamState) -> None:
        if sealed.bound_resource_hash:
            state.resource_hash = sealed.bound_resource_hash
        elif sealed.number == 1:
            message = "the first record does not bind its resource"
            self._problem(ProblemKind.RESOURCE, state.id, 1, message)
        if state.resource_hash and state.resource_hash != sealed.resource_hash:
            message = "its resource is not the one that the stream has bound"
            self._problem(ProblemKind.RESOURCE, state.id, sealed.number, message)

    def _problem(self, kind: ProblemKind, stream_id: str, number: int, message: str) -> None:
        self.problem_count += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(kind, stream_id, number, message))


def verify_records(records: Iterable[Record], *, partial: bool = False) -> Verification:
    """Verifies records, each stream's in ascending order. Raises nothing: what cannot be read is a problem."""
    verification = Verification(partial=partial)
    for record in records:
        verification.add(record)
    return verification
