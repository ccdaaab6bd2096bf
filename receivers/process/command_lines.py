"""Reads command lines where it may take as long as it likes.

They lie in the memory of the process that they are of. Reading them waits for that memory, and its owner can have it
come from a file system or a program that never answers. So no thread that is told of processes reads them.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
import time
from typing import Final

from otel_fim.host import procfs, quick
from otel_fim.receivers.process.happening import Image

_SIZE: Final = 8192
_THREADS: Final = 2
_MAX_THREADS: Final = 16
_MAX_WAITING: Final = 256
"""Each holds a descriptor."""
_STUCK_SECONDS: Final = 0.5
_PATIENCE_SECONDS: Final = 0.25
_STEP_SECONDS: Final = 0.005

# One call that gives up the interpreter's lock: each time it has to be waited for, the process may end.
_read = ctypes.CDLL(None, use_errno=True).read
_read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_read.restype = ctypes.c_ssize_t


class CommandLines:
    """`ask` is for one thread and never waits; `wait` is for another one."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Image, int] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy: dict[int, float] = {}
        """Since when each thread reads."""
        self._threads = 0
        self._closed = False

    def ask(self, image: Image, descriptor: int) -> None:
        """Fills in `image.arguments` some time later. `descriptor` is of the process's `cmdline`, and closed here."""
        if not self._is_free():
            os.close(descriptor)
            return
        image.asked_at = time.monotonic()
        self._jobs.put((image, descriptor))

    def wait(self, image: Image) -> None:
        """Until they have been read, or could have been."""
        while image.asked_at and time.monotonic() < image.asked_at + _PATIENCE_SECONDS:
            time.sleep(_STEP_SECONDS)

    @property
    def stuck(self) -> int:
        """How many threads wait for a process's memory that does not come."""
        limit = time.monotonic() - _STUCK_SECONDS
        with self._lock:
            return sum(since < limit for since in self._busy.values())

    def close(self) -> None:
        """Ends the threads; one that is stuck ends when the process that it reads does."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _is_free(self) -> bool:
        """Whether somebody will take the next one soon. Starts more threads when some are stuck."""
        if self._jobs.qsize() >= _MAX_WAITING:
            self._add_threads(self.stuck + _THREADS)
            return False
        if self._threads < _THREADS or len(self._busy) >= self._threads:
            self._add_threads(self.stuck + _THREADS)
            return self.stuck < _MAX_THREADS
        return True

    def _add_threads(self, wanted: int) -> None:
        with self._lock:
            if self._closed:
                return
            while self._threads < min(wanted, _MAX_THREADS):
                self._threads += 1
                threading.Thread(target=self._run, name="process-cmdline", daemon=True).start()

    def _run(self) -> None:
        me = threading.get_ident()
        buffer = ctypes.create_string_buffer(_SIZE)
        while (job := self._jobs.get()) is not None:
            image, descriptor = job
            with self._lock:
                self._busy[me] = time.monotonic()
            length = _read(descriptor, ctypes.addressof(buffer), _SIZE)
            quick.close(descriptor)
            with self._lock:
                del self._busy[me]
            if length > 0:
                image.arguments_ns = time.monotonic_ns()
                image.arguments = split(ctypes.string_at(buffer, length))
            image.asked_at = 0.0


def split(content: bytes) -> tuple[str, ...]:
    """`/proc/PID/cmdline` as arguments."""
    return tuple(procfs.text(each) for each in content.removesuffix(b"\0").split(b"\0"))
