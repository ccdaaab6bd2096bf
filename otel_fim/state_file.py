"""A component's state in one file that is whole or not used, and the saving of it now and then.

The file is a line `otel-fim KIND VERSION CHECKSUM` (BLAKE2b-128 of what follows, hex) and the content.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_fim.component import Health, StartError
from otel_fim.journal.files import replace_file

if TYPE_CHECKING:
    from otel_fim.component import Context

_MARK: Final = b"otel-fim"
HOLD_SECONDS: Final = 2.0
"""By then the journal has on disk what was appended before, or has stopped taking more."""


class DamagedStateError(Exception):
    """The file is not what was written; the message says in what."""


class StateFile:
    """The file at `path`, of one kind (a word) and of a version that grows."""

    def __init__(self, path: Path, kind: str, version: int) -> None:
        self.path = path
        self._kind = kind.encode()
        self._version = version

    def read(self) -> bytes | None:
        """The content; None when there is no file.

        Raises `DamagedStateError` for a file that is not whole, and `StartError` for one that cannot be read or that a
        newer agent wrote.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StartError(
                f"{self.path}: the state cannot be read: {error.strerror}; the agent must own its state directory"
            ) from error
        head, _, content = data.partition(b"\n")
        words = head.split(b" ")
        if len(words) != 4 or words[:2] != [_MARK, self._kind] or not words[2].isdigit() or len(words[2]) > 9:
            raise DamagedStateError("its first line is not that of such a file")
        if words[3] != _checksum(content):
            raise DamagedStateError("its checksum does not fit")
        version = int(words[2])
        if version > self._version:
            raise StartError(
                f"{self.path}: the state has version {version}, this agent knows {self._version}; use the agent that "
                "made it, or move the file away to start anew"
            )
        if version != self._version:
            raise DamagedStateError(f"it has version {version}, which was never given out")
        return content

    def write(self, content: bytes) -> None:
        """Replaces the file, durably. Raises `OSError`, and then the old content is still there."""
        head = b" ".join((_MARK, self._kind, b"%d" % self._version, _checksum(content)))
        replace_file(self.path, head + b"\n" + content)

    def set_aside(self) -> Path:
        """Moves a damaged file out of the way, for people to look at. Raises `OSError`."""
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        os.replace(self.path, aside)
        return aside


def _checksum(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()


class Saver:
    """Writes a state file at most every `interval` seconds, and says once when that does not work and once when it
    does again. For one thread."""

    def __init__(
        self,
        file: StateFile,
        context: Context,
        interval: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._context = context
        self._interval = interval
        self._clock = clock
        self._last = clock()
        self._pause = interval
        self._held: tuple[bytes, float] | None = None
        self.failing = False

    def elapsed(self) -> float:
        """Seconds since the file was last written, or tried to."""
        return self._clock() - self._last

    @property
    def is_due(self) -> bool:
        """Whether the interval is over. It is longer when writing takes long: that takes at most a twentieth of the
        time."""
        return self._held is None and self.elapsed() >= self._pause

    def hold(self, content: bytes) -> None:
        """Writes it a little later (`write_held`): a state must not know of records that the journal may yet lose, as
        they come again after a crash and would be known then."""
        self._held = content, self._clock()

    def write_held(self) -> bool | None:
        """Writes what is held when it is time; None when there is nothing to write, otherwise as `save`."""
        if self._held is None or self._clock() - self._held[1] < HOLD_SECONDS:
            return None
        return self.save(self._held[0])

    def save(self, content: bytes) -> bool:
        """Writes now; False when it could not, which is the health's and the log's to tell."""
        self._held = None
        began = self._clock()
        try:
            self._file.write(content)
        except OSError as error:
            self._last, self._pause = self._clock(), self._interval
            message = (
                f"{self._file.path}: the state cannot be written: {error.strerror or error}; until that is over, a "
                "restart goes on from the state before"
            )
            if not self.failing:
                self._context.logger.warning(message)
            self.failing = True
            self._context.report(Health.RECOVERABLE_ERROR, message)
            return False
        self._last = self._clock()
        self._pause = max(self._interval, 20 * (self._last - began))
        if self.failing:
            self.failing = False
            self._context.logger.warning("%s: the state is written again", self._file.path)
            self._context.report(Health.OK, "")
        return True
