"""`PersistenceReceiver`: what starts by itself, added, changed and removed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.engine import Engine
from otel_fim.receivers.persistence.gaps import Gaps
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.kind import Kind
from otel_fim.receivers.persistence.kinds import all_kinds
from otel_fim.receivers.persistence.state import State, StateError


class PersistenceReceiver(Receiver[PersistenceConfig]):
    """Reports what starts by itself: scans, and reads again at once what other receivers report as changed files."""

    Config = PersistenceConfig
    context: ReceiverContext

    def __init__(self, config: PersistenceConfig, context: ReceiverContext) -> None:
        super().__init__(config, context)
        self._engine: Engine | None = None
        self._deafen: Callable[[], None] | None = None

    def start(self) -> None:
        context = self.context
        context.report(Health.STARTING, "looking at what starts by itself")
        root = self.config.root
        if not os.path.isdir(root):
            raise StartError(f"{context.id}.root: {root} is not a directory; name the root of a file system")
        kinds = self._kinds()
        if not kinds:
            raise StartError(f"{context.id}.exclude_kinds: no kind is left; take one out of the list")
        try:
            state = State(context.state_directory / "persistence.db")
            known = state.meta("root")
            if known != root:
                for source in state.sources() if known is not None else ():
                    state.forget(source)
                # Only now: on a full disk, an agent that knows all this already still starts.
                state.set_meta("root", root)
        except (StateError, OSError) as error:
            raise StartError(str(error)) from error
        except sqlite3.Error as error:
            raise StartError(
                f"{context.state_directory / 'persistence.db'}: {error}; check free space"
            ) from error
        first = []
        if state.set_aside is not None:
            detail = (
                f"the state was damaged and is set aside as {state.set_aside}; what is there now is taken as given, "
                "changes made before are not known"
            )
            context.logger.warning("%s", detail)
            first.append(Gaps(context, Host(os.fsencode(root))).once("io_error", detail, time.time_ns()))
        self._engine = Engine(self.config, context, kinds, state)
        self._engine.prepare()
        self._deafen = context.listen(self._engine.heard)
        self._engine.start(first)

    def stop(self, timeout: float) -> None:
        if self._deafen is not None:
            self._deafen()
        if self._engine is not None:
            self._engine.stop(timeout)
        self.context.report(Health.STOPPED, "")

    def _kinds(self) -> list[Kind]:
        wanted = self.config.kinds
        kinds = [
            make()
            for name, make in all_kinds().items()
            if (not wanted or name in wanted) and name not in self.config.exclude_kinds
        ]
        for kind in kinds:
            kind.configure(self.config)
        return kinds
