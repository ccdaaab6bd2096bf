"""Writes to a file descriptor that may block, break or fill up, and can be told to give up."""

from __future__ import annotations

import errno
import os
import select
import threading
from typing import Final

_CHUNK_BYTES: Final = select.PIPE_BUF
"""A pipe that is writable takes at least this much without blocking (POSIX, pipe(7))."""
_POLL_SECONDS: Final = 0.2
_GONE: Final = frozenset({errno.EBADF, errno.EIO, errno.ENXIO})
"""Closed, or a terminal that was hung up."""


class OutputClosedError(Exception):
    """Nobody reads any more, and nobody will."""


class OutputStoppedError(Exception):
    """`stop` was called while the reader was not taking anything."""


class Output:
    """Unbuffered lines to a file descriptor, which stays open.

    Python's own buffer is passed by, so that nothing is left in it to fail when the interpreter ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._stopped = threading.Event()
        self._torn = False

    @property
    def is_terminal(self) -> bool:
        return os.isatty(self._descriptor)

    def stop(self) -> None:
        """Makes a write that waits for its reader give up."""
        self._stopped.set()

    def write(self, data: bytes) -> None:
        """Writes whole lines.

        Raises `OutputClosedError` when the other side is gone, `OutputStoppedError` after `stop`, and `OSError` for
        what may pass (a full disk). A line torn by one of these is ended before the next one begins.
        """
        view = memoryview(b"\n" + data if self._torn else data)
        try:
            while view:
                self._wait()
                try:
                    written = os.write(self._descriptor, view[:_CHUNK_BYTES])
                except BlockingIOError:
                    continue
                self._torn = view[written - 1] != 0x0A
                view = view[written:]
        except BrokenPipeError as error:
            raise OutputClosedError("nobody reads standard output any more") from error
        except OSError as error:
            if error.errno in _GONE:
                raise OutputClosedError(f"standard output is gone: {error.strerror}") from error
            raise

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while not poll.poll(_POLL_SECONDS * 1000):
            if self._stopped.is_set():
                raise OutputStoppedError("stopped while standard output took nothing")
