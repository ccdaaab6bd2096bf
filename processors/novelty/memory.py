"""What was seen on which days, for each host and kind, in bounded room.

A thing is eight bytes of BLAKE2b, kept as an integer; when it was seen is one integer too: the last day, and a bit for
each of the thirty days up to it. Days are counted from the first start of the agent, in time that it ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

from otel_fim.names import NOVELTY_KINDS
from otel_fim.processors.novelty.kinds import SHARES, Seen

DAY_SECONDS: Final = 86_400
WINDOW_DAYS: Final = 30
_WINDOW: Final = (1 << WINDOW_DAYS) - 1
_COUNT: Final = len(NOVELTY_KINDS)
_SHARED_LIMIT: Final = 65_536
_CACHE_LIMIT: Final = 8_192
_CACHE_CHARACTERS: Final = 1 << 20
_CACHE_LONGEST: Final = 1_024
_SILENT_SECONDS: Final = DAY_SECONDS
NEVER: Final = -1


def key_of(parts: Sequence[str]) -> int:
    """Sixty bits, which is what fits a small integer object; two of 100 000 things are the same once in 10⁸ hosts."""
    text = "\0".join(part.replace("\0", "\ufffd") for part in parts)
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 4


def pack(day: int, days: int) -> int:
    """The last day and the days up to it: bit 0 of `days` is that day."""
    return day << WINDOW_DAYS | days & _WINDOW


@dataclass(slots=True)
class Host:
    """What is known of one host. `begun` is when learning began for each kind and `last` when the host last spoke, in
    seconds that the agent ran; `evicted` the last day on which something of a kind was seen that had to be
    forgotten."""

    name: str
    last: int
    begun: list[int]
    things: list[dict[int, int]] = field(default_factory=lambda: [{} for _ in range(_COUNT)])
    evicted: list[int] = field(default_factory=lambda: [NEVER] * _COUNT)
    cache: dict[Seen, tuple[str, ...]] = field(default_factory=dict)
    """What is rare about what was seen today: nothing more can come of looking at it again. Valid until `cache_until`
    (seconds that the agent ran)."""
    cache_until: int = 0


@dataclass(slots=True, frozen=True)
class Eviction:
    """A kind had to forget something of a host, for the first time on this day, that was seen in the last month."""

    host: str
    kind: str


class Memory:
    """All hosts. Times are whole seconds that the agent ran, days what they come to. `wanted` says which kinds are
    looked at."""

    def __init__(self, max_entries: int, max_hosts: int, wanted: Sequence[bool] = (True,) * _COUNT) -> None:
        self._max_hosts = max_hosts
        self._wanted = wanted
        self._no_room_before = 0
        self._quota = [max(16, max_entries * SHARES[kind] // 100) for kind in NOVELTY_KINDS]
        self._size = [0] * _COUNT
        self._cached = 0
        self._cached_characters = 0
        self._told: set[Eviction] = set()
        self._told_day = NEVER
        self._shared: dict[int, int] = {}
        self.hosts: dict[str, Host] = {}
        self.is_changed = False
        self.evicted: dict[str, int] = {}
        """By kind, since it was last looked at: for the metric."""
        self.evictions: list[Eviction] = []
        """Since they were last looked at."""
        self.forgotten: list[str] = []
        """Hosts that made room for others, since they were last looked at."""

    @property
    def size(self) -> int:
        """Things remembered."""
        return sum(self._size)

    # --- Hosts ---------------------------------------------------------------------------------------

    def host(self, name: str, now: int) -> Host | None:
        """The host of that name, made if need be; None when there is no room for another one."""
        found = self.hosts.get(name)
        if found is None:
            if len(self.hosts) >= self._max_hosts and not self._make_room(now):
                return None
            begun = [now if wanted else NEVER for wanted in self._wanted]
            found = self.hosts[name] = Host(name, now, begun)
            self.is_changed = True
        return found

    def _make_room(self, now: int) -> bool:
        if now < self._no_room_before:
            return False
        silent = min(self.hosts.values(), key=lambda host: host.last)
        self._no_room_before = silent.last + _SILENT_SECONDS
        if now < self._no_room_before:
            return False
        self._forget(silent)
        return True

    def fit_hosts(self) -> None:
        """Forgets the hosts that are too many, those that have been silent for longest."""
        for host in sorted(self.hosts.values(), key=lambda host: host.last)[: -self._max_hosts]:
            self._forget(host)

    def _forget(self, host: Host) -> None:
        for index, things in enumerate(host.things):
            self._size[index] -= len(things)
            self._count_evicted(index, len(things))
        del self.hosts[host.name]
        self.forgotten.append(host.name)

    # --- Things --------------------------------------------------------------------------------------

    def see(self, host: Host, kind: int, key: int, day: int) -> int:
        """Notes that it was seen on a day. How many of the last thirty days it was seen on, with this one; 0 for what
        was never seen before."""
        things = host.things[kind]
        known = things.get(key)
        if known is None:
            self._put(things, key, pack(day, 1))
            self._size[kind] += 1
            if self._size[kind] > self._quota[kind]:
                self._evict(kind, day)
            return 0
        past = day - (known >> WINDOW_DAYS)
        if past > 0:
            # To the end, so that the order is that of when things were last seen, by days.
            del things[key]
            days = (known & _WINDOW) << past if past < WINDOW_DAYS else 0
            known = self._put(things, key, pack(day, days | 1))
        return (known & _WINDOW).bit_count()

    def cache(self, host: Host, seen: Seen, rare: tuple[str, ...]) -> None:
        """Notes that nothing more can come of what was seen today. A few thousand for all hosts together; what is very
        long is looked at each time."""
        characters = sum(map(len, seen))
        if characters > _CACHE_LONGEST:
            return
        if self._cached >= _CACHE_LIMIT or self._cached_characters > _CACHE_CHARACTERS:
            self._cached = self._cached_characters = 0
            for each in self.hosts.values():
                each.cache.clear()
        self._cached += 1
        self._cached_characters += characters
        host.cache[seen] = rare

    def _put(self, things: dict[int, int], key: int, value: int) -> int:
        # Most things were seen on the same days as others: one integer object serves them all.
        if len(self._shared) > _SHARED_LIMIT:
            self._shared.clear()
        value = self._shared.setdefault(value, value)
        things[key] = value
        self.is_changed = True
        return value

    def restore(self, host: Host, kind: int, keys: Sequence[int], values: Sequence[int], day: int) -> None:
        """Takes up what was saved, in its order; as much as there is room for."""
        things = host.things[kind]
        for key, value in zip(keys, values, strict=True):
            things[key] = self._shared.setdefault(value, value)
        self._size[kind] += len(things)
        while self._size[kind] > self._quota[kind]:
            self._evict(kind, day)

    def _evict(self, kind: int, day: int) -> None:
        """Forgets what was not seen for longest, of the host with the most of the kind: no host crowds out another.
        A few at a time, because finding the oldest of a dictionary takes time."""
        host = max(self.hosts.values(), key=lambda each: len(each.things[kind]))
        things = host.things[kind]
        excess = self._size[kind] - self._quota[kind]
        oldest = list(islice(things, min(len(things), max(excess, self._quota[kind] // 64, 1))))
        newest_day = things[oldest[-1]] >> WINDOW_DAYS
        for key in oldest:
            del things[key]
        self._size[kind] -= len(oldest)
        self._count_evicted(kind, len(oldest))
        host.cache.clear()
        host.evicted[kind] = max(host.evicted[kind], newest_day)
        if self._told_day != day:
            self._told_day = day
            self._told.clear()
        eviction = Eviction(host.name, NOVELTY_KINDS[kind])
        # What was not seen for a month is as good as new.
        if day - newest_day <= WINDOW_DAYS and eviction not in self._told:
            self._told.add(eviction)
            self.evictions.append(eviction)

    def _count_evicted(self, kind: int, count: int) -> None:
        name = NOVELTY_KINDS[kind]
        self.evicted[name] = self.evicted.get(name, 0) + count
        self.is_changed = True
