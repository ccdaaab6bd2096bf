"""The views of all namespaces, the tracepoint and a way to be woken, behind one `wait`."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import time
from typing import Final, Protocol

from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.receivers.listener.diag_messages import Destroyed
from otel_fim.receivers.listener.sock_diag import Notices
from otel_fim.receivers.listener.sockets import ListeningSocket, Transport
from otel_fim.receivers.listener.tracepoint import Tracepoint
from otel_fim.receivers.listener.transitions import Transition
from otel_fim.receivers.listener.views import (
    View,
    choose_lister,
    namespace_of,
    namespaces,
    open_view,
)

_BREATH_SECONDS: Final = 0.02
"""However much the kernel has to tell, it is listened to no more often than this."""


class _Counts(Protocol):
    rejected: int


class Watching:
    """For one thread, but for `wake`. Raises `OSError` when there is no way to list sockets."""

    def __init__(self, config: ListenerConfig, client_ports: range, logger: logging.Logger) -> None:
        self._config = config
        self._logger = logger
        self._transports: tuple[Transport, ...] = ("tcp",) if config.udp == "none" else ("tcp", "udp")
        self._client_ports = client_ports if config.udp == "server" else None
        self._own = namespace_of("self")
        self.tracepoint: Tracepoint | None = None
        self.denied_namespaces = False
        self.limits: list[str] = []
        """What cannot be had in real time, and why."""
        own = View(None, choose_lister(config.backend, self._transports, logger))
        self.views: dict[int | None, View] = {None: own}
        self.name = own.lister.name
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._awake, self._waker = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._waker, False)
        self._heard_at = float("-inf")
        if self.name == "sock_diag" and config.real_time:
            self._open_real_time(own)
        self._searched_at = float("-inf")
        self._register()

    def close(self) -> None:
        for view in self.views.values():
            view.close()
        self.views.clear()
        if self.tracepoint is not None:
            self.tracepoint.close()
        os.close(self._awake)
        os.close(self._waker)

    def wake(self) -> None:
        """Ends `wait`; from any thread."""
        with contextlib.suppress(OSError):
            os.write(self._waker, b"\0")

    def wait(self, seconds: float) -> bool:
        """Waits for that long at most; whether the kernel has something to tell. What it tells shortly after the
        last time waits a moment, so that a flood is taken in few pieces."""
        pause = self._heard_at + _BREATH_SECONDS - time.monotonic()
        if pause > 0 and self._wait_for_wake(min(pause, seconds)):
            return False
        seconds = max(0.0, seconds - max(0.0, pause))
        holding = self.tracepoint is not None and self.tracepoint.holding
        if holding:
            seconds = 0.0
        if self._poll is None:
            self._wait_for_wake(seconds)
            return False
        ready = self._poll.poll(seconds * 1000)
        told = [descriptor for descriptor, _ in ready if descriptor != self._awake]
        if len(told) < len(ready):
            self._drain()
        if told:
            self._heard_at = time.monotonic()
        return bool(told) or holding

    def hear(self) -> tuple[list[Transition], list[tuple[View, Destroyed]], bool]:
        """Who began or ended to listen, which sockets are gone, and whether the kernel had to leave some out."""
        destroyed: list[tuple[View, Destroyed]] = []
        transitions, lost = self.hear_transitions()
        for view in self.views.values():
            if view.notices is not None:
                told, missing = view.notices.take()
                destroyed += ((view, each) for each in told)
                lost |= missing
        return transitions, destroyed, lost

    def hear_transitions(self) -> tuple[list[Transition], bool]:
        """The tracepoint's part of `hear`."""
        return self.tracepoint.take() if self.tracepoint is not None else ([], False)

    def list_all(self) -> tuple[list[ListeningSocket], bool]:
        """All sockets of all views, and whether they may be others than the last time. Raises `OSError`."""
        found: list[ListeningSocket] = []
        changed = False
        for view in self.views.values():
            sockets, other = view.lister.dump()
            view.count = len(sockets)
            found += sockets
            changed |= other
        return found, changed

    def take_rejected(self) -> int:
        """Malformed messages of the kernel since the last call."""
        sources: list[_Counts] = [view.lister for view in self.views.values()]
        sources += [view.notices for view in self.views.values() if view.notices is not None]
        if self.tracepoint is not None:
            sources.append(self.tracepoint)
        rejected = sum(source.rejected for source in sources)
        if rejected:
            for source in sources:
                source.rejected = 0
        return rejected

    def find_namespaces(self, *, at_once: bool = False) -> bool:
        """Looks for network namespaces, when it is time to; whether there are others than before."""
        if self._config.network_namespaces == "own" or self._own is None or self.name == "psutil":
            return False
        now = time.monotonic()
        if not at_once and now - self._searched_at < self._config.namespace_interval:
            return False
        self._searched_at = now
        present, denied = namespaces(self._own)
        self.denied_namespaces |= denied
        changed = False
        for namespace in [each for each in self.views if each is not None and each not in present]:
            # Without a process in it only sockets that are passed around can still listen there.
            if not self.views[namespace].count:
                self.views.pop(namespace).close()
                changed = True
        for namespace, pid in present.items():
            if namespace in self.views:
                continue
            try:
                self.views[namespace] = open_view(
                    namespace,
                    pid,
                    self._transports,
                    self._client_ports,
                    real_time=self._config.real_time,
                )
                changed = True
            except PermissionError:
                self.denied_namespaces = True
            except OSError as error:
                self._logger.debug("network namespace %d has vanished: %s", namespace, error)
        if changed:
            self._register()
        return changed

    def looks_at(self, number: int, *, find: bool = False) -> bool:
        """Whether the network namespace of that number is looked at; `find` looks for it when it is not."""
        if number == self._own or number in self.views:
            return True
        return find and self.find_namespaces(at_once=True) and number in self.views

    def number_of(self, view: View) -> int | None:
        """The number of a view's namespace; that of the agent's own too, as far as it can be told."""
        return self._own if view.namespace is None else view.namespace

    def told_as(self, number: int | None) -> int | None:
        """What a record says of a namespace: nothing when it is the agent's own."""
        return None if number == self._own else number

    def _open_real_time(self, own: View) -> None:
        try:
            own.notices = Notices(self._transports, self._client_ports)
        except OSError as error:
            self.limits.append(f"the kernel does not tell of closed sockets: {error}")
        try:
            self.tracepoint = Tracepoint()
        except OSError as error:
            self.limits.append(f"the kernel does not tell of TCP sockets that begin to listen: {error}")

    def _register(self) -> None:
        if self._poll is None:
            return
        self._poll = select.poll()
        self._poll.register(self._awake, select.POLLIN)
        if self.tracepoint is not None:
            for descriptor in self.tracepoint.descriptors():
                self._poll.register(descriptor, select.POLLIN)
        for view in self.views.values():
            for descriptor in view.notices.descriptors() if view.notices is not None else ():
                self._poll.register(descriptor, select.POLLIN)

    def _wait_for_wake(self, seconds: float) -> bool:
        try:
            ready, _, _ = select.select([self._awake], [], [], seconds)
        except OSError:
            # Windows waits for network sockets only.
            time.sleep(min(seconds, 0.5))
            return False
        if ready:
            self._drain()
        return bool(ready)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._awake, 512):
                pass
