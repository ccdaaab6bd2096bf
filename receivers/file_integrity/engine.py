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
from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.announced import settle_announced
from otel_fim.receivers.file_integrity.backend import Hint, Sink
from otel_fim.receivers.file_integrity.baseline import Baseline
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.evaluate import Evaluator
from otel_fim.receivers.file_integrity.gaps import Gaps
from otel_fim.receivers.file_integrity.hasher import GoneError, UnreadableError, observe
from otel_fim.receivers.file_integrity.identities import Identities
from otel_fim.receivers.file_integrity.metadata import FileState, Unhashed, is_directory
from otel_fim.receivers.file_integrity.pending import CREATED, NOTHING, SCAN, Pending, PendingPaths
from otel_fim.receivers.file_integrity.records import RecordBuilder
from otel_fim.receivers.file_integrity.scanner import Scanner, ScanReport
from otel_fim.receivers.file_integrity.scope import Scope
from otel_fim.receivers.file_integrity.view import Move, View
from otel_fim.record import Record

_BATCH: Final = 512
_TICK: Final = 0.5
_MISSING_ROOT_INTERVAL: Final = 5.0
_QUEUE_OVERFLOW: Final = "queue_overflow"


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
    ) -> None:
        self._config = config
        self._context = context
        self._scope = scope
        self._baseline = baseline
        self._formerly = formerly
        self._on_ready = on_ready
        self._pending = PendingPaths(config.settle, config.max_pending)
        self._identities = Identities()
        self._notes: list[Record] = []
        self._notes_lock = threading.Lock()
        self.gaps = Gaps(context, self._note)
        self._view = View(baseline, self._baseline_failed, self._baseline_worked)
        self._builder = RecordBuilder(context, self._identities)
        self._evaluator = Evaluator(
            view=self._view,
            scope=scope,
            pending=self._pending,
            builder=self._builder,
            hash_max_size=config.hash_max_size,
            threads=config.hash_threads,
            one_file_system=config.one_file_system,
            emit=self._emit,
            walk=self._want_walk,
            unreadable=self._unreadable,
            closed=self._is_closed,
            listing=lambda: self._listing,
        )
        self._listing = True
        self._refused = False
        self._scan_stop = threading.Event()
        self._draining = threading.Event()
        self._scan_wanted = threading.Condition()
        # Scopes to be compared because something was lost there; each with the gap's reason.
        self._lost: set[tuple[str, bytes | None]] = set()
        # Places that a backend cannot watch.
        self._unwatched: set[tuple[str, bytes | None]] = set()
        # Directories to be compared, with what led there and whether what lies below them is compared too.
        self._walks: dict[bytes, tuple[Pending, bool]] = {}
        self._scanning = True
        self._walking = False
        # (sequence, then): called once every path that waited at that sequence has been looked at.
        self._barriers: list[tuple[int, Callable[[], None]]] = []
        self._decide_thread = threading.Thread(target=self._decide, name="file_integrity-engine", daemon=True)
        self._scan_thread = threading.Thread(target=self._scan, name="file_integrity-scan", daemon=True)
        self._walk_thread = threading.Thread(target=self._walk, name="file_integrity-subtree", daemon=True)

    def sink(self, backend: str) -> Sink:
        """What a backend of that name puts its hints into."""
        return _EngineSink(self, backend)

    def start(self) -> None:
        """Starts the threads; the first thing that happens is a scan of everything."""
        self._view.start()
        self._decide_thread.start()
        self._scan_thread.start()
        self._walk_thread.start()

    def stop(self, timeout: float) -> None:
        """Looks at what waits, waits until it is durable, and closes the baseline, all within `timeout` seconds.

        Call it when the backends have stopped.
        """
        deadline = time.monotonic() + timeout
        self._scan_stop.set()
        with self._scan_wanted:
            self._scan_wanted.notify_all()
        for thread in (self._scan_thread, self._walk_thread):
            _join(thread, deadline)
        self._draining.set()
        self._pending.hurry()
        _join(self._decide_thread, deadline)
        self._view.drain(max(0.0, deadline - time.monotonic()))
        self._view.stop()
        self._evaluator.close()
        self._identities.close()
        if any(t.is_alive() for t in (self._scan_thread, self._walk_thread, self._decide_thread)):
            self._context.logger.warning(
                "file integrity did not finish within its time; a scan at start will"
            )
            return
        self._baseline.close()

    def is_quiet(self) -> bool:
        """Whether nothing waits: no path, no comparison, no gap to be closed. Says nothing of what is not told yet."""
        with self._scan_wanted:
            if self._scanning or self._walking or self._walks or self._lost or self._barriers:
                return False
        return self._pending.is_quiet() and not self._notes

    # --- the sink ---

    def take_hints(self, backend: str, hints: Sequence[Hint]) -> None:
        """Takes a backend's hints; never waits."""
        if not self._pending.add_hints(backend, hints):
            self.lost(
                _QUEUE_OVERFLOW,
                None,
                f"more than {self._config.max_pending} changed paths waited to be looked at; "
                "everything is compared with the baseline",
            )

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        """Opens a gap and has the scope compared; repeated losses before that is done are one gap.

        A gap in time (events that were lost) is closed by the comparison. A place that cannot be watched stays a gap
        however often it is compared.
        """
        # The gap first: it stands before what the comparison finds.
        self.gaps.open(reason, scope, detail)
        with self._scan_wanted:
            self._lost.add((reason, scope))
            if scope is not None and reason != _QUEUE_OVERFLOW:
                self._unwatched.add((reason, scope))
            self._scan_wanted.notify_all()

    # --- deciding ---

    def _decide(self) -> None:
        missing_check = time.monotonic()
        self._settle_announced()
        while not self._refused:
            try:
                self._check_barriers()
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

    def _check_barriers(self) -> None:
        if not self._barriers:
            return
        oldest = self._pending.oldest()
        with self._scan_wanted:
            passed = [then for number, then in self._barriers if oldest is None or oldest > number]
            self._barriers = [b for b in self._barriers if not (oldest is None or oldest > b[0])]
        for then in passed:
            then()

    def _when_looked_at(self, then: Callable[[], None]) -> None:
        """Has `then` called once all that waits now has been looked at."""
        with self._scan_wanted:
            self._barriers.append((self._pending.newest(), then))

    def _look_for_missing_roots(self) -> None:
        """A root that does not exist may appear where no backend can watch."""
        for root in self._scope.roots:
            if self._view.lookup(root)[1] is not None:
                self.gaps.close("path_missing", root, f"{paths.display(root)} exists now")
            elif os.path.lexists(root):
                self._pending.add(root, SCAN, CREATED, time.time_ns())

    def _unreadable(self, directory: bytes, reason: Unhashed) -> None:
        word = "permission_denied" if reason is Unhashed.PERMISSION_DENIED else "io_error"
        cause = "the agent may not read it" if reason is Unhashed.PERMISSION_DENIED else "an I/O error"
        self.gaps.open(word, directory, f"{paths.display(directory)} cannot be looked at: {cause}")

    def _is_closed(self, directory: bytes) -> bool:
        return self.gaps.is_open("permission_denied", directory) or self.gaps.is_open("io_error", directory)

    def _readable(self, directory: bytes) -> None:
        for word in ("permission_denied", "io_error"):
            if word == "permission_denied" or (word, directory) not in self._unwatched:
                self.gaps.close(word, directory, f"{paths.display(directory)} can be looked at again")

    def _baseline_failed(self, message: str) -> None:
        self._context.logger.error("%s", message)
        self._context.report(Health.RECOVERABLE_ERROR, message)

    def _baseline_worked(self) -> None:
        self._context.report(Health.OK, "the baseline can be written again")

    # --- comparing ---

    def _scanner(self, like: Pending | None, *, while_down: bool) -> Scanner:
        return Scanner(
            self._baseline,
            self._scope,
            threads=self._config.hash_threads if like is None else 1,
            hash_max_size=self._config.hash_max_size,
            differs=partial(self._differs, like, while_down),
            unreadable=self._unreadable,
            readable=self._readable,
            stopping=self._scan_stop,
            one_file_system=self._config.one_file_system,
            formerly=self._formerly if while_down else None,
        )

    def _differs(self, like: Pending | None, while_down: bool, found: Sequence[bytes]) -> None:
        backend = SCAN if like is None else like.backend
        when = time.time_ns() if like is None else like.last
        for path in found:
            while not self._scan_stop.is_set():
                # Half of the room is left to events.
                if len(self._pending) * 2 <= self._config.max_pending or self._pending.wait_below(
                    self._config.max_pending // 2, 1.0
                ):
                    self._pending.add(
                        path, backend, NOTHING, when, while_down=while_down, like=like, force=True
                    )
                    break

    def _want_walk(self, directory: bytes, like: Pending, deep: bool) -> None:
        with self._scan_wanted:
            queued = self._walks.get(directory)
            self._walks[directory] = (like, deep or (queued is not None and queued[1]))
            self._scan_wanted.notify_all()

    def _walk(self) -> None:
        try:
            while not self._scan_stop.is_set():
                with self._scan_wanted:
                    self._scan_wanted.wait_for(lambda: self._walks or self._scan_stop.is_set(), 1.0)
                    self._walking = bool(self._walks)
                    if not self._walks or self._scan_stop.is_set():
                        continue
                    directory = next(iter(self._walks))
                    like, deep = self._walks.pop(directory)
                try:
                    self._scanner(like, while_down=like.while_down).walk(directory, deep=deep)
                except Exception as error:
                    self._context.logger.exception("file integrity: a directory could not be compared")
                    self.lost(
                        "io_error", directory, f"{paths.display(directory)} could not be compared: {error}"
                    )
                    self._scan_stop.wait(1.0)
        finally:
            self._baseline.release_reader()

    def _scan(self) -> None:
        try:
            self._first_scan()
            interval = self._config.rescan_interval
            following = time.monotonic() + interval
            while not self._scan_stop.is_set():
                with self._scan_wanted:
                    self._scanning = bool(self._lost)
                    patience = max(0.0, following - time.monotonic()) if interval else 3600.0
                    self._scan_wanted.wait_for(lambda: self._lost or self._scan_stop.is_set(), patience)
                    lost, self._lost = self._lost, set()
                    self._scanning = True
                if self._scan_stop.is_set():
                    return
                self._rescan(lost)
                if interval and (not lost or any(scope is None for _, scope in lost)):
                    following = time.monotonic() + interval
        finally:
            self._baseline.release_reader()

    def _first_scan(self) -> None:
        report = ScanReport()
        started = time.monotonic()
        known = self._baseline.roots()
        for root in self._scope.roots:
            if self._scan_stop.is_set():
                return
            try:
                report.add(self._scan_root(root, while_down=True))
                if known.get(root) is None and not report.stopped and self._baseline.pending(root) == 0:
                    self._baseline.complete_root(root)
            except Exception as error:
                self._context.logger.exception("file integrity: %s could not be scanned", paths.display(root))
                self.lost("io_error", None, f"{paths.display(root)} could not be scanned: {error}")
        self._listing = False
        if report.stopped:
            return
        self._formerly = None
        count, directories = self._baseline.count()
        self._context.logger.info(
            "compared %d paths in %d directories in %.1f s; %d directories were listed for the first time; "
            "%d paths differ; the baseline holds %d paths in %d directories",
            report.files,
            report.directories,
            time.monotonic() - started,
            report.first_listings,
            report.differences,
            count,
            directories,
        )
        self._on_ready()

    def _scan_root(self, root: bytes, *, while_down: bool) -> ScanReport:
        try:
            state: FileState | None = observe(root, self._config.hash_max_size)
        except GoneError:
            state = None
        except UnreadableError as error:
            self._unreadable(root, error.reason)
            return ScanReport()
        if not self._baseline.has_root(root):
            self._baseline.add_root(root, state)
        self._differs(None, while_down, [root])
        if state is None or not self._scope.descends(root):
            return ScanReport()
        if is_directory(state):
            return self._scanner(None, while_down=while_down).walk(root)
        return ScanReport(files=1)

    def _rescan(self, lost: set[tuple[str, bytes | None]]) -> None:
        scopes = {scope for _, scope in lost}
        try:
            if None in scopes or not lost:
                for root in self._scope.roots:
                    self._scan_root(root, while_down=False)
            else:
                for scope in scopes:
                    assert scope is not None
                    self._rescan_below(scope)
        except Exception as error:
            self._context.logger.exception("file integrity: the comparison with the baseline failed")
            self._scan_stop.wait(5.0)
            with self._scan_wanted:
                self._lost |= lost or {("io_error", None)}
            self.gaps.open("io_error", None, f"the comparison with the baseline failed: {error}")
            return
        if lost and not self._scan_stop.is_set():
            self._when_looked_at(partial(self._close_gaps, lost))

    def _rescan_below(self, scope: bytes) -> None:
        for root in self._scope.roots_below(scope):
            self._scan_root(root, while_down=False)
        if self._scope.roots_above(scope):
            self._differs(None, False, [scope])
            if self._scope.descends(scope) and os.path.isdir(scope) and not os.path.islink(scope):
                self._scanner(None, while_down=False).walk(scope)

    def _close_gaps(self, lost: set[tuple[str, bytes | None]]) -> None:
        for reason, scope in lost:
            with self._scan_wanted:
                if (reason, scope) in self._lost or (reason, scope) in self._unwatched:
                    # Lost again since: the gap stays open until the next comparison.
                    continue
            self.gaps.close(
                reason,
                scope,
                "everything in the scope was compared with the baseline; differences are reported",
            )


def _join(thread: threading.Thread, deadline: float) -> None:
    if thread.is_alive():
        thread.join(max(0.1, deadline - time.monotonic()))
