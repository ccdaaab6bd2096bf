"""The engine: waits, looks, compares, has records made, and remembers what was told once it is on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from otel_fim.component import Health, ReceiverContext, StoppingError
from otel_fim.host.identities import Identities
from otel_fim.names import metrics
from otel_fim.receivers.listener.book import Book, Listener, Owner
from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.receivers.listener.cookies import Cookies
from otel_fim.receivers.listener.diag_messages import Destroyed
from otel_fim.receivers.listener.differences import Changes, Differences
from otel_fim.receivers.listener.fleeting import Begun, Ended, Fleeting
from otel_fim.receivers.listener.gaps import Gaps
from otel_fim.receivers.listener.holders import is_ordinary_user
from otel_fim.receivers.listener.memory import Memory
from otel_fim.receivers.listener.overlaps import Brief, Overlaps
from otel_fim.receivers.listener.owners import Owners
from otel_fim.receivers.listener.records import RecordBuilder
from otel_fim.receivers.listener.sockets import ListeningSocket
from otel_fim.receivers.listener.tracepoint import unix_nano
from otel_fim.receivers.listener.transitions import Transition
from otel_fim.receivers.listener.views import View, namespace_of
from otel_fim.receivers.listener.watching import Watching
from otel_fim.record import Record

_RETRY_SECONDS: Final = 5.0


class Engine:
    """One thread that does everything."""

    def __init__(
        self,
        config: ListenerConfig,
        context: ReceiverContext,
        watching: Watching,
        memory: Memory,
        client_ports: range,
    ) -> None:
        self._config = config
        self._context = context
        self._watching = watching
        self._memory = memory
        self._identities = Identities()
        self._builder = RecordBuilder(context, self._identities, client_ports)
        self._records: list[Record] = []
        self.gaps = Gaps(context, self._records.append)
        self._owners = Owners(context.processes, use_psutil=watching.name == "psutil")
        self._fleeting = Fleeting(time.monotonic_ns)
        self._differences = Differences(
            config, Book(memory.listeners), self._owners, self._fleeting, client_ports
        )
        self._while_down = memory.known
        self._cookies = Cookies()
        self._overlaps = Overlaps()
        self._looked_at = time.time_ns()
        self._first = True
        self._due = 0.0
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Ends within `timeout` seconds; whether everything that was told is on disk and remembered."""
        deadline = time.monotonic() + timeout
        self._stop.set()
        self._watching.wake()
        if self._thread.is_alive():
            self._thread.join(max(0.1, deadline - time.monotonic()))
        if self._thread.is_alive():
            return False
        finished = self._memory.drain(max(0.0, deadline - time.monotonic()))
        self._remember()
        self._identities.close()
        self._watching.close()
        return finished

    # --- the thread ---

    def _run(self) -> None:
        self._due = time.monotonic()
        while not self._stop.is_set():
            try:
                if self._first or not self._watching.wait(max(0.0, self._due - time.monotonic())):
                    if self._stop.is_set():
                        return
                    if time.monotonic() >= self._due:
                        self._due = time.monotonic() + self._config.interval
                        self._look()
                else:
                    self._hear()
                self._tell_ended()
            except StoppingError:
                return
            except OSError as error:
                self._due = time.monotonic() + max(_RETRY_SECONDS, self._config.interval)
                self._failed(f"listening sockets cannot be listed by {self._watching.name}: {error}")
            except Exception:
                self._due = time.monotonic() + _RETRY_SECONDS
                self._context.logger.exception("listener: a look at the sockets failed")
                self._failed("an error inside the agent keeps listening sockets from being seen")
            try:
                self._emit([], [])
            except StoppingError:
                return
            self._remember()

    def _failed(self, cause: str) -> None:
        detail = f"{cause}; it is tried again"
        self._context.logger.error("%s", detail)
        self._failing = True
        self._context.report(Health.RECOVERABLE_ERROR, detail)
        self.gaps.open("io_error", "look", detail)

    def _look(self) -> None:
        first = self._first
        new_namespaces = self._watching.find_namespaces(at_once=first)
        begin = time.monotonic_ns()
        listed, changed = self._watching.list_all()
        differences = self._differences
        if changed or new_namespaces or differences.patient:
            if differences.missing(listed):
                # A list is not of one moment: a socket can be passed over while its neighbours come and go.
                again, _ = self._watching.list_all()
                here = {each.identity for each in again}
                listed = [*again, *(each for each in listed if each.identity not in here)]
                gone = [each for each in differences.book.identities() if each not in here]
                listed = [each for each in listed if each.identity in here or each.identity not in gone]
            end = time.monotonic_ns()
            self._cookies.listed(listed)
            self._hear_who(end)
            changes = differences.compare(listed, self._watching.name, before=first, when=(begin, end))
            self._tell(changes, first=first)
        self._first = False
        self._after_look()
        if first or (self._failing and not self._memory.failing):
            self._failing = False
            self._context.report(Health.OK, "")

    def _hear_who(self, listed: int) -> None:
        """Who made the sockets listen that a list shows, which was finished at that time (monotonic ns)."""
        transitions, lost = self._watching.hear_transitions()
        news = [each for each in transitions if self._take_transition(each) and each.monotonic_ns > listed]
        if news:
            self._due = time.monotonic()
        if lost:
            self._tell_lost()

    def _after_look(self) -> None:
        rejected = self._watching.take_rejected()
        if rejected:
            self._context.count(
                metrics.RECEIVER_REJECTED_INPUTS, rejected, receiver=self._context.id, reason="netlink"
            )
        if self._fleeting.dropped:
            self.gaps.once(
                "queue_overflow",
                f"{self._fleeting.dropped} brief listeners could not be told of: too many at once",
                self._looked_at,
            )
            self._fleeting.dropped = 0
        if self._watching.denied_namespaces:
            self.gaps.open(
                "permission_denied",
                "namespaces",
                "not all network namespaces can be entered; what listens there is not seen; run the agent as root",
            )
        self.gaps.close("io_error", "look", "listening sockets can be listed again")
        self._looked_at = time.time_ns()

    # --- what the kernel tells ---

    def _hear(self) -> None:
        """Takes in what the kernel tells, and looks when that is reason to."""
        transitions, destroyed, lost = self._watching.hear()
        look = lost
        for transition in transitions:
            look |= self._take_transition(transition)
        if look:
            # What is new is to be known before its neighbours at the same place are called closed.
            self._look()
        for view, notice in destroyed:
            self._take_destroyed(view, notice)
        if lost:
            self._tell_lost()

    def _tell_lost(self) -> None:
        self.gaps.once(
            "queue_overflow",
            "the kernel told of more sockets than could be taken in; listeners that lived shorter than "
            f"{self._config.interval:g} s may be missing",
            self._looked_at,
        )

    def _take_transition(self, transition: Transition) -> bool:
        if not transition.listening:
            return self._fleeting.end(transition) and not self._has_notices()
        place = namespace_of(str(transition.pid))
        # The tracepoint tells of all namespaces. A new one is looked for at once.
        if place is not None and not self._watching.looks_at(place, find=True):
            return False
        process = self._owners.at(transition.pid, unix_nano(transition.monotonic_ns))
        self._fleeting.begin(Begun(transition, process, place))
        return True

    def _has_notices(self) -> bool:
        return all(view.notices is not None for view in self._watching.views.values())

    def _take_destroyed(self, view: View, notice: Destroyed) -> None:
        known, identity = self._cookies.destroyed(view.namespace, notice.cookie)
        if identity is not None:
            closing = self._differences.gone(identity)
            if closing is not None:
                self._tell(Changes(closed=[closing]))
        elif known:
            # A list has told that already.
            return
        elif notice.transport == "tcp":
            self._fleeting.destroyed(self._watching.number_of(view), notice)
        elif notice.port and not notice.remote_port:
            self._tell_brief(view.namespace, notice)

    def _tell_brief(self, namespace: int | None, notice: Destroyed) -> None:
        """A UDP socket that has come and gone between two looks: nobody knows whose it was."""
        socket = ListeningSocket("udp", notice.family, notice.address, notice.port, namespace=namespace)
        if self._differences.is_client(socket) or not self._config.takes(socket, None):
            return
        self._tell_both(Listener(socket, None, "sock_diag"), None, None)

    def _tell_ended(self) -> None:
        """TCP listeners that have come and gone between two looks."""
        ended = self._fleeting.take_ended()
        if not ended:
            return
        if any(each.begun.process is None for each in ended):
            self._owners.catch_up(unix_nano(max(each.end.monotonic_ns for each in ended)))
        found = [self._brief(each) for each in ended]
        for brief in self._overlaps.untold(found, self._differences.book):
            owner = brief.listener.owner
            if self._config.takes(brief.listener.socket, None if owner is None else owner.executable):
                self._tell_both(brief.listener, unix_nano(brief.begin), unix_nano(brief.end))

    def _brief(self, ended: Ended) -> Brief:
        told = ended.begun.transition
        process = ended.begun.process or self._owners.at(told.pid, unix_nano(told.monotonic_ns))
        socket = ListeningSocket(
            "tcp",
            told.family,
            told.address,
            ended.end.port,
            user_id=None if process is None else process.effective_user_id,
            namespace=self._watching.told_as(ended.namespace),
        )
        owner = Owner(told.pid, process) if told.pid > 0 else None
        listener = Listener(socket, owner, "tracepoint", since=told.monotonic_ns)
        return Brief(listener, told.monotonic_ns, ended.end.monotonic_ns)

    # --- telling ---

    def _tell_both(self, listener: Listener, since: int | None, until: int | None) -> None:
        running = self._owners.is_running(listener.owner)
        self._emit(
            [
                self._builder.opened(listener, time_unix_nano=since, running=running),
                self._builder.closed(listener, time_unix_nano=until, running=running),
            ],
            [],
        )

    def _tell(self, changes: Changes, *, first: bool = False) -> None:
        if changes.denied:
            self.tell_who_is_unknown()
        records = [
            self._builder.closed(
                each.listener,
                time_unix_nano=None if each.monotonic_ns is None else unix_nano(each.monotonic_ns),
                while_down=first and self._while_down,
                running=self._owners.is_running(each.listener.owner),
            )
            for each in changes.closed
        ]
        records += [
            self._builder.opened(
                each.listener,
                time_unix_nano=each.time_unix_nano,
                first=each.before and not self._while_down,
                while_down=each.before and self._while_down,
                running=self._owners.is_running(each.listener.owner),
            )
            for each in changes.opened
        ]
        for closing in changes.closed:
            self._overlaps.closed(closing.listener, closing.monotonic_ns or time.monotonic_ns())
        moves: list[Callable[[], None]] = [
            partial(self._memory.forget, each.listener) for each in changes.closed
        ]
        moves += [partial(self._memory.learn, each.listener) for each in changes.opened]
        self._emit(records, moves)
        if changes.moved and not changes:
            self._memory.changed()
        if first:
            self._memory.changed()

    def tell_who_is_unknown(self) -> None:
        """Opens the gap of an agent that may not look at all processes."""
        self.gaps.open(
            "permission_denied",
            "owners",
            "which process holds a socket is known for the agent's own user only; run the agent as root to see "
            "the others"
            if is_ordinary_user()
            else "which process holds a socket is not known where even root may not look at the process "
            "(a container, a security module)",
        )

    def _emit(self, records: Sequence[Record], moves: Sequence[Callable[[], None]]) -> None:
        # Gaps come first: they say what the records behind them cannot.
        batch = [*self._records, *records]
        self._records.clear()
        if batch:
            self._memory.expect()
            try:
                self._context.emit(batch, on_durable=partial(self._durable, moves))
            except BaseException:
                self._memory.unexpect()
                raise

    def _durable(self, moves: Sequence[Callable[[], None]]) -> None:
        self._memory.durable(moves)
        if moves:
            self._watching.wake()

    def _remember(self) -> None:
        failure = self._memory.write()
        if failure is not None:
            self._failing = True
            self._context.logger.error("%s", failure)
            self._context.report(Health.RECOVERABLE_ERROR, failure)
