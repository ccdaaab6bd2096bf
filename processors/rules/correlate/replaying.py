"""What is known while the journal is replayed: records that are in the state, findings that were made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otel_fim.processors.rules.correlate.plan import LONG, Key, digest_of
from otel_fim.processors.rules.hits import Correlated

_MOST_TOLD: Final = 10_000
_BATCH: Final = 1000


class Replaying:
    """`known` are the uids of the records that the restored state holds."""

    def __init__(self) -> None:
        self.known: frozenset[str] = frozenset()
        self._told: dict[tuple[str, Key], list[int]] = {}
        self._count = 0
        self._told_until = 0
        self._made: list[Correlated] = []
        self._records = 0

    def counts(self, uid: object) -> bool:
        """Whether a record with this uid is to be taken."""
        return uid not in self.known

    def is_time_to_look(self) -> bool:
        """Once in a thousand calls: so much of a replay is looked at in one go."""
        self._records += 1
        return self._records % _BATCH == 0

    def tell(self, correlation_id: str, time_unix_nano: int, group: Key) -> None:
        """The journal has this finding."""
        if self._count < _MOST_TOLD:
            self._count += 1
            self._told.setdefault((correlation_id, _short(group)), []).append(time_unix_nano)
            self._told_until = max(self._told_until, time_unix_nano)

    def keep(self, found: Iterable[Correlated]) -> None:
        """Findings of the replay: the journal tells of them behind what they were made of, so they wait for its end."""
        self._made += found

    def end(self) -> list[Correlated]:
        """The findings of the replay that the journal lacks."""
        made, self._made = self._made, []
        self.known = frozenset()
        return [each for each in made if not self._was_told(each)]

    def new(self, found: list[Correlated], horizon: int) -> list[Correlated]:
        """Those that the journal lacks; with `horizon`, nothing before it will be found any more."""
        if not self._told:
            return found
        found = [each for each in found if not self._was_told(each)]
        if horizon > self._told_until:
            self._told.clear()
            self._count = 0
        return found

    def _was_told(self, found: Correlated) -> bool:
        """Whether the journal has this finding, or one of a little later that it is in truth: what a receiver reads
        again after a kill is in the journal twice, and then the replay finds the same sooner. What is in the state
        already is never found again, so nothing new can be meant by a later finding of the journal."""
        correlation, time = found.correlation, found.time_unix_nano
        times = self._told.get((correlation.meta.id, _short(found.group)), ())
        return any(time <= told <= time + correlation.timespan_nano for told in times)


def _short(group: Key) -> Key:
    """Long texts by their digest: thousands of groups are remembered, and they are only compared."""
    return tuple([digest_of(text) if len(text) > LONG else text for text in group])
