"""Runs one exporter: reads the journal from its own cursor, delivers, retries, and moves the cursor."""

from __future__ import annotations

import logging
import threading
import time
from enum import Enum, auto
from typing import Final

from otel_fim.component import AnyExporter, Batch, Health, PermanentError, RetryableError
from otel_fim.journal.reader import JournalBatch, JournalReader
from otel_fim.names import metrics
from otel_fim.pipeline.dead_letter import DeadLetters
from otel_fim.pipeline.retry import RetryConfig, delays
from otel_fim.telemetry.metrics import MetricStore

_READ_TIMEOUT_SECONDS: Final = 0.5
_MAX_BATCH_RECORDS: Final = 10_000
_MAX_BATCH_BYTES: Final = 16 * 2**20
_PATIENCE_SECONDS: Final = 10.0


class _Outcome(Enum):
    DELIVERED = auto()
    SET_ASIDE = auto()
    STOPPED = auto()


class ExporterRunner:
    """A thread that keeps one exporter of one pipeline busy.

    The cursor moves only after `export` has returned, so a batch is delivered at least once; an exporter that
    can recognise what is already there makes that exactly once.
    """

    def __init__(
        self,
        exporter: AnyExporter,
        reader: JournalReader,
        dead_letters: DeadLetters,
        store: MetricStore,
        pipeline: str,
    ) -> None:
        self._exporter = exporter
        self._reader = reader
        self._dead_letters = dead_letters
        self._store = store
        self._id = exporter.context.id
        self._labels = {"exporter": self._id, "pipeline": pipeline}
        self._logger: logging.Logger = exporter.context.logger
        self._retry: RetryConfig = getattr(exporter.config, "retry_on_failure", RetryConfig())
        self._max_records: int = getattr(exporter.config, "max_batch_records", _MAX_BATCH_RECORDS)
        self._stop_at_idle = threading.Event()
        self._stop_now = threading.Event()
        self._failing = False
        self._delivered = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"export-{self._id}", daemon=True)
        store.gauge(metrics.EXPORTER_QUEUE_SIZE, lambda: float(reader.pending_records), **self._labels)

    def start(self) -> None:
        """Starts delivering. The exporter itself has been started before."""
        self._thread.start()

    def finish(self) -> None:
        """Asks to stop as soon as everything is delivered, or at the first failure."""
        self._stop_at_idle.set()
        self._reader.wake()

    def stop(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the end of `finish`, then gives up what is under way.

        False when the exporter's own call has not come back: its batch is delivered again after the next
        start.
        """
        deadline = time.monotonic() + timeout
        if self._thread.is_alive():
            self._thread.join(max(0.0, timeout * 0.8))
            self._stop_now.set()
            self._stop_at_idle.set()
            self._reader.wake()
            self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop_now.is_set():
            try:
                batch = self._reader.read(self._max_records, _MAX_BATCH_BYTES, _READ_TIMEOUT_SECONDS)
                if batch is None:
                    if self._stop_at_idle.is_set():
                        return
                    continue
                outcome = self._deliver(batch)
                if outcome is _Outcome.STOPPED:
                    return
                self._acknowledge(batch, delivered=outcome is _Outcome.DELIVERED)
            except Exception:
                # The journal could not be read or the cursor not written (a full disk, say): the batch stays.
                self._logger.exception("cannot go on reading the journal; trying again")
                self._exporter.context.report(Health.RECOVERABLE_ERROR, "the journal cannot be read")
                self._failing = True
                self._stop_now.wait(1.0)

    def _acknowledge(self, batch: JournalBatch, *, delivered: bool) -> None:
        self._reader.acknowledge(batch)
        self._delivered |= delivered
        if delivered and self._failing:
            self._failing = False
            self._logger.info("delivering again")
            self._exporter.context.report(Health.OK, "")

    def _deliver(self, batch: Batch) -> _Outcome:
        waits = delays(self._retry)
        started = time.monotonic()
        while True:
            try:
                result = self._exporter.export(batch)
            except PermanentError as error:
                return self._set_aside(batch, str(error))
            except Exception as error:
                wait = next(waits)
                if isinstance(error, RetryableError):
                    message = str(error)
                    if error.retry_after is not None:
                        wait = error.retry_after
                else:
                    message = f"unexpected {type(error).__name__}: {error}"
                    self._logger.debug("unexpected error in export", exc_info=True)
                self._failing = True
                self._store.count(metrics.EXPORTER_RETRIES, **self._labels)
                self._exporter.context.report(Health.RECOVERABLE_ERROR, message)
                limit = self._retry.max_elapsed_time
                if not self._retry.enabled or (limit and time.monotonic() - started + wait > limit):
                    return self._set_aside(batch, f"given up: {message}")
                if self._delivered or time.monotonic() - self._started > _PATIENCE_SECONDS:
                    self._logger.warning("delivery failed, will be tried again: %s", message)
                else:
                    # A destination that starts at the same time as the agent is not worth a warning.
                    self._logger.info("not there yet, will be tried again: %s", message)
                if self._stop_at_idle.wait(wait):
                    return _Outcome.STOPPED
                continue
            sent = batch.record_count - result.rejected
            self._store.count(metrics.EXPORTER_SENT, sent, **self._labels)
            if result.rejected:
                self._store.count(metrics.EXPORTER_SEND_FAILED, result.rejected, **self._labels)
                self._logger.error("the destination rejected %d records: %s", result.rejected, result.message)
                # It does not say which ones, so the whole batch is kept beside the reason.
                reason = f"{result.rejected} of {batch.record_count} rejected: {result.message}"
                self._dead_letters.add(batch.lines, batch.record_count, reason)
            elif result.message:
                self._logger.warning("the destination warns: %s", result.message)
            return _Outcome.DELIVERED

    def _set_aside(self, batch: Batch, reason: str) -> _Outcome:
        self._dead_letters.add(batch.lines, batch.record_count, reason)
        self._store.count(metrics.EXPORTER_SEND_FAILED, batch.record_count, **self._labels)
        self._logger.error(
            "%d records were refused for good and are in %s: %s",
            batch.record_count,
            self._dead_letters.path,
            reason,
        )
        self._failing = True
        self._exporter.context.report(Health.RECOVERABLE_ERROR, reason)
        return _Outcome.SET_ASIDE
