"""From lists of sockets to what opened and what closed: which sockets are told of, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from otel_fim.receivers.listener.book import Book, Listener, Owner
from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.receivers.listener.fleeting import Fleeting
from otel_fim.receivers.listener.owners import Owners, holders
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket
from otel_fim.receivers.listener.tracepoint import unix_nano


@dataclass(slots=True)
class Opening:
    """A listener that is new: since when, when that is known, and whether it was there before the receiver looked."""

    listener: Listener
    time_unix_nano: int | None = None
    before: bool = False


@dataclass(slots=True)
class Closing:
    """A listener that is no more: since when, when that is known."""

    listener: Listener
    monotonic_ns: int | None = None


@dataclass(slots=True)
class Changes:
    """Closings come first: a service that was restarted has ended before it began again."""

    closed: list[Closing] = field(default_factory=list)
    opened: list[Opening] = field(default_factory=list)
    denied: bool = False
    moved: bool = False
    """The sockets of a listener are others, and it goes on."""

    def __bool__(self) -> bool:
        return bool(self.closed or self.opened)


class Differences:
    """Keeps the book. For one thread."""

    def __init__(
        self,
        config: ListenerConfig,
        book: Book,
        owners: Owners,
        fleeting: Fleeting,
        client_ports: range,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self.book = book
        self._owners = owners
        self._fleeting = fleeting
        self._listed = (0, 0)
        self._client_ports = client_ports
        self._clock = clock
        self._waiting: dict[Identity, tuple[float, bool]] = {}

    @property
    def patient(self) -> bool:
        """Whether a socket waits to be told of, so that a list that is the same as before matters too."""
        return bool(self._waiting)

    def missing(self, listed: Iterable[ListeningSocket]) -> bool:
        """Whether a listener that is told of is not in the list: reason to list again before it is called closed."""
        here = {each.identity for each in listed}
        return any(each not in here for each in self.book.identities())

    def compare(
        self,
        listed: Iterable[ListeningSocket],
        backend: str,
        *,
        before: bool = False,
        when: tuple[int, int] = (0, 0),
    ) -> Changes:
        """What changed since the last time. `before`: what is new was there before the receiver looked. `when` the list
        was begun and finished, in monotonic ns."""
        self._listed = when
        here = {each.identity: each for each in listed}
        changes = Changes()
        due = [each for each in here.values() if self._is_due(each, before)]
        if due:
            self._add(due, here, backend, changes, before)
        self._end([each for each in self.book.identities() if each not in here], changes)
        for identity in [each for each in self._waiting if each not in here]:
            del self._waiting[identity]
        return changes

    def gone(self, identity: Identity) -> Closing | None:
        """One socket is gone; gives the listener whose last one it was."""
        self._waiting.pop(identity, None)
        listener = self.book.closed(identity)
        end = self._fleeting.take_end(identity)
        if listener is None:
            return None
        return Closing(listener, end)

    def is_client(self, socket: ListeningSocket) -> bool:
        """Whether it may be a client that waits for an answer, not a service."""
        return (
            self._config.udp == "server" and socket.transport == "udp" and socket.port in self._client_ports
        )

    def _is_due(self, socket: ListeningSocket, before: bool) -> bool:
        identity = socket.identity
        if identity in self.book:
            return False
        if self._left_out_whoever(socket):
            self.book.leave_out(identity)
            return False
        if not self.is_client(socket):
            return True
        since, _ = self._waiting.setdefault(identity, (self._clock(), before))
        return self._clock() - since >= self._config.interval

    def _left_out_whoever(self, socket: ListeningSocket) -> bool:
        """Whether it is left out without a look at who holds it, which is the dear part."""
        if any(each.executable is None and each.matches(socket, None) for each in self._config.exclude):
            return True
        include = self._config.include
        without = (each.model_copy(update={"executable": None}) for each in include)
        return bool(include) and not any(each.matches(socket, None) for each in without)

    def _end(self, identities: Iterable[Identity], changes: Changes) -> None:
        for identity in list(identities):
            changes.moved = True
            closing = self.gone(identity)
            if closing is not None:
                changes.closed.append(closing)

    def _end_namesake(self, new: Listener, here: Container[Identity], changes: Changes) -> None:
        """A process that has opened another socket at the same place goes on listening. Where nobody knows who holds
        the sockets, one that is gone and one that is new are two listeners."""
        known = self.book.get(new.key)
        if known is not None and new.owner is None and not any(each in here for each in known.sockets):
            self._end(known.sockets, changes)

    def _add(
        self,
        sockets: list[ListeningSocket],
        here: Container[Identity],
        backend: str,
        changes: Changes,
        before: bool,
    ) -> None:
        likely = dict.fromkeys(each.transition.pid for each in self._fleeting.waiting())
        found = holders(sockets, likely)
        changes.denied = found.denied
        for socket in sockets:
            identity = socket.identity
            pids = found.pids[identity]
            begun = self._fleeting.claim(socket, pids, self._listed) if socket.transport == "tcp" else None
            _, was_there = self._waiting.pop(identity, (0.0, before))
            owner = self._owners.owner(pids)
            if owner is None and begun is not None and begun.transition.pid > 0:
                # Nobody holds it any more, but the kernel told who made it listen.
                owner = Owner(begun.transition.pid, begun.process)
            if not self._config.takes(socket, None if owner is None else owner.executable):
                self.book.leave_out(identity)
                continue
            told = None if begun is None else begun.transition
            listener = Listener(
                socket,
                owner,
                backend if told is None else "tracepoint",
                {identity},
                time.monotonic_ns() if told is None else told.monotonic_ns,
            )
            self._end_namesake(listener, here, changes)
            if self.book.opened(listener):
                since = None if told is None else unix_nano(told.monotonic_ns)
                changes.opened.append(Opening(listener, since, was_there))
            else:
                changes.moved = True
