"""What listens: one entry for a place (transport, address, port) and its owner, however many sockets there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from otel_fim.host.process import Process
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket, Transport


@dataclass(slots=True, frozen=True)
class Owner:
    """Who holds a socket: a pid, and the process as far as it is known. `others` are further processes that hold it,
    as pid and executable."""

    pid: int
    process: Process | None = None
    others: tuple[str, ...] = ()

    @property
    def executable(self) -> str | None:
        return None if self.process is None else self.process.executable_path

    @property
    def name(self) -> str | None:
        """What the owner is called in a sentence."""
        if self.process is None:
            return None
        if self.process.executable_path is not None:
            return self.process.executable_path.rsplit("/", 1)[-1]
        return self.process.command


Key: TypeAlias = tuple[int | None, Transport, str, int, str]
"""Network namespace, transport, address, port, owner."""


@dataclass(slots=True, eq=False)
class Listener:
    """One thing that listens. `sockets` are those that are open now; it is closed when there is none left.
    `since` is when it began, or was first seen (monotonic ns; 0 when that was before this run)."""

    socket: ListeningSocket
    owner: Owner | None
    backend: str
    sockets: set[Identity] = field(default_factory=set)
    since: int = 0

    @property
    def key(self) -> Key:
        socket, owner = self.socket, self.owner
        if owner is None:
            who = f"user {socket.user_id}"
        elif owner.process is None:
            who = f"pid {owner.pid}"
        else:
            who = owner.process.entity_id
        return (socket.namespace, socket.transport, socket.address, socket.port, who)


class Book:
    """The listeners that are open, and which sockets are theirs. For one thread."""

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners: dict[Key, Listener] = {}
        self._of: dict[Identity, Listener | None] = {}
        for listener in listeners:
            self._listeners[listener.key] = listener
            for identity in listener.sockets:
                self._of[identity] = listener

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._of

    def identities(self) -> Iterable[Identity]:
        """The sockets that are known, those that are left out too."""
        return self._of.keys()

    def listeners(self) -> Iterable[Listener]:
        return self._listeners.values()

    def get(self, key: Key) -> Listener | None:
        return self._listeners.get(key)

    def leave_out(self, identity: Identity) -> None:
        """Remembers a socket that is not told of."""
        self._of[identity] = None

    def opened(self, listener: Listener) -> bool:
        """Takes in a listener with one socket; False when there is the same one already, which now has that socket
        too."""
        known = self._listeners.setdefault(listener.key, listener)
        known.sockets |= listener.sockets
        for identity in listener.sockets:
            self._of[identity] = known
        return known is listener

    def closed(self, identity: Identity) -> Listener | None:
        """Takes a socket out; gives the listener whose last one it was."""
        listener = self._of.pop(identity, None)
        if listener is None:
            return None
        listener.sockets.discard(identity)
        if listener.sockets:
            return None
        del self._listeners[listener.key]
        return listener
