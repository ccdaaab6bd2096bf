"""setns(2), which Python has only from 3.12 on."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter_network_namespace(pid: int, namespace: int) -> None:
    """Moves the calling thread, and it alone, into the network namespace of a process.

    Raises `OSError`; with ESRCH when the process is in another namespace by now.
    """
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_ino != namespace:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
