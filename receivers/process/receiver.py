"""`ProcessReceiver`: puts what watches and what reports together."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import Final

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.host.exits import ExitAccounting
from otel_fim.host.snapshot import read_snapshot
from otel_fim.names import metrics
from otel_fim.receivers.process.command_lines import CommandLines
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.receivers.process.connector import Connector, UnavailableError
from otel_fim.receivers.process.happening import PSUTIL
from otel_fim.receivers.process.polling import Polled
from otel_fim.receivers.process.reporter import Reporter
from otel_fim.receivers.process.tracker import Tracker
from otel_fim.receivers.process.watching import Told, all_pids

_SWITCH_SECONDS: Final = 0.001
_WATCH_STOP_SECONDS: Final = 2.0


class ProcessReceiver(Receiver[ProcessConfig]):
    """Watches processes: which programs were started, by whom, and how they ended.

    What the process `own_pid` (the agent) and its children do is not reported.
    """

    Config = ProcessConfig
    context: ReceiverContext

    def __init__(
        self, config: ProcessConfig, context: ReceiverContext, *, own_pid: int | None = None
    ) -> None:
        super().__init__(config, context)
        self._own_pid = own_pid
        self._reporter: Reporter | None = None
        self._accounting: ExitAccounting | None = None
        self._lines: CommandLines | None = None
        self._watching: Told | Polled | None = None

    def start(self) -> None:
        self.context.report(Health.STARTING, "looking at the processes that run")
        connector, reason = self._connect()
        if connector is not None:
            with contextlib.suppress(OSError):
                # Without it, the program of a process that is gone at once is not known.
                self._accounting = ExitAccounting()
        if self.config.command_line != "none":
            self._lines = CommandLines()
        self._reporter = Reporter(self.config, self.context, self._accounting, self._lines)
        self._watching = self._told(connector) if connector is not None else self._polled(reason)
        self._reporter.start()
        self._watching.start()
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        if self._watching is not None:
            self._watching.stop(min(_WATCH_STOP_SECONDS, timeout))
        if self._reporter is not None:
            self._reporter.stop(max(0.1, deadline - time.monotonic()))
        if self._lines is not None:
            self._lines.close()
        if self._accounting is not None:
            self._accounting.close()
        self.context.report(Health.STOPPED, "")

    def _connect(self) -> tuple[Connector | None, str]:
        if self.config.backend == "psutil":
            return None, "backend is psutil"
        try:
            return Connector(self.config.receive_buffer), ""
        except UnavailableError as error:
            if self.config.backend == "proc_connector":
                raise StartError(
                    f"{self.context.id}.backend: {error}; run the agent as root on the host, or take the backend psutil"
                ) from error
            return None, str(error)

    def _told(self, connector: Connector) -> Told:
        assert self._reporter is not None
        # A process that lives for a millisecond is read by a thread that gets the interpreter within one.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        if os.geteuid() != 0:
            detail = "executables and working directories of other users' processes cannot be read: not root"
            self.context.logger.warning("%s", detail)
            self._reporter.gap("permission_denied", detail, time.time_ns())
        self.context.logger.info("watching processes with the proc connector")
        return Told(
            connector,
            Tracker(
                self.context.processes,
                self._reporter.put,
                lines=self._lines,
                own_pid=self._own_pid,
            ),
            self.context.processes,
            gap=self._reporter.gap,
            rejected=lambda count: self.context.count(metrics.RECEIVER_REJECTED_INPUTS, count),
            existing=self.config.existing,
            logger=self.context.logger,
        )

    def _polled(self, reason: str) -> Polled:
        assert self._reporter is not None
        seconds = f"{self.config.interval:g} s"
        detail = f"processes that live for less than {seconds} are not seen: {reason}"
        self.context.logger.warning("%s", detail)
        self._reporter.gap("backend_limited", detail, time.time_ns())
        read, pids = read_snapshot, all_pids
        if sys.platform != "linux":
            from otel_fim.receivers.process import psutil_reading

            read, pids = psutil_reading.read_with_psutil, psutil_reading.pids
        tracker = Tracker(
            self.context.processes,
            self._reporter.put,
            lines=self._lines,
            own_pid=self._own_pid,
            backend=PSUTIL,
            read=read,
        )
        return Polled(
            tracker,
            self.config.interval,
            existing=self.config.existing,
            logger=self.context.logger,
            pids=pids,
        )
