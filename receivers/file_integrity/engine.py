"""The engine: takes hints from the backends, looks at the paths, and has records made and the baseline moved.

Threads: any backend's thread puts hints in (and never waits); one thread decides and emits; one takes the first
baseline and compares everything when asked; one compares single directories; one writes the baseline.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from otel_fim.component import Health, ReceiverContext, StoppingError
from otel_fim.host.identities import Identities
from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.announced import settle_announced
from otel_fim.receivers.file_integrity.backend import Hint, Sink
from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.comparing import QUEUE_OVERFLOW, Comparer
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.evaluate import Evaluator
from otel_fim.receivers.file_integrity.gaps import Gaps
from otel_fim.receivers.file_integrity.pending import CREATED, SCAN, PendingPaths
from otel_fim.receivers.file_integrity.records import RecordBuilder
from otel_fim.receivers.file_integrity.scope import Scope
from otel_fim.receivers.file_integrity.view import Move, View
from otel_fim.record import Record

_BATCH: Final = 512
_TICK: Final = 0.5
_MISSING_ROOT_INTERVAL: Final = 5.0


class _EngineSink:
    """The engine as one backend sees it."""

    def __init__(self, engine: Engine, backend: str) -> None:
        self._engine = engine
        self._backend = backend

    def hints(self, hints: Sequence[Hint]) -> None:
        self._engine.take_hints(self._backend, hints)

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        self._engine.lost(reason, scope, detail)


class Engine:
    """Everything between the backends and `context.emit`."""

    def __init__(
        self,
        config: FileIntegrityConfig,
        context: ReceiverContext,
        scope: Scope,
        baseline: Baseline,
        *,
        formerly: Scope | None = None,
        on_ready: Callable[[], None] = lambda: None,
        linked: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`linked` is told of regular files that have several hard links, again and again."""
        self._config = config
        self._context = context
        self._scope = scope
        self._baseline = baseline
        self._pending = PendingPaths(config.settle, config.max_pending)
        self._identities = Identities()
        self._notes: list[Record] = []
        self._notes_lock = threading.Lock()
        self.gaps = Gaps(context, self._note)
        self._view = View(baseline, self._baseline_failed, self._baseline_worked)
        self._builder = RecordBuilder(context, self._identities)
        self._comparer = Comparer(
            config,
            scope,
            baseline,
            self._pending,
            self.gaps,
            context.logger,
            context.processes,
            formerly=formerly,
            on_ready=on_ready,
            linked=linked,
        )
        self._evaluator = Evaluator(
            view=self._view,
            scope=scope,
            pending=self._pending,
            builder=self._builder,
            hash_max_size=config.hash_max_size,
            threads=config.hash_threads,
            one_file_system=config.one_file_system,
            emit=self._emit,
            walk=self._comparer.want,
            unreadable=self._comparer.unreadable,
            closed=self._comparer.is_closed,
            linked=linked,
            listing=lambda: self._comparer.listing,
        )
        self._refused = False
        self._draining = threading.Event()
        self._decide_thread = threading.Thread(target=self._decide, name="file_integrity-engine", daemon=True)

    def sink(self, backend: str) -> Sink:
        """What a backend of that name puts its hints into."""
        return _EngineSink(self, backend)

    def start(self) -> None:
        """Starts the threads; the first thing that happens is a scan of everything."""
        self._view.start()
        self._decide_thread.start()
        self._comparer.start()

    def stop(self, timeout: float) -> None:
        """Looks at what waits, waits until it is durable, and closes the baseline, all within `timeout` seconds.

        Call it when the backends have stopped.
        """
        deadline = time.monotonic() + timeout
        compared = self._comparer.stop(deadline)
        self._draining.set()
        self._pending.hurry()
        if self._decide_thread.is_alive():
            self._decide_thread.join(max(0.1, deadline - time.monotonic()))
        self._view.drain(max(0.0, deadline - time.monotonic()))
        self._view.stop()
        self._evaluator.close()
        self._identities.close()
        if not compared or self._decide_thread.is_alive():
            self._context.logger.warning(
                "file integrity did not finish within its time; the comparison at the next start will"
            )
            return
        self._baseline.close()

    def is_quiet(self) -> bool:
        """Whether nothing waits: no path, no comparison, no gap to be closed. Says nothing of what is not told yet."""
        return self._comparer.is_quiet() and self._pending.is_quiet() and not self._notes

    # --- the sink ---

    def take_hints(self, backend: str, hints: Sequence[Hint]) -> None:
        """Takes a backend's hints; never waits."""
        if not self._pending.add_hints(backend, hints):
            self.lost(
                QUEUE_OVERFLOW,
                None,
                f"more than {self._config.max_pending} changed paths waited to be looked at; "
                "everything is compared with the baseline",
            )

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        """Opens a gap and has the scope compared; repeated losses before that is done are one gap."""
        self._comparer.lost(reason, scope, detail)

    # --- deciding ---

    def _decide(self) -> None:
        missing_check = time.monotonic()
        self._settle_announced()
        while not self._refused:
            try:
                self._comparer.check_barriers()
                if time.monotonic() - missing_check > _MISSING_ROOT_INTERVAL:
                    missing_check = time.monotonic()
                    self._look_for_missing_roots()
                batch = self._pending.take_due(_BATCH, _TICK)
                # A gap is told before what was found because of it.
                self._emit_notes()
                if batch:
                    self._evaluator.evaluate(batch)
                elif self._draining.is_set():
                    return
            except StoppingError:
                self._refused = True
            except Exception:
                self._context.logger.exception("file integrity: a batch of changes could not be handled")
                self.lost(
                    "io_error",
                    None,
                    "an error inside the agent; everything is compared with the baseline",
                )
                self._draining.wait(1.0)

    def _settle_announced(self) -> None:
        """Before anything else is reported: what the run before may have reported last."""
        try:
            settle_announced(self._view, self._scope, self._pending, self._builder, self._emit)
        except StoppingError:
            self._refused = True
        except Exception:
            self._context.logger.exception("file integrity: what was being reported before cannot be settled")

    def _emit(self, records: list[Record], moves: list[Move]) -> None:
        self._view.expect()
        if records:
            self._view.announce(moves)
        if not records:
            self._view.durable(moves)
            return
        try:
            self._context.emit(records, on_durable=partial(self._view.durable, moves))
        except BaseException:
            self._view.unexpect()
            raise

    def _note(self, record: Record) -> None:
        with self._notes_lock:
            self._notes.append(record)
        self._pending.wake()

    def _emit_notes(self) -> None:
        with self._notes_lock:
            notes, self._notes = self._notes, []
        if notes:
            self._context.emit(notes)

    def _look_for_missing_roots(self) -> None:
        """A root that does not exist may appear where no backend can watch."""
        for root in self._scope.roots:
            if self._view.lookup(root)[1] is not None:
                self.gaps.close("path_missing", root, f"{paths.display(root)} exists now")
            elif os.path.lexists(root):
                self._pending.add(root, SCAN, CREATED, time.time_ns())

    def _baseline_failed(self, message: str) -> None:
        self._context.logger.error("%s", message)
        self._context.report(Health.RECOVERABLE_ERROR, message)

    def _baseline_worked(self) -> None:
        self._context.report(Health.OK, "the baseline can be written again")
