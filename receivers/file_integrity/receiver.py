"""`FileIntegrityReceiver`: puts scope, baseline, engine and backends together."""

from __future__ import annotations

import os
import sqlite3
import time
from functools import partial
from typing import Final

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.host.own_processes import OwnProcesses
from otel_fim.receivers.file_integrity.backend import Backend, BackendUnavailableError
from otel_fim.receivers.file_integrity.backends import choose_backend
from otel_fim.receivers.file_integrity.baseline import Baseline, BaselineError
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.engine import Engine
from otel_fim.receivers.file_integrity.metadata import Unhashed
from otel_fim.receivers.file_integrity.paths import display, is_below
from otel_fim.receivers.file_integrity.scope import Rules, Scope, expand_paths, pseudo_mounts
from otel_fim.receivers.file_integrity.takeover import take_over

_BACKEND_STOP_SECONDS: Final = 2.0
_EXAMPLES: Final = 5


class FileIntegrityReceiver(Receiver[FileIntegrityConfig]):
    """Watches files and reports what changed, who changed it, and what could not be seen."""

    Config = FileIntegrityConfig
    context: ReceiverContext

    def __init__(self, config: FileIntegrityConfig, context: ReceiverContext) -> None:
        super().__init__(config, context)
        self._engine: Engine | None = None
        self._backends: list[tuple[Backend, list[bytes]]] = []

    def start(self) -> None:
        context = self.context
        context.report(Health.STARTING, "taking the baseline")
        scope = self._scope()
        try:
            baseline = Baseline(context.state_directory / "baseline.db")
            formerly = take_over(baseline, scope)
        except (BaselineError, OSError) as error:
            raise StartError(str(error)) from error
        except sqlite3.Error as error:
            raise StartError(
                f"{context.state_directory / 'baseline.db'}: {error}; check free space"
            ) from error
        engine = Engine(
            self.config,
            context,
            scope,
            baseline,
            formerly=formerly,
            on_ready=partial(self._ready, baseline),
            linked=self._watch_links,
        )
        self._engine = engine
        if baseline.set_aside is not None:
            engine.gaps.once(
                "io_error",
                None,
                f"the baseline was damaged and is set aside as {baseline.set_aside}; a new one is taken, "
                "changes made before it are not known",
                time.time_ns(),
                time.time_ns(),
            )
        self._note_missing(engine, scope)
        self._start_backends(engine, scope)
        engine.start()

    def stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for backend, _ in self._backends:
            backend.stop(min(_BACKEND_STOP_SECONDS, max(0.1, deadline - time.monotonic())))
        if self._engine is not None:
            self._engine.stop(max(0.1, deadline - time.monotonic()))
        self.context.report(Health.STOPPED, "")

    def _scope(self) -> Scope:
        roots = expand_paths(self.config.paths)
        own = [
            os.fsencode(os.path.realpath(directory))
            for directory in (*self.context.agent_directories, self.context.state_directory)
        ]
        views = [
            mount
            for mount in pseudo_mounts()
            if not any(root == mount or root.startswith(mount + b"/") for root in roots)
        ]
        scope = Scope(roots, Rules.of(self.config), [*own, *views])
        if not scope.roots:
            raise StartError(
                f"{self.context.id}.paths: none of the paths can be watched ({', '.join(self.config.paths)}); "
                "they match nothing or lie in the agent's own directories"
            )
        return scope

    def _start_backends(self, engine: Engine, scope: Scope) -> None:
        try:
            chosen = choose_backend(self.config, scope.roots, OwnProcesses(), self.context.logger)
            for backend, roots in chosen:
                self._backends.append((backend, roots))
                backend.start(roots, scope, engine.sink(backend.name))
                self.context.logger.info("watching %s with %s", _listed(roots), backend.describe())
        except BackendUnavailableError as error:
            raise StartError(f"{self.context.id}.backend: {error}") from error
        without = [(backend, roots) for backend, roots in chosen if backend.name != "fanotify"]
        for backend, roots in without:
            cause = (
                "the agent does not run as root"
                if os.geteuid() != 0
                else f"the backend {backend.name} does not tell"
            )
            everywhere = len(without) == len(chosen)
            where = "" if everywhere else f" below {_listed(roots)}"
            self.context.logger.warning("who makes a change%s cannot be seen: %s", where, cause)
            for root in [None] if everywhere else roots:
                detail = "who makes a change" if root is None else f"who makes a change below {display(root)}"
                engine.gaps.open("backend_limited", root, f"{detail} cannot be seen: {cause}")

    def _watch_links(self, path: bytes) -> None:
        for backend, roots in self._backends:
            if any(path == root or is_below(path, root) for root in roots):
                backend.watch_links(path)

    def _note_missing(self, engine: Engine, scope: Scope) -> None:
        """Paths that someone wrote down and that are not there; those of the profile need not be."""
        if "paths" not in self.config.model_fields_set:
            return
        for root in scope.roots:
            if not os.path.lexists(root):
                detail = f"{display(root)} does not exist; it is reported when it appears"
                self.context.logger.warning("%s", detail)
                engine.gaps.open("path_missing", root, detail)

    def _ready(self, baseline: Baseline) -> None:
        """After the first scan: says what cannot be compared."""
        engine = self._engine
        denied, examples = baseline.without_hash(Unhashed.PERMISSION_DENIED, _EXAMPLES)
        if denied and engine is not None:
            shown = ", ".join(display(path) for path in examples)
            detail = f"the content of {denied} files cannot be read and is not compared, such as {shown}"
            self.context.logger.warning("%s", detail)
            engine.gaps.open("permission_denied", None, detail)
        self.context.report(Health.OK, "")


def _listed(roots: list[bytes]) -> str:
    shown = ", ".join(display(root) for root in roots[:6])
    return shown if len(roots) <= 6 else f"{shown} and {len(roots) - 6} more"
