"""A story: the events of several lines and sources that tell of one thing, and the one event made of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Kind, Weight, changed
from otel_fim.receivers.auth.parse import build, values

_SECOND: Final = 1_000_000_000
_KEPT: Final = 48
_MAX_COMMAND: Final = 8192
_LINE_FACTS: Final = frozenset(
    {
        "part",
        "weight",
        "patience",
        "exact_pid",
        "trusted",
        "identity",
        "identifier",
        "sources",
        "count",
        "changes",
    }
)
_FACTS: Final = tuple(each.name for each in fields(AuthEvent) if each.name not in _LINE_FACTS)
_ALL: Final = attrgetter(*_FACTS)
REFUSALS: Final = frozenset({build.NOT_ALLOWED, build.ACCOUNT_LOCKED, build.ACCOUNT_EXPIRED})


@dataclass(slots=True, eq=False)
class Story:
    """`due` is when it is told, on the clock that the merger is given; `number` counts stories."""

    number: int
    family: str
    due: float
    sightings: list[AuthEvent] = field(default_factory=list)
    told: bool = False
    told_at: float = 0.0
    pids: set[int] = field(default_factory=set)
    """The processes that decided."""
    helpers: set[int] = field(default_factory=set)
    """Other processes that spoke of it."""
    weight: Weight = Weight.SUPPORT
    earliest: int = 0

    def add(self, event: AuthEvent) -> bool:
        """Takes a sighting in; False when there are enough of them."""
        if len(self.sightings) >= _KEPT:
            return False
        self.earliest = min(self.earliest, event.time_unix_nano) if self.sightings else event.time_unix_nano
        self.sightings.append(event)
        self.weight = max(self.weight, event.weight)
        if event.pid is not None:
            (self.pids if event.exact_pid else self.helpers).add(event.pid)
        return True

    def keep(self, sightings: list[AuthEvent]) -> None:
        """Takes the other sightings back."""
        self.sightings, self.weight = [], Weight.SUPPORT
        self.pids.clear()
        self.helpers.clear()
        for event in sightings:
            self.add(event)

    @property
    def capacity(self) -> int:
        """How many times the thing happened, when a source says that its line was repeated."""
        return max(event.count for event in self.sightings)

    def times_told(self, source: str, part: str) -> int:
        """How many times a source has told this part of it."""
        return sum(
            event.count for event in self.sightings if event.sources[0] == source and event.part == part
        )

    def apart(self, event: AuthEvent) -> int:
        """Nanoseconds between an event and the nearest of the story's, as far as the logs' clocks can tell."""
        return min(_apart(event.time_unix_nano, each.time_unix_nano) for each in self.sightings)


def _apart(one: int, other: int) -> int:
    # A log with whole seconds cuts the rest off.
    first, last = sorted((one, other))
    slack = _SECOND - 1 if first % _SECOND == 0 else 0
    return max(0, last - first - slack)


def fold(story: Story, siblings: Iterable[Story] = ()) -> AuthEvent:
    """The event of a story. `siblings` are the other stories of the same process: a refusal holds for all of them.

    Whatever the order in which the sightings came, the result is the same.
    """
    order = sorted(story.sightings, key=_rank)
    main = order[0]
    facts: dict[str, object] = dict(zip(_FACTS, _ALL(main), strict=True))
    for event in order[1:]:
        for name, value in zip(_FACTS, _ALL(event), strict=True):
            if value is not None and facts[name] is None:
                facts[name] = value
    if main.kind is Kind.LOGIN:
        facts |= _session(order)
    for event in order:
        if event.kind is not main.kind:
            # btmp tells of su as of a login: its user is whom somebody wanted to become.
            facts["user"] = next((each.user for each in order if each.kind is main.kind and each.user), None)
            break
    facts["time_unix_nano"] = _time(order)
    if not isinstance(facts["source_address"], str) or values.address(facts["source_address"]) is None:
        facts["source_address"] = next(
            (event.source_address for event in order if values.address(event.source_address)),
            facts["source_address"],
        )
    facts |= _why(order, siblings)
    facts["command"] = _command(story, order)
    changes: dict[str, None] = {}
    for event in sorted(story.sightings, key=lambda each: (-each.weight, each.sources, each.time_unix_nano)):
        if event.weight is main.weight:
            changes.update(dict.fromkeys(event.changes))
    if main.kind is Kind.LOGOUT and isinstance(facts["login_time_unix_nano"], int):
        lasted = _time(order) - facts["login_time_unix_nano"]
        # Logs differ by a second; when the clock was set back, how long it was is not known.
        facts["duration_nanoseconds"] = max(0, lasted) if lasted > -2 * _SECOND else None
    count = max(
        (max(1, event.count) for event in order if event.weight is main.weight),
        default=1,
    )
    return changed(
        main,
        **facts,
        sources=tuple(sorted({source for event in order for source in event.sources})),
        changes=tuple(changes),
        count=count,
    )


def _rank(event: AuthEvent) -> tuple[object, ...]:
    return (
        -event.weight,
        event.kind is Kind.LOGIN and event.sources[0] == "btmp",
        event.service is None,
        not event.trusted,
        event.method is None,
        event.sources,
        event.part,
        event.time_unix_nano,
        event.identity or "",
        event.original or "",
    )


def _time(order: list[AuthEvent]) -> int:
    """The earliest time of those that decided, by a clock that knows more than seconds if there is one."""
    times = [event.time_unix_nano for event in order if event.weight is order[0].weight]
    exact = [time for time in times if time % _SECOND]
    if not exact:
        # btmp has whole seconds; a hint that came within that second has the rest.
        whole = min(times)
        exact = [event.time_unix_nano for event in order if 0 < event.time_unix_nano - whole < _SECOND]
    return min(exact or times)


def _session(order: list[AuthEvent]) -> dict[str, object]:
    """The kernel's session: only those lines know it that were written after the session began. What came before
    has the session of whoever started the daemon."""
    for event in order:
        begun = event.part in (build.SESSION, "kernel") or event.sources[0] in ("audit", "wtmp", "utmp")
        if begun and event.session_id is not None:
            return {"session_id": event.session_id, "login_user_id": event.login_user_id}
    return {"session_id": None, "login_user_id": None}


def _why(order: list[AuthEvent], siblings: Iterable[Story]) -> dict[str, object]:
    if order[0].outcome != build.FAILURE:
        return {}
    everything = [*order, *(event for story in siblings for event in story.sightings)]
    refused = sorted(
        event.reason
        for event in everything
        if event.reason in REFUSALS and event.part in ("refused", "account")
    )
    if refused:
        # sshd calls a user whom it does not let in "invalid" from then on.
        return {
            "reason": refused[0],
            "user_known": True if "refused" in {e.part for e in everything} else None,
        }
    if any(event.user_known is False for event in order):
        return {"user_known": False, "reason": build.UNKNOWN_USER}
    return {}


def _command(story: Story, order: list[AuthEvent]) -> str | None:
    told = [event for event in order if event.command is not None and event.weight is not Weight.SUPPORT]
    # sudo tells the journal which program it found, and the audit what was typed.
    first = next(
        (event for event in told if (event.command or "").startswith("/")), told[0] if told else None
    )
    if first is None or first.command is None:
        return None
    # A source tells of the pieces in their order.
    rest = [each for each in story.sightings if each.part == "continued" and each.sources == first.sources]
    return " ".join([first.command, *(event.command or "" for event in rest)])[:_MAX_COMMAND]
