"""What correlations remember, across restarts: the state file, and the journal for what is newer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from otel_fim.component import ProcessorContext, StartError
from otel_fim.processors.rules.correlate import StateError
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.hits import Correlated
from otel_fim.state_file import DamagedStateError, Saver, StateFile

STATE_FILE: Final = "correlations.state"
VERSION: Final = 1
SAVE_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 900.0
"""So often it is saved although nothing was taken: the journal is gone through from there."""
_HOLD_SECONDS: Final = 1.0
"""So long a state is held before it is written: what it rests on is then on the disk, and a power cut that takes the
journal's newest records takes no finding that the state says was made."""
_SHARE: Final = 50
"""Saving takes at most one part in so many of the time: a large state is saved less often."""


class Remembering:
    """Keeps an engine's state in the component's directory. `lost` is called with a sentence when state is lost."""

    def __init__(
        self,
        context: ProcessorContext,
        lost: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._lost = lost
        self._clock = clock
        self._file = StateFile(context.state_directory / STATE_FILE, "rules", VERSION)
        self._saver = Saver(self._file, context, SAVE_SECONDS, clock=clock)
        self._took = 0.0
        self._held: tuple[bytes, float] | None = None
        self._is_new = False

    def take_up(self, engine: Engine) -> list[Correlated]:
        """Restores the engine; gives findings that should have been made before. Where there are some, or something to
        tell, the state is saved by the first `save_if_due`, which is to come after they were passed on. Raises
        `StartError` when a damaged file cannot be moved away."""
        if not engine.has_state:
            return []
        try:
            content = self._file.read()
            if content is not None:
                anew = engine.restore(content)
                if anew:
                    self._context.logger.info(
                        "%d correlations begin anew: they, or the rules that they refer to, have changed or are gone",
                        len(anew),
                    )
        except (DamagedStateError, StateError) as error:
            self._start_anew(str(error))
        except StartError as error:
            # A newer agent's; what cannot be read at all cannot be helped here.
            if not os.access(self._file.path, os.R_OK):
                raise
            self._start_anew(str(error))
        found = self._replay(engine)
        if found or self._is_new:
            self._is_new = True
        else:
            self.save(engine)
        return found

    def _replay(self, engine: Engine) -> list[Correlated]:
        began, since = self._clock(), engine.replay_from
        try:
            found = engine.replay(self._context.recorded(since))
        except Exception as error:
            self._context.logger.exception("the journal cannot be gone through")
            self._is_new = True
            self._lost(
                "what correlations had seen since their state was saved could not be taken from the journal "
                f"({type(error).__name__}: {error})"
            )
            return []
        self._context.logger.debug("the journal was gone through in %.1f s", self._clock() - began)
        return found

    def _start_anew(self, reason: str) -> None:
        try:
            aside = self._file.set_aside()
        except OSError as error:
            raise StartError(
                f"{self._file.path}: {reason}; it cannot be moved away: {error.strerror}; move it away to start anew"
            ) from error
        message = (
            f"what correlations remembered cannot be used ({reason}) and was set aside as {aside.name}; they go on "
            "from the journal"
        )
        self._context.logger.error("%s: %s", self._file.path, message)
        self._is_new = True
        self._lost(message)

    def save_if_due(self, engine: Engine) -> None:
        """Saves every half a minute when there is something new. To be called when all findings that the engine gave
        are in the journal."""
        if self._held is not None:
            content, since = self._held
            if self._clock() - since >= _HOLD_SECONDS:
                self._held = None
                self._write(engine, content)
        elif engine.has_state and self._saver.elapsed() >= self._pause(engine):
            self._is_new = False
            self._held = self._content(engine), self._clock()

    def save(self, engine: Engine) -> None:
        """Saves now. A failure is told once, and it is tried again."""
        if engine.has_state:
            self._held = None
            self._write(engine, self._content(engine))

    def _pause(self, engine: Engine) -> float:
        if self._is_new:
            return 0.0
        return max(SAVE_SECONDS if engine.is_changed else _IDLE_SECONDS, self._took * _SHARE)

    def _content(self, engine: Engine) -> bytes:
        began = self._clock()
        content = engine.state()
        engine.is_changed = False
        self._took = self._clock() - began
        return content

    def _write(self, engine: Engine, content: bytes) -> None:
        began = self._clock()
        if not self._saver.save(content):
            engine.is_changed = True
        self._took += self._clock() - began
