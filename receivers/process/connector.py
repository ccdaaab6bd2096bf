"""The socket that the kernel sends process events to."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
from typing import Final

from otel_fim.receivers.process import cn_proc

_NETLINK_CONNECTOR: Final = 11
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
BATCH: Final = 128
_INIT_PID_NAMESPACE: Final = 0xEFFFFFFC
_INIT_USER_NAMESPACE: Final = 0xEFFFFFFD
"""include/uapi/linux/nsfs.h, include/linux/proc_ns.h: the inodes of the first namespaces."""


class UnavailableError(Exception):
    """The kernel does not tell this agent of processes; the message says why."""


class OverflowedError(Exception):
    """The socket's buffer was full: events have been lost."""


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _SocketAddress(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_ushort),
        ("padding", ctypes.c_ushort),
        ("port", ctypes.c_uint32),
        ("groups", ctypes.c_uint32),
    )


_ADDRESS_SIZE: Final = ctypes.sizeof(_SocketAddress)


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MultiHeader(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint))


class Connector:
    """Raises `UnavailableError` when the kernel will not tell. For one thread."""

    def __init__(self, buffer_bytes: int) -> None:
        _require_first_namespaces()
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
                _NETLINK_CONNECTOR,
            )
        except (OSError, AttributeError) as error:
            raise UnavailableError(f"the kernel has no proc connector for this agent: {error}") from error
        try:
            self._set_buffer(buffer_bytes)
            self._attach_filter()
            # 0: the kernel chooses the port; 1 << (group - 1): only events of processes.
            self._socket.bind((0, cn_proc.CN_IDX_PROC))
            self._socket.send(cn_proc.listen_message(1, self._socket.getsockname()[0]))
        except OSError as error:
            self._socket.close()
            reason = (
                "the agent may not ask for process events"
                if error.errno in (errno.EPERM, errno.EACCES)
                else error
            )
            raise UnavailableError(
                f"{reason} ({errno.errorcode.get(error.errno or 0, error.errno)})"
            ) from error
        self._prepare()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """The kernel stops telling."""
        self._socket.close()

    def receive(self) -> list[bytes]:
        """What waits, at most `BATCH` messages; with fewer nothing waited any more. Raises `OverflowedError`."""
        # Without giving up the interpreter's lock: it would come back when the process is gone (see host.quick).
        count = self._recvmmsg(self._descriptor, self._headers, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in (errno.EAGAIN, errno.EINTR):
                return []
            if number == errno.ENOBUFS:
                raise OverflowedError
            raise OSError(number, os.strerror(number))
        messages = []
        for at in range(count):
            multi = self._headers[at]
            multi.header.name_length = _ADDRESS_SIZE
            start = at * cn_proc.MAX_MESSAGE_BYTES
            # Only the kernel's own word counts: others may write to this port, with the right capability.
            foreign = self._names[at].port != 0
            messages.append(b"" if foreign else bytes(self._view[start : start + multi.length]))
        return messages

    def _prepare(self) -> None:
        library = ctypes.PyDLL(None, use_errno=True)
        self._recvmmsg = library.recvmmsg
        self._descriptor = self._socket.fileno()
        self._buffer = ctypes.create_string_buffer(cn_proc.MAX_MESSAGE_BYTES * BATCH)
        self._view = memoryview(self._buffer).cast("B")
        start = ctypes.addressof(self._buffer)
        self._vectors = (_IoVector * BATCH)()
        self._names = (_SocketAddress * BATCH)()
        self._headers = (_MultiHeader * BATCH)()
        for at in range(BATCH):
            self._vectors[at].base = start + at * cn_proc.MAX_MESSAGE_BYTES
            self._vectors[at].length = cn_proc.MAX_MESSAGE_BYTES
            header = self._headers[at].header
            header.name = ctypes.addressof(self._names[at])
            header.name_length = _ADDRESS_SIZE
            header.vectors = ctypes.addressof(self._vectors[at])
            header.vector_count = 1

    def _set_buffer(self, size: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except OSError:
            # As an ordinary user: as much as net.core.rmem_max allows.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def _attach_filter(self) -> None:
        program = cn_proc.socket_filter()
        buffer = ctypes.create_string_buffer(program, len(program))

        class Program(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

        described = Program(len(program) // 8, ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(described))


def _require_first_namespaces() -> None:
    for kind, inode, name in (
        ("pid", _INIT_PID_NAMESPACE, "process"),
        ("user", _INIT_USER_NAMESPACE, "user"),
    ):
        try:
            found = os.stat(f"/proc/self/ns/{kind}").st_ino
        except OSError as error:
            raise UnavailableError(f"this system has no proc connector ({error.strerror})") from error
        if found != inode:
            raise UnavailableError(
                f"the agent runs in a {name} namespace of its own (a container), which the kernel tells nothing; "
                f"run it on the host, or with the host's namespaces"
            )
