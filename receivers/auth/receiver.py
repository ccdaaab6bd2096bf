"""`AuthReceiver`: chooses the sources and puts them, the engine and the records together."""

from __future__ import annotations

import sys
import time
from typing import Final

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.receivers.auth.config import AuthConfig
from otel_fim.receivers.auth.engine import Engine, SourceSink
from otel_fim.receivers.auth.platforms import NotHereError, platform_sources
from otel_fim.receivers.auth.sources.source import REASON_LIMITED, Source

_STOP_SECONDS: Final = 3.0


class AuthReceiver(Receiver[AuthConfig]):
    """Tells who logged in, tried to, left, used another user's rights, and changed an account."""

    Config = AuthConfig
    context: ReceiverContext

    def __init__(self, config: AuthConfig, context: ReceiverContext) -> None:
        super().__init__(config, context)
        self._engine: Engine | None = None
        self._sources: list[Source] = []

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
        absent: list[str] = []
        for source in offered:
            reason = source.available()
            if reason is not None:
                absent.append(f"{source.name} ({reason})")
                if self.config.sources == "auto":
                    continue
            self._sources.append(source)
            source.start(SourceSink(source.name, engine), engine.positions.get(source.name))
        reading = ", ".join(source.name for source in self._sources) or "nothing"
        context.logger.info("reads %s; not %s", reading, ", ".join(absent) or "left out anything")
        if self._sources:
            context.report(Health.OK, "")
            return
        detail = f"no login can be seen: {'; '.join(absent) or 'this system has no source'}"
        engine.gaps.gap(context.id, REASON_LIMITED, detail, time.time_ns())
        context.report(Health.RECOVERABLE_ERROR, detail)

    def stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        for source in self._sources:
            left = deadline - time.monotonic()
            if not source.stop(max(0.1, min(_STOP_SECONDS, left / 2))):
                self.context.logger.warning("%s did not stop in time", source.name)
        if self._engine is not None:
            self._engine.stop(max(0.1, deadline - time.monotonic()))
        self.context.report(Health.STOPPED, "")
