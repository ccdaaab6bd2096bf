"""One pipeline: records from receivers, through the processors in order, into the journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from otel_fim.component import AnyProcessor, Health, Processor, StoppingError
from otel_fim.journal import Journal, JournalFullError, JournalNotice, JournalWriteError
from otel_fim.names import metrics
from otel_fim.otlp import clean_record
from otel_fim.pipeline.coverage import coverage_record
from otel_fim.pipeline.queue import Item, RecordQueue
from otel_fim.record import Record, Resource, Scope
from otel_fim.telemetry.metrics import MetricStore

_BATCH_RECORDS: Final = 2000
_FULL_POLL_SECONDS: Final = 0.5

logger = logging.getLogger("otel_fim.pipeline")


class Pipeline:
    """The queue, the processors and the journal of one pipeline, and the thread that moves records along."""

    def __init__(
        self,
        pipeline_id: str,
        processors: Sequence[AnyProcessor],
        journal: Journal,
        *,
        queue_size: int,
        resource: Resource,
        scope: Scope,
        store: MetricStore,
        report: Callable[[Health, str], None],
    ) -> None:
        self.id = pipeline_id
        self.journal = journal
        self._processors = processors
        self._ticking = [
            (index, each) for index, each in enumerate(processors) if type(each).tick is not Processor.tick
        ]
        self._queue = RecordQueue(queue_size)
        self._resource = resource
        self._scope = scope
        self._store = store
        self._report = report
        self._abandon = threading.Event()
        self._failed = False
        self._failing_processors: set[str] = set()
        self.stopped_at: int | None = None
        """Since when nothing could be written (nanoseconds since the epoch); None while all is well."""
        self._thread = threading.Thread(target=self._run, name=f"pipeline-{pipeline_id}", daemon=True)
        store.gauge(metrics.PIPELINE_QUEUE_SIZE, lambda: float(self._queue.size), pipeline=pipeline_id)
        store.gauge(metrics.JOURNAL_BYTES, lambda: float(journal.bytes_on_disk), pipeline=pipeline_id)

    def start(self) -> None:
        """Starts moving records. The processors have been started before."""
        self._thread.start()
        self._report(Health.OK, "")

    def put(self, records: list[Record], on_durable: Callable[[], None] | None = None) -> None:
        """Takes records, waiting for room. Raises `StoppingError` after `stop`."""
        self._queue.put(Item(records, on_durable))

    def put_internal(self, records: list[Record]) -> None:
        """Takes records of the agent itself, without waiting."""
        self._queue.put_internal(Item(records))

    def notice(self, notice: JournalNotice) -> None:
        """Turns what the journal has to say into a coverage record."""
        logger.warning("journal of %s: %s", self.id, notice.detail)
        self._store.count(metrics.COVERAGE_GAPS, reason=notice.reason)
        record = coverage_record(
            reason=notice.reason,
            scope_text=notice.reader or f"journal/{self.id}",
            detail=notice.detail,
            component=f"journal/{self.id}",
            resource=self._resource,
            scope=self._scope,
            start_unix_nano=notice.start_unix_nano,
            end_unix_nano=notice.end_unix_nano,
            records_lost=notice.records_lost,
        )
        try:
            self._queue.put_internal(Item([record], notice.confirm))
        except StoppingError:
            # Not confirmed, so the journal gives the notice again after the next start.
            logger.debug("the notice comes too late for this run: %s", notice.detail)

    def stop(self, timeout: float) -> bool:
        """Takes no more, moves what is inside into the journal, and waits for the disk.

        False when that was not possible in `timeout` seconds (a full disk): what was only in memory is given
        up, its `on_durable` is never called, and the receivers find it again after the next start.
        """
        deadline = time.monotonic() + timeout
        self._queue.close()
        if not self._thread.is_alive():
            return True
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._abandon.set()
            self._thread.join(1.0)
            return False
        return self.journal.flush(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._queue.drained and not self._abandon.is_set():
            items = self._queue.take(_BATCH_RECORDS, timeout=1.0)
            if items:
                records = items[0].records if len(items) == 1 else [r for item in items for r in item.records]
                callbacks = [item.on_durable for item in items if item.on_durable is not None]
                self._keep(records, self._processors, callbacks)
            self._tick()

    def _tick(self) -> None:
        for index, processor in self._ticking:
            try:
                records = processor.tick()
            except Exception as error:
                processor.context.logger.exception("what was due could not be made")
                processor.context.report(Health.RECOVERABLE_ERROR, f"{type(error).__name__}: {error}")
                self._failing_processors.add(processor.context.id)
                continue
            if records:
                self._keep(records, self._processors[index + 1 :], [])

    def _keep(
        self, records: list[Record], processors: Sequence[AnyProcessor], callbacks: list[Callable[[], None]]
    ) -> None:
        taken = len(records)
        try:
            self._move(records, processors, callbacks)
        except Exception as error:
            # Not written and so never acknowledged: the receivers report it again after the next start.
            logger.exception("pipeline %s: %d records could not be kept", self.id, taken)
            self._report(Health.RECOVERABLE_ERROR, f"{taken} records could not be kept: {error}")
            if not self._failed:
                self._failed = True
                self._say_lost(taken, f"{type(error).__name__}: {error}")
            return
        if self._failed:
            self._failed = False
            self._report(Health.OK, "")

    def _move(
        self, records: list[Record], processors: Sequence[AnyProcessor], callbacks: list[Callable[[], None]]
    ) -> None:
        for processor in processors:
            records = self._process(processor, records)
        self._append(records, callbacks)

    def _say_lost(self, lost: int, cause: str) -> None:
        self._store.count(metrics.COVERAGE_GAPS, reason="io_error")
        now = time.time_ns()
        gap = coverage_record(
            reason="io_error",
            scope_text=f"pipeline/{self.id}",
            detail=f"records could not be kept: {cause}",
            component=f"pipeline/{self.id}",
            resource=self._resource,
            scope=self._scope,
            start_unix_nano=now,
            end_unix_nano=now,
            records_lost=lost,
        )
        try:
            self._queue.put_internal(Item([gap]))
        except StoppingError:
            logger.error("pipeline %s: the gap could not be recorded either", self.id)

    def _process(self, processor: AnyProcessor, records: list[Record]) -> list[Record]:
        labels = {"processor": processor.context.id, "pipeline": self.id}
        self._store.count(metrics.PROCESSOR_INCOMING, len(records), **labels)
        try:
            processed = processor.process(records)
        except Exception as error:
            # One record at a time, so that only the one that the processor cannot take goes on without it.
            processor.context.logger.exception("a batch failed; trying its records one by one")
            processor.context.report(Health.RECOVERABLE_ERROR, f"{type(error).__name__}: {error}")
            self._store.count(metrics.PROCESSOR_FAILED, **labels)
            self._failing_processors.add(processor.context.id)
            processed = [out for record in records for out in self._process_one(processor, record)]
        else:
            if processor.context.id in self._failing_processors:
                self._failing_processors.discard(processor.context.id)
                processor.context.report(Health.OK, "")
        self._store.count(metrics.PROCESSOR_OUTGOING, len(processed), **labels)
        return processed

    @staticmethod
    def _process_one(processor: AnyProcessor, record: Record) -> list[Record]:
        try:
            return processor.process([record])
        except Exception:
            processor.context.logger.exception(
                "record %s goes on without this processor", record.event_name or "(no name)"
            )
            return [record]

    def _append(self, records: list[Record], callbacks: list[Callable[[], None]]) -> None:
        reason = "disk_full"
        cleaned = False
        while True:
            try:
                self.journal.append(records, on_durable=_joined(callbacks))
            except ValueError as error:
                if cleaned:
                    raise
                cleaned = True
                # Something that OTLP cannot carry and that no processor made fit: `chain`, where there is one, has.
                logger.warning("pipeline %s: a record was made to fit: %s", self.id, error)
                for record in records:
                    clean_record(record)
                continue
            except (JournalFullError, JournalWriteError) as error:
                if self.stopped_at is None:
                    self.stopped_at = time.time_ns()
                    reason = "disk_full" if isinstance(error, JournalFullError) else "io_error"
                    logger.error(
                        "journal of %s: %s; no more records are taken until that is over", self.id, error
                    )
                self._report(Health.RECOVERABLE_ERROR, f"intake has stopped: {error}")
                if self._abandon.wait(_FULL_POLL_SECONDS):
                    return
                continue
            break
        self._store.count(metrics.JOURNAL_APPENDED, len(records), pipeline=self.id)
        if self.stopped_at is not None:
            stopped_at, self.stopped_at = self.stopped_at, None
            self._resumed(reason, stopped_at)

    def _resumed(self, reason: str, stopped_at: int) -> None:
        logger.warning("journal of %s: there is room again, intake goes on", self.id)
        self._report(Health.OK, "")
        self._store.count(metrics.COVERAGE_GAPS, reason=reason)
        now = time.time_ns()
        gap, restored = (
            coverage_record(
                reason=reason,
                scope_text=f"pipeline/{self.id}",
                detail="the journal could not be written, so the receivers had to wait",
                component=f"pipeline/{self.id}",
                resource=self._resource,
                scope=self._scope,
                start_unix_nano=stopped_at,
                end_unix_nano=now,
                restored=restored,
            )
            for restored in (False, True)
        )
        # Straight through the processors: the queue may be closed by now, and order matters more than batching.
        self._move([gap, restored], self._processors, [])


def _joined(callbacks: list[Callable[[], None]]) -> Callable[[], None] | None:
    if not callbacks:
        return None
    if len(callbacks) == 1:
        return callbacks[0]

    def call_all() -> None:
        for callback in callbacks:
            callback()

    return call_all
