"""Memory that is free goes back to the system.

glibc keeps an arena for each thread, and raises the size from which on it gives memory back as soon as something large
is freed. After one burst an agent with ten threads so keeps tens of megabytes that nobody uses.
"""

from __future__ import annotations

import ctypes
from typing import Final

# mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_BYTES: Final = 128 * 1024


def give_memory_back() -> bool:
    """One arena, and fixed thresholds: for the whole program, best before it starts threads. False where the C library
    is not glibc, and nothing changes."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_TRIM_THRESHOLD, _BYTES), (_M_MMAP_THRESHOLD, _BYTES))
    done = [mallopt(which, value) for which, value in settings]
    return all(done)
