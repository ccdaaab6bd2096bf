"""Keeps glibc from holding on to memory that the agent no longer uses.

By default glibc gives every thread a heap of its own (up to eight a processor), and raises the size from which blocks
are mapped each time a mapped one is freed. An agent has two dozen threads that take turns under Python's lock: one heap
serves them as well, and hashing buffers and batches go back to the system. See mallopt(3).
"""

from __future__ import annotations

import ctypes
from typing import Final

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_THRESHOLD_BYTES: Final = 128 << 10


def be_lean_with_memory() -> bool:
    """To be called before threads are started. False where the C library is not glibc and has nothing to set."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    settings = (
        (_M_ARENA_MAX, 1),
        (_M_TRIM_THRESHOLD, _THRESHOLD_BYTES),
        (_M_MMAP_THRESHOLD, _THRESHOLD_BYTES),
    )
    done = [mallopt(name, value) == 1 for name, value in settings]
    return all(done)
