"""Folding of duplicates: the first finding of a key goes on, the others are counted.

What is told in the end adds up: the last record of a series has as its count how many findings there were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from sys import getsizeof
from typing import Final

MAX_EVIDENCE: Final = 100
NOTABLY_HIGHER: Final = 10
"""Points above the highest score of the series: such a finding is passed on although it is a duplicate."""
_FIRST_MILESTONE: Final = 10
_BYTES: Final = 700
_BYTES_OF_UID: Final = 125
_MOST: Final = 2**53


class Verdict(Enum):
    TELL = "tell"
    """A duplicate that is passed on, with the count."""
    FOLDED = "folded"
    """A duplicate that is counted and not passed on."""


@dataclass(slots=True, frozen=True)
class One:
    """What folding looks at in a finding."""

    time_unix_nano: int
    first: str
    last: str
    score: int
    evidence: Sequence[str]
    evidence_count: int


@dataclass(slots=True)
class Series:
    """Findings of one key. `begun` is in steady seconds; `first` and `last` are the oldest and newest time that they
    tell of, ISO 8601 with nine decimals, and `newest` is the newest time of a finding itself, in nanoseconds since the
    epoch. `told` is the last count that a record had. `template` is a duplicate as a line of OTLP/JSON, for the record
    that tells the end; empty before there is any duplicate."""

    uid: str
    begun: int
    first: str
    last: str
    newest: int
    score: int
    count: int = 1
    told: int = 1
    next_milestone: int = _FIRST_MILESTONE
    evidence: list[str] = field(default_factory=list)
    evidence_count: int = 0
    template: str = ""

    @property
    def size(self) -> int:
        """Bytes, about."""
        return _BYTES + getsizeof(self.uid) + getsizeof(self.template) + _BYTES_OF_UID * len(self.evidence)

    def take(self, one: One) -> None:
        self.first = min(self.first, one.first)
        self.last = max(self.last, one.last)
        self.newest = max(self.newest, one.time_unix_nano)
        self.evidence_count = min(self.evidence_count + one.evidence_count, _MOST)
        if len(self.evidence) < MAX_EVIDENCE:
            known = set(self.evidence)
            fresh = [uid for uid in dict.fromkeys(one.evidence) if uid not in known]
            self.evidence += fresh[: MAX_EVIDENCE - len(self.evidence)]


class Folder:
    """The open series, the oldest first. Times are steady seconds; a window begins with the first finding and does not
    slide, so what goes on for long is told anew once in each."""

    def __init__(self, window: float, max_series: int, max_bytes: int) -> None:
        self._window = window
        self._max_series = max_series
        self._max_bytes = max_bytes
        self._bytes = 0
        self.series: OrderedDict[str, Series] = OrderedDict()

    def open(self, key: str, uid: str, one: One, now: int) -> Series:
        """A series begins; one of that key must not be open."""
        series = Series(uid, now, one.first, one.last, one.time_unix_nano, one.score)
        series.take(one)
        self.put(key, series)
        return series

    def put(self, key: str, series: Series) -> None:
        """Takes up a series as the newest."""
        self.series[key] = series
        self._bytes += series.size

    def add(self, series: Series, one: One) -> Verdict:
        """A duplicate: whether it is to be passed on."""
        size = series.size
        series.take(one)
        series.count += 1
        self._bytes += series.size - size
        is_milestone = series.count >= series.next_milestone
        if is_milestone:
            series.next_milestone *= 10
        if is_milestone or one.score >= series.score + NOTABLY_HIGHER:
            series.score = max(series.score, one.score)
            series.told = series.count
            return Verdict.TELL
        return Verdict.FOLDED

    def set_template(self, series: Series, line: str) -> None:
        size = series.size
        series.template = line
        self._bytes += series.size - size

    def ended(self, now: int) -> Iterator[tuple[str, Series]]:
        """Takes out the series whose window is over, and the oldest when there are too many."""
        while self.series:
            key, series = next(iter(self.series.items()))
            is_over = now - series.begun >= self._window
            if not is_over and len(self.series) <= self._max_series and self._bytes <= self._max_bytes:
                return
            del self.series[key]
            self._bytes -= series.size
            yield key, series
