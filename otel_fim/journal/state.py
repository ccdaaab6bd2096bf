"""What the threads of an open journal share: the segments, and how far they are durable."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from operator import attrgetter

from otel_fim.journal.index import KEPT_SEGMENTS, LineIndex
from otel_fim.journal.segment import Segment

_first = attrgetter("first")


@dataclass(slots=True)
class JournalState:
    """Guarded by `changed`, which is notified whenever a field changes.

    `segments` is in order; the last one, the active one, is being written. Its first `durable_length` bytes
    are on disk for sure, and `durable_next` is the number of the first record that is not.
    """

    segments: list[Segment]
    durable_length: int
    durable_next: int
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)
    _indexes: dict[int, LineIndex] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._indexes[self.active.first] = LineIndex(self.durable_length)

    def begin(self, segment: Segment) -> None:
        """Makes an empty segment the active one."""
        self.segments.append(segment)
        self.durable_length = 0
        self._indexes.pop(segment.first, None)
        self._indexes[segment.first] = LineIndex(0)
        while len(self._indexes) > KEPT_SEGMENTS:
            del self._indexes[next(iter(self._indexes))]

    @property
    def index(self) -> LineIndex:
        """Where the durable lines of the active segment are."""
        return self._indexes[self.active.first]

    def index_of(self, segment: Segment) -> LineIndex | None:
        """Where the lines of a segment are, if this process has written them not long ago."""
        return self._indexes.get(segment.first)

    @property
    def active(self) -> Segment:
        """The segment that is being written."""
        return self.segments[-1]

    @property
    def first_record(self) -> int:
        """Number of the oldest record that is still there."""
        return self.segments[0].first

    def find(self, first: int) -> Segment | None:
        """The segment that begins with this record."""
        index = bisect_left(self.segments, first, key=_first)
        if index < len(self.segments) and self.segments[index].first == first:
            return self.segments[index]
        return None

    def holding(self, record: int) -> Segment | None:
        """The segment that has this record."""
        if not self.first_record <= record < self.durable_next:
            return None
        return self.segments[bisect_right(self.segments, record, key=_first) - 1]

    def following(self, segment: Segment) -> Segment | None:
        """The next segment, None for the active one."""
        index = bisect_right(self.segments, segment.first, key=_first)
        return self.segments[index] if index < len(self.segments) else None

    def extent(self, segment: Segment) -> tuple[int, int]:
        """How many bytes of a segment may be read, and the number after its last record."""
        following = self.following(segment)
        if following is None:
            return self.durable_length, self.durable_next
        return segment.length, following.first

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments on disk."""
        return sum(segment.disk_size for segment in self.segments)
