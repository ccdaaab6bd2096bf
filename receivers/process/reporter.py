"""The thread that makes records: hashes executables, looks up names, and hands batches to the pipelines."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from otel_fim.component import ReceiverContext, StoppingError
from otel_fim.host.exits import ExitAccounting
from otel_fim.host.identities import Identities
from otel_fim.names import metrics
from otel_fim.pipeline.coverage import component_coverage
from otel_fim.receivers.process.command_lines import CommandLines
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.receivers.process.filters import Filters
from otel_fim.receivers.process.happening import Happening, Image
from otel_fim.receivers.process.hashes import Hashes
from otel_fim.receivers.process.records import Records
from otel_fim.record import Record

_COLLECT_SECONDS: Final = 0.1
"""Waited after the first of a batch: for more of it, and for the kernel's accounting of those that have ended."""
_BATCH: Final = 512
_TURN: Final = 4


class Reporter:
    """`put` and `gap` are called by the threads that watch, and never wait."""

    def __init__(
        self,
        config: ProcessConfig,
        context: ReceiverContext,
        accounting: ExitAccounting | None,
        lines: CommandLines | None = None,
    ) -> None:
        self._config = config
        self._context = context
        self._accounting = accounting
        self._lines = lines
        self._identities = Identities()
        self._filters = Filters(config.include, config.exclude, self._identities.user)
        self._hashes = Hashes(config.hash_max_size)
        self._records = Records(
            context,
            self._identities,
            command_line=config.command_line,
            max_ancestors=config.max_ancestors,
            hashes=config.hash,
        )
        self._pending: deque[Happening | Callable[[], Record]] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._dropped = 0
        self._dropped_since = 0
        self._evicted = context.processes.evicted
        self._thread = threading.Thread(target=self._run, name="process-report", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Reports what is pending, and ends."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._identities.close()

    def put(self, happening: Happening) -> None:
        """Takes something to report."""
        if len(self._pending) >= self._config.max_pending:
            if not self._dropped:
                self._dropped_since = happening.time_unix_nano
            self._dropped += 1
            return
        self._pending.append(happening)
        if not self._wake.is_set():
            self._wake.set()

    def gap(
        self,
        reason: str,
        detail: str,
        start: int,
        end: int | None = None,
        *,
        restored: bool = False,
        lost: int | None = None,
    ) -> None:
        """Tells that something could not be seen, or can be seen again."""
        context = self._context
        if not restored:
            context.count(metrics.COVERAGE_GAPS, 1, reason=reason)

        def record() -> Record:
            return component_coverage(
                context, reason, detail, start, end, restored=restored, records_lost=lost
            )

        self._pending.append(record)
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            stopping = self._stop.wait(_COLLECT_SECONDS)
            try:
                self._report()
            except StoppingError:
                return
            if stopping and not self._pending:
                return

    def _report(self) -> None:
        if self._accounting is not None:
            self._accounting.drain()
        while self._pending:
            batch: list[Record] = []
            made = 0
            while self._pending and len(batch) < _BATCH:
                each = self._pending.popleft()
                if isinstance(each, Happening):
                    record = self._make(each)
                    if record is not None:
                        batch.append(record)
                    made += 1
                    if made % _TURN == 0:
                        # The thread that watches must not wait for the interpreter's lock: processes are soon gone.
                        time.sleep(0)
                else:
                    batch.append(each())
            if batch:
                self._context.emit(batch)
            if self._accounting is not None:
                self._accounting.drain_when_due()
        self._tell_dropped()
        evicted = self._context.processes.evicted
        if evicted != self._evicted:
            self._context.count(metrics.PROCESS_TABLE_EVICTED, evicted - self._evicted)
            self._evicted = evicted

    def _make(self, happening: Happening) -> Record | None:
        try:
            return self._make_wanted(happening)
        except Exception:  # the others must not suffer from what one process is like
            self._context.logger.exception("process %d could not be reported", happening.process.pid)
            self._context.count(metrics.RECEIVER_FAILED, 1)
            now = time.time_ns()
            self.gap("io_error", f"process {happening.process.pid} could not be reported", now, now, lost=1)
            return None

    def _make_wanted(self, happening: Happening) -> Record | None:
        self._resolve(happening.image, happening)
        if happening.action == "fork" and not self._config.forks:
            return None
        if happening.action == "exit" and not self._config.exits:
            return None
        if not self._filters.wants(happening.process, happening.image.executable):
            return None
        return self._records.make(happening)

    def _resolve(self, image: Image, happening: Happening | None) -> None:
        """Completes what is known of a program: from the kernel's accounting, and by its hash."""
        if image.resolved:
            return
        image.resolved = True
        if self._lines is not None:
            self._lines.wait(image)
            image.arguments = image.certain_arguments()
        if image.since_ns and image.next is None and None in (image.executable, image.command):
            ended = None if self._accounting is None else self._accounting.find(image.pid, image.since_ns)
            if ended is not None:
                image.executable = image.executable or ended.executable_path
                image.command = image.command or ended.command
        if image.next is not None:
            self._resolve(image.next, None)
            if image.executable is not None and image.next.executable in (image.executable, None):
                # It may have been read when the next one was in its place already.
                image.executable = image.identity = image.command = None
                image.doubtful = True
        elif image.executable is not None and image.identity is not None and self._accounting is not None:
            path = image.executable.encode("utf-8", "surrogateescape")
            self._accounting.learn_identity(image.identity.device, image.identity.inode, path)
        if self._config.hash:
            image.sha256, image.not_hashed = self._hashes.of(image)
        if happening is not None and happening.process.entity_id:
            self._context.processes.learn_program(happening.process, image.executable, image.sha256)

    def _tell_dropped(self) -> None:
        if not self._dropped:
            return
        dropped, self._dropped = self._dropped, 0
        now = time.time_ns()
        detail = f"{dropped} starts and ends of processes were not reported: the pipelines are too slow"
        self.gap("queue_overflow", detail, self._dropped_since, now, lost=dropped)
