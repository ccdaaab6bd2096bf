"""`AuthReceiver`: chooses the sources and puts them, the engine and the records together."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Final

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.receivers.auth import wording
from otel_fim.receivers.auth.config import AuthConfig
from otel_fim.receivers.auth.engine import Engine, SourceSink
from otel_fim.receivers.auth.platforms import NotHereError, platform_sources
from otel_fim.receivers.auth.sources.source import REASON_LIMITED, Source

_STOP_SECONDS: Final = 3.0
_LOOK_AGAIN_SECONDS: Final = 60.0


class AuthReceiver(Receiver[AuthConfig]):
    """Tells who logged in, tried to, left, used another user's rights, and changed an account."""

    Config = AuthConfig
    context: ReceiverContext

    def __init__(self, config: AuthConfig, context: ReceiverContext) -> None:
        super().__init__(config, context)
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._sources: list[Source] = []
        self._absent: list[Source] = []
        self._stopping = threading.Event()
        self._looking = threading.Thread(target=self._look_again, name="auth sources", daemon=True)

    def start(self) -> None:
        context = self.context
        context.report(Health.STARTING, "looking for sources")
        try:
            offered = platform_sources(self.config, sys.platform)
        except NotHereError as error:
            raise StartError(f"{context.id}.sources: {error}") from error
        engine = Engine(self.config, context)
        self._engine = engine
        engine.start()
        reasons = {source.name: source.available() for source in offered}
        for source in offered:
            # What is asked for by name waits until it is there, and says so itself.
            if reasons[source.name] is None or self.config.sources != "auto":
                self._read(engine, source)
            else:
                self._absent.append(source)
        absent = wording.absent(reasons)
        reading = [source.name for source in self._sources if reasons[source.name] is None]
        context.logger.info(
            "reads %s%s", ", ".join(reading) or "nothing", f"; not {', '.join(absent)}" if absent else ""
        )
        self._tell_limits(engine, reading, reasons)
        if self._absent:
            self._looking.start()

    def _read(self, engine: Engine, source: Source) -> None:
        self._sources.append(source)
        source.start(SourceSink(source.name, engine), engine.positions.get(source.name))

    def _tell_limits(self, engine: Engine, reading: list[str], reasons: Mapping[str, str | None]) -> None:
        if self.config.sources != "auto":
            # Each source that was asked for tells of its own gap.
            absent = wording.absent(reasons)
            waiting = f"waits for {'; '.join(absent)}" if absent else ""
            self.context.report(Health.OK if reading else Health.RECOVERABLE_ERROR, waiting)
            return
        is_root = os.name != "posix" or os.geteuid() == 0
        detail = wording.limits(reading, reasons, is_root=is_root)
        if detail is None:
            self.context.report(Health.OK, "")
            return
        engine.gaps.gap(self.context.id, REASON_LIMITED, detail, time.time_ns())
        self.context.report(Health.OK if reading else Health.RECOVERABLE_ERROR, detail)

    def _look_again(self) -> None:
        """A log may be created later, auditing may be turned on."""
        while self._absent and not self._stopping.wait(_LOOK_AGAIN_SECONDS):
            self.look_for_sources()

    def look_for_sources(self) -> None:
        """Begins to read what has appeared since."""
        engine = self._engine
        with self._lock:
            found = [source for source in self._absent if source.available() is None]
            if engine is None or self._stopping.is_set() or not found:
                return
            self._absent = [source for source in self._absent if source not in found]
            for source in found:
                self._read(engine, source)
        names = ", ".join(source.name for source in found)
        self.context.logger.info("reads %s too", names)
        if any(wording.tells_of_programs(source.name) for source in self._sources):
            engine.gaps.restored(self.context.id, REASON_LIMITED, f"{names} can be read now")
            self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        self._stopping.set()
        with self._lock:
            sources = list(self._sources)
        for source in sources:
            left = deadline - time.monotonic()
            if not source.stop(max(0.1, min(_STOP_SECONDS, left / 2))):
                self.context.logger.warning("%s did not stop in time", source.name)
        if self._engine is not None:
            self._engine.stop(max(0.1, deadline - time.monotonic()))
        self.context.report(Health.STOPPED, "")
