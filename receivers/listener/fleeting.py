"""TCP listeners that the kernel told of, until a list of sockets shows them or they turn out to be gone already.

The tracepoint tells who and when, for all network namespaces at once; the notice of a destroyed socket tells that it
was in a namespace that is looked at. A listener that no list has shown is told of when both are there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from otel_fim.host.process import Process
from otel_fim.receivers.listener.diag_messages import Destroyed
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket
from otel_fim.receivers.listener.transitions import Transition

_PATIENCE_NANOSECONDS: Final = 10_000_000_000
_LIMIT: Final = 4096


_Notice: TypeAlias = tuple[int, int | None, Destroyed]
"""When it was heard (monotonic ns), the network namespace, and what was said."""


@dataclass(slots=True)
class Begun:
    """A socket that began to listen: who called, as far as it was known at once, and in which network namespace that
    process was. `listed`: the socket, once a list has shown it."""

    transition: Transition
    process: Process | None
    place: int | None = None
    listed: Identity | None = None


@dataclass(slots=True, frozen=True)
class Ended:
    """A listener that no list has shown: from `begun` to `end`, in a namespace that is looked at."""

    begun: Begun
    end: Transition
    namespace: int | None


class Fleeting:
    """For one thread. Everything in it is bounded, in number and in time."""

    def __init__(self, now: Callable[[], int]) -> None:
        """`now` gives monotonic nanoseconds."""
        self._now = now
        self._begun: OrderedDict[int, Begun] = OrderedDict()
        self._ends: OrderedDict[Identity, int] = OrderedDict()
        self._ended: list[tuple[Begun, Transition]] = []
        self._destroyed: list[_Notice] = []
        self.dropped = 0
        """Listeners that had to be forgotten because there were too many."""

    def begin(self, begun: Begun) -> None:
        self._begun.pop(begun.transition.socket, None)
        self._begun[begun.transition.socket] = begun
        if len(self._begun) > _LIMIT:
            _, oldest = self._begun.popitem(last=False)
            self.dropped += oldest.listed is None

    def end(self, transition: Transition) -> bool:
        """Whether it was a listener that lists have shown, so that its end is seen there too."""
        begun = self._begun.pop(transition.socket, None)
        if begun is None:
            return True
        if begun.listed is not None:
            self._ends[begun.listed] = transition.monotonic_ns
            if len(self._ends) > _LIMIT:
                self._ends.popitem(last=False)
            return True
        if len(self._ended) >= _LIMIT:
            self._ended.pop(0)
            self.dropped += 1
        self._ended.append((begun, transition))
        return False

    def destroyed(self, namespace: int | None, notice: Destroyed) -> None:
        """A TCP socket that no list has shown is gone. `namespace` is a number, the agent's own too."""
        if len(self._destroyed) >= _LIMIT:
            self._destroyed.pop(0)
        self._destroyed.append((self._now(), namespace, notice))

    def waiting(self) -> list[Begun]:
        """What began and is in no list yet."""
        return [each for each in self._begun.values() if each.listed is None]

    def take_end(self, identity: Identity) -> int | None:
        """When a socket that lists have shown ended to listen (monotonic ns); None when that was not told."""
        return self._ends.pop(identity, None)

    def claim(self, socket: ListeningSocket, pids: set[int], listed: tuple[int, int]) -> Begun | None:
        """What was told of a socket that a list shows for the first time, held by those processes. `listed` is when
        the list was begun and finished (monotonic ns): it may have ended since."""
        first, last = listed
        candidates = [each for each in self._begun.values() if each.listed is None]
        candidates += [begun for begun, end in self._ended if end.monotonic_ns >= first]
        match = None
        for begun in candidates:
            told = begun.transition
            if told.monotonic_ns > last or (told.family, told.address) != (socket.family, socket.address):
                continue
            if told.port == socket.port or (told.port == 0 and told.pid in pids):
                match = begun
                if told.pid in pids:
                    break
        if match is None:
            return None
        match.listed = socket.identity
        for at, (begun, end) in enumerate(self._ended):
            if begun is match:
                del self._ended[at]
                self._ends[socket.identity] = end.monotonic_ns
                break
        return match

    def take_ended(self) -> list[Ended]:
        """The listeners of which all is known now. Forgets what has waited for too long."""
        limit = self._now() - _PATIENCE_NANOSECONDS
        if self._destroyed and self._destroyed[0][0] <= limit:
            self._destroyed = [each for each in self._destroyed if each[0] > limit]
        if not self._ended:
            return []
        places: dict[tuple[int, str, int], list[_Notice]] = {}
        for each in self._destroyed:
            places.setdefault(_place(each[2]), []).append(each)
        found, waiting = [], []
        for begun, end in self._ended:
            here = places.get(_place(end), [])
            at = next((i for i, each in enumerate(here) if _is_end(each, begun, end)), None)
            if at is not None:
                found.append(Ended(begun, end, here.pop(at)[1]))
            elif end.monotonic_ns > limit:
                waiting.append((begun, end))
        self._ended = waiting
        if found:
            self._destroyed = sorted(
                (each for here in places.values() for each in here), key=lambda each: each[0]
            )
        return found


def _place(each: Destroyed | Transition) -> tuple[int, str, int]:
    return (each.family, each.address, each.port)


def _is_end(destroyed: _Notice, begun: Begun, end: Transition) -> bool:
    """Whether that notice, of the same place, is of the socket that has ended: it comes after the end, and from the
    same namespace."""
    heard_at, namespace, _ = destroyed
    return heard_at >= end.monotonic_ns and begun.place in (None, namespace)
