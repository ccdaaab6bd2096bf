"""From lists of sockets to what opened and what closed: which sockets are told of, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otel_fim.receivers.listener.book import Book, Listener
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
class Changes:
    """Closings come first: a service that was restarted has ended before it began again."""

    closed: list[Listener] = field(default_factory=list)
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

    def compare(self, listed: Iterable[ListeningSocket], backend: str, *, before: bool = False) -> Changes:
        """What changed since the last time. `before`: what is new was there before the receiver looked."""
        here = {each.identity: each for each in listed}
        changes = Changes()
        for identity in [each for each in self.book.identities() if each not in here]:
            changes.moved = True
            listener = self.book.closed(identity)
            if listener is not None:
                changes.closed.append(listener)
        for identity in [each for each in self._waiting if each not in here]:
            del self._waiting[identity]
        due = [each for each in here.values() if self._is_due(each, before)]
        if due:
            self._add(due, backend, changes, before)
        return changes

    def gone(self, identity: Identity) -> Listener | None:
        """One socket is gone; gives the listener whose last one it was."""
        self._waiting.pop(identity, None)
        return self.book.closed(identity)

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

    def _add(self, sockets: list[ListeningSocket], backend: str, changes: Changes, before: bool) -> None:
        likely = dict.fromkeys(each.transition.pid for each in self._fleeting.waiting())
        found = holders(sockets, likely)
        changes.denied = found.denied
        for socket in sockets:
            identity = socket.identity
            pids = found.pids[identity]
            begun = self._fleeting.claim(socket, pids) if socket.transport == "tcp" else None
            _, was_there = self._waiting.pop(identity, (0.0, before))
            owner = self._owners.owner(pids)
            if not self._config.takes(socket, None if owner is None else owner.executable):
                self.book.leave_out(identity)
                continue
            told = None if begun is None else begun.transition
            listener = Listener(socket, owner, backend if told is None else "tracepoint", {identity})
            if self.book.opened(listener):
                since = None if told is None else unix_nano(told.monotonic_ns)
                changes.opened.append(Opening(listener, since, was_there))
            else:
                changes.moved = True
