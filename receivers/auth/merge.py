"""Makes one event of all the lines and sources that tell of the same thing.

Every event that comes is a sighting and belongs to a story: one that matches it, or a new one. A story is told when the
merge window has passed since its decision came; a story of hints alone waits as long as the decision may take. What
comes later finds the story in the memory and is not told again.

A source tells each part of a story once: of three "Failed password" lines of one connection each is a story. The rows
that btmp has of them are matched one to one, in order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from otel_fim.receivers.auth.codec import from_json, to_json
from otel_fim.receivers.auth.event import AuthEvent, Kind, Weight
from otel_fim.receivers.auth.parse import build, utmp, values
from otel_fim.receivers.auth.parse.audit import OPERATION
from otel_fim.receivers.auth.parse.sudo import CONTINUED
from otel_fim.receivers.auth.story import Story, fold

_NANO: Final = 1_000_000_000
_MEMORY_SECONDS: Final = 3600.0
_POISON_SECONDS: Final = 600.0
_CANDIDATES: Final = 64
_KEPT_STORIES: Final = 256
_KEPT_SECONDS: Final = 600.0
# One process: how far its lines may lie apart, in seconds. sshd's connection waits two minutes for its password, sudo
# asks for it for five.
_SAME_PROCESS: Final = {"login": 180, "fail": 330, "privilege": 330, "logout": 120, "account": 120}


class Merger:
    """The stories that are open and those that were told. Not safe to use from several threads.

    Times are event times, in ns since the epoch; `now` is any clock in seconds that only goes forward.
    """

    def __init__(self, window: float, *, limit: int = 4096) -> None:
        self.window = window
        self._limit = limit
        self._number = 0
        self._open: OrderedDict[int, Story] = OrderedDict()
        self._told: OrderedDict[int, Story] = OrderedDict()
        self._index: dict[tuple[object, ...], dict[int, Story]] = {}
        self._seen: dict[tuple[str, str], Story] = {}
        self._poison: OrderedDict[tuple[str | None, str | None], tuple[float, int]] = OrderedDict()
        self.merged = 0
        """Sightings that did not become a record of their own."""

    # --- What comes in -------------------------------------------------------------------------------------------

    def add(self, event: AuthEvent, now: float) -> bool:
        """Takes a sighting; False when it is the text of an entry that its sender has forged."""
        if event.identity is not None and (event.sources[0], event.identity) in self._seen:
            self.merged += 1
            return True
        if not event.trusted and self._is_poisoned(event):
            return False
        family = _family(event)
        story = self._find(event, family)
        if story is None:
            self._number += 1
            story = Story(self._number, family, now + self._patience(event))
            story.add(event)
            self._open[story.number] = story
        else:
            self.merged += 1
            before = story.weight
            if not story.add(event):
                return True
            if not story.told:
                if before < Weight.DECISION and event.weight is Weight.DECISION:
                    story.due = now + self.window
                elif before is Weight.HINT and event.weight is Weight.HINT and event.patience is None:
                    story.due = min(story.due, now + self.window)
                elif before is Weight.SUPPORT:
                    story.due = now + self._patience(event)
        self._remember(event, story)
        return True

    def poison(self, identifier: str, message: str, time_unix_nano: int, now: float) -> int:
        """A trusted source saw this text come from someone who may not say so: it does not count elsewhere either.

        Gives the number of sightings taken back."""
        key = (identifier, message)
        self._poison[key] = (now, time_unix_nano)
        while len(self._poison) > self._limit:
            self._poison.popitem(last=False)
        taken = 0
        for story in list(self._open.values()):
            kept = [event for event in story.sightings if event.trusted or not self._is_poisoned(event)]
            taken += len(story.sightings) - len(kept)
            if not kept:
                self._forget(story)
            elif len(kept) < len(story.sightings):
                story.keep(kept)
        return taken

    def _is_poisoned(self, event: AuthEvent) -> bool:
        found = self._poison.get((event.identifier, event.original))
        return found is not None and abs(found[1] - event.time_unix_nano) <= (self.window + 2) * _NANO

    # --- What goes out -------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[AuthEvent]:
        """The events of the stories whose time has come, oldest first."""
        ready = [
            story for story in self._open.values() if story.due <= now and not self._is_early(story, now)
        ]
        if len(self._open) - len(ready) > self._limit:
            # A flood: what waits for company goes without, and if that is not enough, what waits for its decision.
            ready = [
                story for story in self._open.values() if story.weight is Weight.DECISION or story.due <= now
            ]
            if len(self._open) - len(ready) > self._limit // 2:
                ready = list(self._open.values())
        return self._tell(ready, now)

    def _is_early(self, story: Story, now: float) -> bool:
        """Whether a logout would be told before the login of the same process: a slow log told of that one last."""
        if story.family != "logout":
            return False
        return any(
            not login.told and login.due > now
            for pid in story.pids
            for login in self._index.get(("login", "pid", pid), {}).values()
        )

    def flush(self, now: float) -> list[AuthEvent]:
        """The events of all stories: nothing more is to come."""
        return self._tell(list(self._open.values()), now)

    @property
    def is_flooded(self) -> bool:
        """Whether more is open than may be: `due` has something to give."""
        return len(self._open) > self._limit

    def next_due(self) -> float | None:
        """When `due` has something to give."""
        return min((story.due for story in self._open.values()), default=None)

    def _tell(self, stories: list[Story], now: float) -> list[AuthEvent]:
        events: list[tuple[int, int, AuthEvent]] = []
        stories = [story for story in stories if not self._joins_another(story)]
        for story in stories:
            if story.weight is not Weight.SUPPORT and not self._is_echo(story):
                event = fold(story, self._siblings(story))
                events.append((event.time_unix_nano, story.number, event))
            self._open.pop(story.number, None)
            story.told, story.told_at = True, now
            self._told[story.number] = story
        self._clean(now)
        return [event for _, _, event in sorted(events, key=lambda each: each[:2])]

    def _joins_another(self, story: Story) -> bool:
        """Whether a story of hints by other processes is that of somebody who decided, as is known only by now."""
        if story.pids or story.weight is not Weight.HINT:
            return False
        other = self._find(story.sightings[0], story.family, but=story)
        if other is None:
            return False
        sightings = list(story.sightings)
        self._forget(story)
        for event in sightings:
            if other.add(event):
                self._remember(event, other)
        self.merged += 1
        return True

    def _is_echo(self, story: Story) -> bool:
        """sshd writes a name without an account to btmp once more than it checks a password of it."""
        if any(event.sources[0] != "btmp" for event in story.sightings):
            return False
        return any(
            event.user_known is False and event.sources[0] != "btmp"
            for other in self._siblings(story)
            for event in other.sightings
        )

    def _siblings(self, story: Story) -> Iterator[Story]:
        if story.family == "fail":
            for pid in story.pids:
                for other in self._index.get((story.family, "pid", pid), {}).values():
                    if other is not story and other.pids == {pid}:
                        yield other

    def _clean(self, now: float) -> None:
        while self._told:
            story = next(iter(self._told.values()))
            if len(self._told) <= self._limit and now - story.told_at <= _MEMORY_SECONDS:
                break
            self._forget(story)
        while self._poison and now - next(iter(self._poison.values()))[0] > _POISON_SECONDS:
            self._poison.popitem(last=False)

    def _forget(self, story: Story) -> None:
        self._open.pop(story.number, None)
        self._told.pop(story.number, None)
        for event in story.sightings:
            for key in _keys(event, story.family):
                stories = self._index.get(key)
                if stories is not None and stories.pop(story.number, None) is not None and not stories:
                    del self._index[key]
            if event.identity is not None:
                self._seen.pop((event.sources[0], event.identity), None)

    # --- Across restarts -----------------------------------------------------------------------------------------

    def dump(self, now: float) -> list[dict[str, Any]]:
        """The open stories and the newest of those told, for `load`."""
        told = [
            story
            for story in list(self._told.values())[-_KEPT_STORIES:]
            if now - story.told_at <= _KEPT_SECONDS
        ]
        return [
            {
                "family": story.family,
                "told": story.told,
                "seconds": round(story.told_at - now if story.told else story.due - now, 3),
                "sightings": [to_json(event, short=story.told) for event in story.sightings],
            }
            for story in (*told, *self._open.values())
        ]

    def load(self, kept: object, now: float) -> None:
        """Takes up what `dump` gave; what is not of that form is left out."""
        for row in kept if isinstance(kept, list) else []:
            if not isinstance(row, dict) or not isinstance(row.get("sightings"), list):
                continue
            events = [event for each in row["sightings"] if (event := from_json(each)) is not None]
            seconds = row.get("seconds")
            if not events or not isinstance(seconds, int | float):
                continue
            self._number += 1
            story = Story(self._number, _family(events[0]), now + seconds, told=bool(row.get("told")))
            (self._told if story.told else self._open)[story.number] = story
            story.told_at = now
            for event in events:
                if story.add(event):
                    self._remember(event, story)
            if story.weight is Weight.DECISION:
                story.due = min(story.due, now + self.window)

    def _remember(self, event: AuthEvent, story: Story) -> None:
        if event.identity is not None:
            self._seen[event.sources[0], event.identity] = story
        for key in _keys(event, story.family):
            self._index.setdefault(key, {})[story.number] = story

    # --- Which story ---------------------------------------------------------------------------------------------

    def _patience(self, event: AuthEvent) -> float:
        if event.weight is Weight.DECISION or event.patience is None:
            return self.window
        return max(self.window, event.patience)

    def _find(self, event: AuthEvent, family: str, but: Story | None = None) -> Story | None:
        """The story that the event belongs to: of one process first, then of whoever it may be. With `but`, another
        one than that, and it is the last time that the event is looked at."""
        exact: list[tuple[object, ...]] = []
        rest: list[tuple[object, ...]] = []
        for key in _keys(event, family):
            (exact if key[1] in ("pid", "login") else rest).append(key)
        pid = event.pid if event.exact_pid else None
        for keys in (exact, rest):
            found: dict[int, Story] = {}
            for key in keys:
                stories = self._index.get(key)
                if stories is None:
                    continue
                for story in islice(reversed(stories.values()), _CANDIDATES):
                    # Another process's story needs no closer look: in a burst nearly all are.
                    if pid is not None and story.pids and pid not in story.pids and pid not in story.helpers:
                        continue
                    if story is not but and (but is not None or not _is_premature(event, story)):
                        found[story.number] = story
            fitting = [story for story in found.values() if self._fits(event, story, family)]
            if fitting:
                return min(fitting, key=lambda story: (story.earliest, story.number))
        return None

    def _fits(self, event: AuthEvent, story: Story, family: str) -> bool:
        same_process = event.pid is not None and (event.pid in story.pids or event.pid in story.helpers)
        if event.login_key is not None:
            keys = {each.login_key for each in story.sightings}
            if event.login_key in keys:
                return True
            if keys != {None}:
                return False
        if not self._near(event, story, family, same_process):
            return False
        return _agrees(event, story, same_process) and self._has_room(event, story, same_process)

    def _near(self, event: AuthEvent, story: Story, family: str, same_process: bool) -> bool:
        limit = self.window
        loose = event.weight is Weight.HINT or story.weight is Weight.HINT
        if same_process and (loose or family in ("login", "account", "logout")):
            limit = max(limit, _SAME_PROCESS[family])
        elif loose and family in ("fail", "privilege"):
            limit = max(
                limit,
                event.patience or 0.0,
                *(each.patience or 0.0 for each in story.sightings if each.weight is Weight.HINT),
            )
        return story.apart(event) <= limit * _NANO

    def _has_room(self, event: AuthEvent, story: Story, same_process: bool) -> bool:
        if event.part == CONTINUED:
            return True
        if event.kind is Kind.ACCOUNT and same_process:
            # A tool tells of each of its steps, and does one thing to one account.
            return True
        once = event.service == "sudo" or (event.service == "sshd" and event.part != "auth")
        if event.weight is Weight.HINT and once and _family(event) == "fail":
            # About the connection, or the process, as a whole, however many attempts it has.
            return same_process or not event.exact_pid or event.pid is None or not story.pids
        return story.times_told(event.sources[0], event.part) + event.count <= max(
            story.capacity, event.count
        )


def _is_premature(event: AuthEvent, story: Story) -> bool:
    """Whether a hint by some process may yet turn out to be about another attempt than a row of btmp by another: sshd
    writes one row too many, and that one would keep the hint for itself."""
    if event.pid is None or event.pid in story.pids or event.pid in story.helpers:
        return False
    if event.sources[0] == "btmp":
        return bool(story.helpers) and not story.pids
    is_hint = event.weight is Weight.HINT and not event.exact_pid
    return is_hint and all(each.sources[0] == "btmp" for each in story.sightings)


def _family(event: AuthEvent) -> str:
    if event.kind in (Kind.LOGIN, Kind.PRIVILEGE) and event.outcome == build.FAILURE:
        return "fail"
    return event.kind.value


def _keys(event: AuthEvent, family: str) -> Iterable[tuple[object, ...]]:
    if event.pid is not None:
        yield (family, "pid", event.pid)
    if event.login_key is not None:
        yield (family, "login", event.login_key)
    if event.source_address is not None:
        yield (family, "address", event.source_address, event.source_port)
        if event.source_port is not None:
            yield (family, "address", event.source_address, None)
    for name in {event.user, event.effective_user, event.target_user}:
        if name is not None:
            yield (family, "user", name)
    if event.group is not None:
        yield (family, "group", event.group)
    if event.kind is Kind.PRIVILEGE:
        # One source has the caller's name and no pid, another a pid and an id without a name.
        yield (family, "action", event.action)


def _agrees(event: AuthEvent, story: Story, same_process: bool) -> bool:
    return all(_compatible(event, each, same_process) for each in story.sightings)


def _compatible(one: AuthEvent, other: AuthEvent, same_process: bool) -> bool:
    if one.kind is not other.kind:
        return _is_btmp_of_su(one, other) or _is_btmp_of_su(other, one)
    if one.kind is Kind.ACCOUNT:
        return _same_account(one, other, same_process)
    if one.kind is Kind.PRIVILEGE and one.action != other.action:
        return False
    if _is_too_short(one, other) or _is_too_short(other, one):
        return False
    if one.service and other.service and one.service != other.service and not same_process:
        return False
    if (
        one.weight is Weight.DECISION
        and other.weight is Weight.DECISION
        and _differ(one.method, other.method)
    ):
        return False
    if _differ(one.source_port, other.source_port) or _differ_in_host(
        one.source_address, other.source_address
    ):
        return False
    return not (
        _differ(one.user, other.user)
        or _differ(one.effective_user, other.effective_user)
        or _differ(one.terminal, other.terminal)
        or _differ(one.host_session, other.host_session)
    )


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _differ_in_host(one: str | None, other: str | None) -> bool:
    # A host's name cannot be held against an address.
    return _differ(values.address(one), values.address(other))


def _is_too_short(event: AuthEvent, row: AuthEvent) -> bool:
    """A row of sshd's in btmp is without a name when the name has no room there: it is of nobody with a short one."""
    nameless = row.sources[0] == "btmp" and row.service == "sshd" and row.user is None
    return nameless and event.user is not None and len(event.user) < utmp.CUT


def _is_btmp_of_su(row: AuthEvent, event: AuthEvent) -> bool:
    """util-linux' su writes the name of whom somebody wanted to become, with its own pid."""
    return (
        row.kind is Kind.LOGIN
        and row.sources[0] == "btmp"
        and row.source_address is None
        and event.kind is Kind.PRIVILEGE
        and not _differ(event.pid, row.pid)
        and not _differ(row.user, event.effective_user)
    )


def _same_account(one: AuthEvent, other: AuthEvent, same_process: bool) -> bool:
    if OPERATION in (one.part, other.part):
        # The audit tells of a step in general words, and of the account by a number that may have a new name by now.
        by_number = one.target_user_id is not None or other.target_user_id is not None
        other_one = not by_number and _differ(one.target_user, other.target_user)
        return same_process and not other_one and not _differ(one.group, other.group)
    return (
        one.action == other.action
        and one.outcome == other.outcome
        and not _differ(one.target_user, other.target_user)
        and not _differ(one.target_user_id, other.target_user_id)
        and not _differ(one.group, other.group)
    )
