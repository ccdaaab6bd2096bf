"""The receiver's one thread: takes what the sources give, has it understood and merged, hands the records on.

What is kept (positions, logins, stories) is written when every record that was emitted before is durable, so that a
kill at any moment loses nothing; what is told again after it is recognised.
"""

from __future__ import annotations

import contextlib
import fnmatch
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from otel_fim.component import Health, ReceiverContext, StoppingError
from otel_fim.host.identities import Identities
from otel_fim.names import metrics
from otel_fim.receivers.auth.accounts import Accounts
from otel_fim.receivers.auth.config import AuthConfig
from otel_fim.receivers.auth.event import AuthEvent, Entry
from otel_fim.receivers.auth.gaps import Gaps
from otel_fim.receivers.auth.merge import Merger
from otel_fim.receivers.auth.parse import RejectedError
from otel_fim.receivers.auth.records import RecordBuilder
from otel_fim.receivers.auth.sessions import Sessions
from otel_fim.receivers.auth.sources.source import Position
from otel_fim.receivers.auth.state import StateFile, encode
from otel_fim.receivers.auth.understand import Understanding
from otel_fim.record import Record

_BATCHES: Final = 32
_WRITE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 10.0
_WAIT_SECONDS: Final = 0.5
_EMIT: Final = 512


class SourceSink:
    """What one source tells the engine."""

    def __init__(self, name: str, engine: Engine) -> None:
        self._name = name
        self._engine = engine

    def entries(self, entries: Sequence[Entry], position: Position) -> None:
        self._engine.take(self._name, entries, position)

    def rejected(self, reason: str, count: int = 1) -> None:
        self._engine.rejected(self._name, reason, count)

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        self._engine.gaps.gap(self._name, reason, detail, start_ns, end_ns)

    def restored(self, reason: str, detail: str) -> None:
        self._engine.gaps.restored(self._name, reason, detail)


class Engine:
    """`start` reads the state, `stop` tells what is left and writes it."""

    def __init__(self, config: AuthConfig, context: ReceiverContext) -> None:
        self._config = config
        self._context = context
        self._identities = Identities()
        self.gaps = Gaps(context, self._put)
        self._merger = Merger(config.merge_window)
        self._sessions = Sessions(context.processes, self._identities.user)
        self._understanding = Understanding(
            self._identities, self._sessions, Accounts(config.shadow_file, config.group_file)
        )
        self._builder = RecordBuilder(context, self._identities, config.command_line, config.original)
        self._state = StateFile(context.state_directory)
        self.positions: dict[str, Any] = {}
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(_BATCHES)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auth merge", daemon=True)
        self._waiting: list[Record] = []
        self._emitted = 0
        self._durable = 0
        self._lock = threading.Lock()
        self._pending: tuple[int, bytes] | None = None
        self._changed = False
        self._written_at = 0.0
        self._ended = False
        self._write_failed = False

    # --- For the sources' threads --------------------------------------------------------------------------------

    def take(self, source: str, entries: Sequence[Entry], position: Position) -> None:
        """A batch; waits while there are many. Raises `StoppingError` when it was not taken."""
        while not self._room.acquire(timeout=_WAIT_SECONDS):
            if self._stopping.is_set():
                raise StoppingError("the auth receiver stops")
        if self._stopping.is_set():
            self._room.release()
            raise StoppingError("the auth receiver stops")
        self._queue.put(lambda: self._batch(source, entries, position))

    def rejected(self, source: str, reason: str, count: int = 1) -> None:
        """Counts input that cannot be what it says."""
        self._context.count(
            metrics.RECEIVER_REJECTED_INPUTS, count, receiver=self._context.id, source=source, reason=reason
        )

    def _put(self, record: Record) -> None:
        self._queue.put(lambda: self._waiting.append(record))

    # --- The thread ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes up what was kept and begins to work."""
        kept = self._state.read()
        if kept.problem is not None:
            self._context.logger.warning("%s", kept.problem)
            now = time.time_ns()
            self.gaps.gap(self._context.id, "io_error", kept.problem, now, now)
        self.positions = kept.positions
        self._sessions.load(kept.sessions)
        self._merger.load(kept.stories, time.monotonic())
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Tells what waits for company, hands on what is left, and writes the state once that is durable."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(max(0.1, deadline - time.monotonic()))
        with self._lock:
            self._ended = True
        self._write_pending()
        self._identities.close()

    def _run(self) -> None:
        running = True
        while running:
            try:
                running = self._turn()
            except StoppingError:
                return
            except Exception:
                # Nothing an entry holds may end the receiver; what it was is in the log.
                self._context.logger.exception("an entry could not be handled")
                self._context.count(metrics.RECEIVER_FAILED, 1)
        with contextlib.suppress(StoppingError):
            self._tell(self._merger.flush(time.monotonic()))
            self._hand_on()
        self._snapshot()
        self._write_pending()

    def _turn(self) -> bool:
        """One round: waits for something to do, does all that is there. False at the end."""
        running = True
        try:
            task = self._queue.get(timeout=self._patience())
            while True:
                if task is None:
                    running = False
                else:
                    task()
                if len(self._waiting) >= _EMIT or self._merger.is_flooded:
                    break
                task = self._queue.get_nowait()
        except queue.Empty:
            pass
        self._tell(self._merger.due(time.monotonic()))
        self._hand_on()
        if self._changed and time.monotonic() - self._written_at >= _WRITE_SECONDS:
            self._snapshot()
        self._write_pending()
        return running

    def _patience(self) -> float | None:
        """Seconds until there is something to do without being told; None: for ever."""
        now = time.monotonic()
        times = []
        due = self._merger.next_due()
        if due is not None:
            times.append(due - now)
        if self._changed:
            times.append(self._written_at + _WRITE_SECONDS - now)
        if self._write_failed:
            times.append(_RETRY_SECONDS)
        return max(0.01, min(times)) if times else None

    def _batch(self, source: str, entries: Sequence[Entry], position: Position) -> None:
        try:
            for entry in entries:
                self._entry(source, entry)
        finally:
            self.positions[source] = position
            self._changed = True
            self._room.release()

    def _entry(self, source: str, entry: Entry) -> None:
        now = time.monotonic()
        try:
            for event in self._understanding.events(entry):
                if not self._merger.add(event, now):
                    self.rejected(source, "forged")
        except RejectedError as error:
            self.rejected(source, str(error))
            if str(error) == "forged":
                self._merger.poison(entry.identifier, entry.message, entry.time_unix_nano, now)

    def _tell(self, events: Sequence[AuthEvent]) -> None:
        observed = time.time_ns()
        for event in events:
            told = self._sessions.told(event)
            if self._is_wanted(told):
                self._waiting.append(self._builder.build(told, observed))
            self._changed = True

    def _is_wanted(self, event: AuthEvent) -> bool:
        if event.user is not None and _matches(self._config.exclude_users, event.user):
            return False
        if not self._config.include_users:
            return True
        concerned = (event.user, event.effective_user, event.target_user)
        return any(name is not None and _matches(self._config.include_users, name) for name in concerned)

    def _hand_on(self) -> None:
        while self._waiting:
            records, self._waiting = self._waiting[:_EMIT], self._waiting[_EMIT:]
            self._emitted += 1
            number = self._emitted
            self._changed = True
            self._context.emit(records, on_durable=lambda number=number: self._is_durable(number))  # type: ignore[misc]

    # --- What is kept --------------------------------------------------------------------------------------------

    def _snapshot(self) -> None:
        stories = self._merger.dump(time.monotonic())
        content = encode(self.positions, self._sessions.dump(), stories)
        self._changed = False
        self._written_at = time.monotonic()
        with self._lock:
            # An older one that still waits for its records is not lost: this one covers it.
            self._pending = (self._emitted, content)

    def _is_durable(self, number: int) -> None:
        """Called from a pipeline's thread."""
        with self._lock:
            self._durable = max(self._durable, number)
            ended = self._ended
        if ended:
            self._write_pending()
        else:
            self._queue.put(lambda: None)

    def _write_pending(self) -> None:
        with self._lock:
            if self._pending is None or self._pending[0] > self._durable:
                return
            content, self._pending = self._pending[1], None
            try:
                self._state.write(content)
            except OSError as error:
                problem = f"{self._state.path} cannot be written: {error.strerror}; free space or give rights"
                if not self._write_failed:
                    self._context.logger.warning("%s", problem)
                    self._context.report(Health.RECOVERABLE_ERROR, problem)
                self._write_failed = True
                # Written when there is room again, though nothing new may happen until then.
                self._pending = (0, content)
                return
        if self._write_failed:
            self._write_failed = False
            self._context.report(Health.OK, "")


def _matches(patterns: Sequence[str], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
