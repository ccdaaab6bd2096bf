"""The process confined to its directory, where the kernel has Landlock.

The agent often runs as root, and then so does its store, which anybody with a password sends SQL to. Landlock
(https://docs.kernel.org/userspace-api/landlock.html) takes from this process, and from every thread that it
starts afterwards, all files but the store's own and what Python and the engine read to run; from Linux 6.7 on
also new TCP connections, from 6.12 on signals to other processes.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ALL_OF_ABI: Final = {
    1: (1 << 13) - 1,
    2: (1 << 14) - 1,
    3: (1 << 15) - 1,
    4: (1 << 15) - 1,
    5: (1 << 16) - 1,
}
_FILE_RIGHTS: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR

_SYSTEM: Final = (
    *("/usr", "/lib", "/lib64", "/etc/localtime", "/etc/timezone", "/etc/ld.so.cache"),
    *("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg", "/proc/version"),
    *("/proc/sys", "/proc/uptime", "/proc/vmstat", "/proc/pressure"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm", "/dev/urandom", "/dev/random"),
    "/etc/clickhouse-local",
)


def confine(directory: str) -> str | None:
    """Give up everything but `directory`, and what must be read to run. Cannot be undone.

    Must be called before the process has other threads. Returns None, or the reason why the process is as free
    as before: no Landlock in the kernel, or not switched on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if abi < 1:
        return f"the kernel has no Landlock ({os.strerror(ctypes.get_errno())})"
    handled = _ALL_OF_ABI[min(abi, 5)]
    attributes = struct.pack("=Q", handled)
    if abi >= 4:
        attributes += struct.pack("=Q", 3)  # bind and connect of TCP
    if abi >= 6:
        attributes += struct.pack("=Q", 3)  # abstract UNIX sockets and signals
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return f"Landlock: {os.strerror(ctypes.get_errno())}"
    try:
        _allow(libc, ruleset, directory, handled)
        _allow(libc, ruleset, "/dev/null", handled & (_READ | _WRITE_FILE))
        for path in _readable():
            _allow(libc, ruleset, path, handled & _READ)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return f"Landlock: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    return None


def _readable() -> Iterable[str]:
    """What Python, its packages and the engine read."""
    paths = {*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(sys.executable)}
    paths |= set(sysconfig.get_paths().values())
    paths |= {path for path in sys.path if path}
    return sorted(paths)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    """Allow `rights` below `path`; a path that is not there needs no rule."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
