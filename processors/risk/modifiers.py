"""The drivers of a finding's score: the rule's level, and what makes it more or less."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from otel_fim.processors.risk.config import PlannedChange, RiskConfig, WorkingHours
from otel_fim.processors.risk.config_types import minute_of_day, zone_of
from otel_fim.processors.risk.drivers import Driver, Score, add_up
from otel_fim.processors.risk.facts import CONFIDENCES, Facts
from otel_fim.processors.risk.patterns import Patterns

_ROOT: Final = frozenset({"0", "root"})
_REACHABLE: Final = frozenset({"any", "public"})
_EVENT: Final = "event"
_WORDS: Final = {
    "user": "the user",
    "source": "the address",
    "user_source": "the user from that address",
    "privilege": "the user with those rights",
    "executable": "the program",
    "executable_hash": "the program's content",
    "parent_child": "the program started by that parent",
    "user_executable": "the program run by that user",
    "listener": "the program on that port",
    "persistence": "the start-up item",
    "persistence_kind": "the kind of start-up item",
}
_SYSTEM: Final = ("/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/libexec/", "/bin/", "/sbin/", "/snap/")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST: Final = 120
_LONGEST_PLAN: Final = 400


class Hours:
    """Working hours: `off` gives the local time for a moment outside of them."""

    def __init__(self, hours: WorkingHours) -> None:
        self._days = frozenset(_DAYS.index(day) for day in hours.days)
        self._start, self._end = minute_of_day(hours.start), minute_of_day(hours.end)
        self._zone = zone_of(hours.timezone)
        self._name = "local time" if self._zone is None else hours.timezone

    def off(self, unix_nano: int) -> str | None:
        """The weekday, time and zone when nobody works; None in working hours and for a time that is none."""
        try:
            local = (_EPOCH + timedelta(seconds=unix_nano // 1_000_000_000)).astimezone(self._zone)
        except (OverflowError, ValueError, OSError):
            return None
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self._start < self._end:
            works = day in self._days and self._start <= minute < self._end
        else:
            works = (day in self._days and minute >= self._start) or (
                (day - 1) % 7 in self._days and minute < self._end
            )
        return None if works else f"{local:%A %H:%M} {self._name}"


class _Planned:
    def __init__(self, change: PlannedChange) -> None:
        self.change = change
        self._start, self._end = _nano(change.start), _nano(change.end)
        self._hosts, self._users = Patterns(change.hosts), Patterns(change.users)
        self._executables, self._paths = Patterns(change.executables), Patterns(change.paths)

    def covers(self, facts: Facts) -> bool:
        return (
            self._start <= facts.time_unix_nano < self._end
            and self._hosts.fit(facts.host)
            and self._users.fit(facts.user, facts.person)
            and self._executables.fit(facts.executable)
            and self._paths.fit(facts.path)
        )


def _nano(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


class Scorer:
    """Scores findings by a configuration."""

    def __init__(self, config: RiskConfig) -> None:
        self._points = config.modifiers
        self._hours = Hours(config.working_hours) if config.working_hours is not None else None
        self._groups = frozenset(config.privileged_groups)
        self._paths = tuple(config.critical_paths)
        self._managers = frozenset(config.package_managers)
        self._planned = [_Planned(change) for change in config.planned_changes]

    def score(self, facts: Facts) -> Score:
        """The score with its drivers, always in the same order."""
        return add_up(self._drivers(facts))

    def _drivers(self, facts: Facts) -> Iterator[Driver]:
        points = self._points
        yield self._level(facts)
        yield from self._novelty(facts)
        if self._hours is not None and facts.time_unix_nano:
            when = self._hours.off(facts.time_unix_nano)
            if when is not None:
                yield Driver("off_hours", points.off_hours, f"It happened outside working hours, on {when}")
        yield from self._privileged(facts)
        prefix = next((each for each in self._paths if facts.path.startswith(each)), None)
        if prefix is not None:
            sentence = f"{shown(facts.path)} is a critical path"
            yield Driver("critical_path", points.critical_path, sentence)
        if facts.exposure in _REACHABLE:
            what = f"port {shown(facts.port)}" if facts.port else "the socket"
            sentence = f"Other hosts can reach {what}, whose exposure is {facts.exposure}"
            yield Driver("exposed_listener", points.exposed_listener, sentence)
        if facts.kind not in ("", _EVENT):
            yield Driver(
                "chain", points.chain, f"{_records(facts.evidence_count)} a correlation, {shown(facts.kind)}"
            )
        manager = next((each for each in facts.programs if self._is_manager(each)), None)
        if manager is not None:
            sentence = f"{shown(manager)}, a package manager, did it or started what did it"
            yield Driver("package_manager", points.package_manager, sentence)
        planned = next((each.change for each in self._planned if each.covers(facts)), None)
        if planned is not None:
            sentence = shown(f"{planned.owner} planned it: {planned.name}, {planned.reason}", _LONGEST_PLAN)
            yield Driver("planned_change", points.planned_change, sentence)

    def _level(self, facts: Facts) -> Driver:
        full: int = getattr(self._points.level, facts.level)
        percent = CONFIDENCES[facts.confidence]
        points = round(full * percent / 100)
        if facts.level_is_given:
            sentence = f"A rule of level {facts.level} matched, with {facts.confidence} confidence"
        else:
            sentence = f"By its severity it counts as level {facts.level}, with {facts.confidence} confidence"
        return Driver("level", points, sentence)

    def _novelty(self, facts: Facts) -> Iterator[Driver]:
        """The kind with the most points speaks for all; what is uncertain is worth half."""
        worth = self._points.first_seen
        first = [kind for kind in facts.first_seen if kind in _WORDS]
        if first:
            points = {
                kind: int(getattr(worth, kind) / 2) if kind in facts.uncertain else getattr(worth, kind)
                for kind in first
            }
            best = max(first, key=lambda kind: points[kind])
            doubt = ", as far as is remembered" if best in facts.uncertain else ""
            sentence = f"New on this host{doubt}: {_listed(first)}"
            yield Driver("first_seen", points[best], sentence)
            return
        rare = [kind for kind in facts.rare if kind in _WORDS]
        if rare:
            yield Driver("rare", self._points.rare, f"Seen on this host on few days only: {_listed(rare)}")

    def _privileged(self, facts: Facts) -> Iterator[Driver]:
        group = next((each for each in facts.groups if each in self._groups), None)
        if not _ROOT.isdisjoint(facts.user_ids):
            yield Driver("privileged", self._points.privileged, "Root's account or rights are involved")
        elif group is not None:
            sentence = f"It concerns the group {group}, which is as good as root"
            yield Driver("privileged", self._points.privileged, sentence)

    def _is_manager(self, program: str) -> bool:
        return program.startswith(_SYSTEM) and program.rpartition("/")[2] in self._managers


def _listed(kinds: list[str]) -> str:
    *some, last = (_WORDS[kind] for kind in dict.fromkeys(kinds))
    return f"{', '.join(some)} and {last}" if some else last


def _records(count: int) -> str:
    if count < 2:
        return "It is the result of"
    return f"{count} records make"


def shown(value: str, longest: int = _LONGEST) -> str:
    """A value from a record within a sentence: short, and without characters that do something."""
    if len(value) > longest:
        value = value[: longest - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
