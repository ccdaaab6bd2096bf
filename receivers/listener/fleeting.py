"""TCP listeners that the kernel told of, until a list of sockets shows them or they turn out to be gone already.

The tracepoint tells who and when, for all network namespaces at once; the notice of a destroyed socket tells that it
was in a namespace that is looked at. A listener that no list has shown is told of when both are there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_fim.host.process import Process
from otel_fim.receivers.listener.diag_messages import Destroyed
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket
from otel_fim.receivers.listener.transitions import Transition

_PATIENCE_NANOSECONDS: Final = 10_000_000_000
_LIMIT: Final = 4096


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
        self._destroyed: list[tuple[int, int | None, Destroyed]] = []
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

    def claim(self, socket: ListeningSocket, pids: set[int]) -> Begun | None:
        """What was told of a socket that a list shows for the first time, held by those processes."""
        match = None
        for begun in self._begun.values():
            told = begun.transition
            if begun.listed is not None or told.family != socket.family or told.address != socket.address:
                continue
            if told.port == socket.port or (told.port == 0 and told.pid in pids):
                match = begun
                if told.pid in pids:
                    break
        if match is not None:
            match.listed = socket.identity
        return match

    def take_ended(self) -> list[Ended]:
        """The listeners of which all is known now. Forgets what has waited for too long."""
        found = []
        waiting = []
        for begun, end in self._ended:
            at = next((i for i, each in enumerate(self._destroyed) if _is_end(each, begun, end)), None)
            if at is not None:
                found.append(Ended(begun, end, self._destroyed.pop(at)[1]))
            else:
                waiting.append((begun, end))
        limit = self._now() - _PATIENCE_NANOSECONDS
        self._ended = [each for each in waiting if each[1].monotonic_ns > limit]
        self._destroyed = [each for each in self._destroyed if each[0] > limit]
        return found


def _is_end(destroyed: tuple[int, int | None, Destroyed], begun: Begun, end: Transition) -> bool:
    """Whether that notice is of the socket that has ended: the notice comes after the end, from the same namespace."""
    heard_at, place, notice = destroyed
    if heard_at < end.monotonic_ns or begun.place not in (None, place):
        return False
    return (notice.family, notice.address, notice.port) == (end.family, end.address, end.port)
