"""Hears from the kernel when a TCP socket begins to listen, and who did it: no listener is too short-lived for it.

The tracepoint is read through perf events, which end with the process that opened them: a killed agent leaves
nothing switched on. Needs CAP_PERFMON (or CAP_SYS_ADMIN) and tracefs, which is mounted for this process alone where
the host has it not.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import struct
import time
from typing import Final

from otel_fim.receivers.listener.transitions import FILTER, Transition, parse_format, parse_records

_DIRECTORIES: Final = (b"/sys/kernel/tracing", b"/sys/kernel/debug/tracing")
_EVENT: Final = b"events/sock/inet_sock_set_state/"

_SYS_PERF_EVENT_OPEN: Final = {
    "x86_64": 298,
    "aarch64": 241,
    "riscv64": 241,
    "loongarch64": 241,
    "s390x": 331,
}
_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 430, 431, 432
"""The same on every architecture."""
_FSOPEN_CLOEXEC: Final = 1
_FSCONFIG_CMD_CREATE: Final = 6
_FSMOUNT_CLOEXEC: Final = 1
_MOUNT_ATTRIBUTES: Final = 0xF
"""Read-only, and nothing on it is run, no device, no setuid."""

_PERF_TYPE_TRACEPOINT: Final = 2
_PERF_SAMPLE: Final = 0x2 | 0x4 | 0x400
_PERF_FLAG_FD_CLOEXEC: Final = 8
_USE_CLOCKID: Final = 1 << 25
_DISABLED: Final = 1
_ATTR_SIZE: Final = 112
_CLOCKID_AT: Final = 92
_IOC_ENABLE: Final = 0x2400
_IOC_SET_FILTER: Final = 0x40082406
_PAGES: Final = 8
_HEAD_AT: Final = 1024
"""`data_head` in struct perf_event_mmap_page; `data_tail` follows."""
_HEAD_TAIL: Final = struct.Struct("=QQ")

_libc = ctypes.CDLL(None, use_errno=True)


class Tracepoint:
    """One ring for each processor. For one thread. Raises `OSError` when the kernel or the rights do not allow it."""

    def __init__(self) -> None:
        number = _SYS_PERF_EVENT_OPEN.get(platform.machine())
        if number is None or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise OSError(errno.ENOSYS, f"perf events are not used on {platform.machine()}")
        self.rejected = 0
        self._held: list[Transition] = []
        event, text = _read_event()
        try:
            self._layout = parse_format(text)
        except ValueError as error:
            raise OSError(errno.EPROTO, str(error)) from error
        self._rings: list[tuple[int, mmap.mmap]] = []
        try:
            for processor in _processors():
                self._rings.append(_open_ring(number, event, processor))
            for descriptor, _ in self._rings:
                fcntl.ioctl(descriptor, _IOC_ENABLE, 0)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for descriptor, ring in self._rings:
            ring.close()
            os.close(descriptor)
        self._rings.clear()

    def descriptors(self) -> list[int]:
        return [descriptor for descriptor, _ in self._rings]

    def take(self) -> tuple[list[Transition], bool]:
        """What happened since the last call, in order, and whether something was lost.

        The rings of the processors are read one after the other. What is newer than the beginning of that is held
        back until the next call, as something older may be in a ring that had been read already.
        """
        horizon = time.monotonic_ns()
        missing = False
        for _, ring in self._rings:
            head, tail = _HEAD_TAIL.unpack_from(ring, _HEAD_AT)
            if head == tail:
                continue
            transitions, lost, rejected = parse_records(_between(ring, tail, head), self._layout)
            struct.pack_into("=Q", ring, _HEAD_AT + 8, head)
            self._held += transitions
            missing |= bool(lost)
            self.rejected += rejected
        if not self._held:
            return [], missing
        self._held.sort(key=lambda each: each.monotonic_ns)
        ready = [each for each in self._held if each.monotonic_ns <= horizon]
        del self._held[: len(ready)]
        return ready, missing

    @property
    def holding(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)


def unix_nano(monotonic_ns: int) -> int:
    """A moment of the monotonic clock as time since the epoch."""
    return time.time_ns() - time.monotonic_ns() + monotonic_ns


def _between(ring: mmap.mmap, tail: int, head: int) -> bytes:
    size = len(ring) - mmap.PAGESIZE
    start, end = tail % size, head % size
    base = mmap.PAGESIZE
    if start < end:
        return ring[base + start : base + end]
    return ring[base + start :] + ring[base : base + end]


def _processors() -> list[int]:
    """The processors that are online: `0-3,8` in sysfs."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as source:
        parts = source.read().strip().split(",")
    found: list[int] = []
    for part in parts:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _open_ring(number: int, event: int, processor: int) -> tuple[int, mmap.mmap]:
    attributes = bytearray(_ATTR_SIZE)
    struct.pack_into(
        "=IIQQQQQI",
        attributes,
        0,
        _PERF_TYPE_TRACEPOINT,
        _ATTR_SIZE,
        event,
        1,
        _PERF_SAMPLE,
        0,
        _DISABLED | _USE_CLOCKID,
        1,
    )
    struct.pack_into("=i", attributes, _CLOCKID_AT, time.CLOCK_MONOTONIC)
    structure = ctypes.create_string_buffer(bytes(attributes), _ATTR_SIZE)
    descriptor = _call(number, structure, -1, processor, -1, _PERF_FLAG_FD_CLOEXEC)
    try:
        text = ctypes.create_string_buffer(FILTER)
        if _libc.ioctl(descriptor, ctypes.c_ulong(_IOC_SET_FILTER), text) < 0:
            raise _error()
        return descriptor, mmap.mmap(descriptor, (1 + _PAGES) * mmap.PAGESIZE)
    except BaseException:
        os.close(descriptor)
        raise


def _read_event() -> tuple[int, str]:
    """The tracepoint's number and the layout of its records."""
    for directory in _DIRECTORIES:
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            return _read_event_below(descriptor)
        except OSError:
            continue
        finally:
            os.close(descriptor)
    descriptor = _mount_for_us()
    try:
        return _read_event_below(descriptor)
    finally:
        os.close(descriptor)


def _read_event_below(directory: int) -> tuple[int, str]:
    number = _read_below(directory, _EVENT + b"id")
    if not number.strip().isdigit():
        raise OSError(errno.EPROTO, "the tracepoint's id is not a number")
    return int(number), _read_below(directory, _EVENT + b"format").decode("ascii", "replace")


def _read_below(directory: int, path: bytes) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as source:
        return source.read()


def _mount_for_us() -> int:
    """A tracefs that nobody else sees: it is never attached to a directory."""
    context = _call(_SYS_FSOPEN, b"tracefs", _FSOPEN_CLOEXEC)
    try:
        _call(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, _MOUNT_ATTRIBUTES)
    finally:
        os.close(context)


def _call(number: int, *arguments: object) -> int:
    result = _libc.syscall(
        ctypes.c_long(number),
        *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments),
    )
    if result < 0:
        raise _error()
    return int(result)


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
