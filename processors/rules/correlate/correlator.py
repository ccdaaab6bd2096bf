"""The engine: events in, in any order within the lateness; findings out, in order of their time."""

from __future__ import annotations

from collections.abc import Callable

from otel_fim.processors.rules.correlate.limits import Eviction, StateLimits
from otel_fim.processors.rules.hits import Correlated
from otel_fim.record import Record
from otel_fim.sigma.ir import Rule, RuleSet


class Correlator:
    """Runs the correlations of a rule set. For one thread.

    `lateness_nano` is how long events are waited for; `clock` gives the time now, in nanoseconds since the epoch.
    """

    def __init__(
        self, ruleset: RuleSet, *, lateness_nano: int, limits: StateLimits, clock: Callable[[], int]
    ) -> None:
        self.late = 0
        """Events that came after their time had been looked at, since the start; they are left out."""

    # --- The stream ----------------------------------------------------------------------------------------

    def wants(self, rule_id: str) -> bool:
        """Whether any correlation refers to this rule."""
        return False

    def add(self, rule: Rule, record: Record) -> None:
        """Takes a match; one of a rule that no correlation refers to is ignored. The record is not changed."""

    def due(self) -> list[Correlated]:
        """The findings that need no more waiting, of correlations that make findings of their own. To be called after
        each batch, and once a second while nothing comes."""
        return []

    def flush(self) -> list[Correlated]:
        """The findings of all that was added, without waiting."""
        return []

    def evictions(self) -> list[Eviction]:
        """What the limits (or a clock that was set back) cost since the last call."""
        return []

    # --- Restarts ------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Everything that is remembered, compressed."""
        return b""

    def restore(self, state: bytes) -> list[str]:
        """Goes on from `state`: each correlation whose definition, with all that it refers to, is still the same. Gives
        the ids of those in the state that begin anew. For a correlator that has taken nothing yet.

        Raises `StateError` when the bytes are no state; the correlator is then as before.
        """
        return []

    @property
    def replay_from(self) -> int:
        """Records that were observed at this time (nanoseconds since the epoch) or later may be missing in the restored
        state: what the journal has of them is to be replayed. Without a restored state it is as far back as windows
        reach."""
        return 0

    def replay(self, rule: Rule, record: Record) -> None:
        """As `add`, for a match of a record from the journal: one that is in the state already does not count again."""

    def told(self, correlation_id: str, time_unix_nano: int, group: tuple[str, ...]) -> None:
        """Says, while replaying, that the journal has this finding: it will not be made again."""

    def replayed(self) -> list[Correlated]:
        """Ends a replay: the findings that were due before and are not in the journal."""
        return []
