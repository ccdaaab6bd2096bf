"""The kernel's audit over netlink: listening to the multicast group, and asking whether auditing is on.

netlink(7), include/uapi/linux/audit.h, kernel/audit.c. Listening needs CAP_AUDIT_READ, asking CAP_AUDIT_CONTROL, both
in the initial user and network namespace. Nothing is ever set here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Collection
from typing import Final, NamedTuple

_NETLINK_AUDIT: Final = 9
_GROUP_READ: Final = 1
_AUDIT_GET: Final = 1000
_NLMSG_ERROR: Final = 2
_NLM_F_REQUEST: Final = 1
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_BUFFER_BYTES: Final = 1 << 20
LARGEST_MESSAGE: Final = 65_536
"""MAX_AUDIT_MESSAGE_LENGTH is 8970; what the kernel makes of it stays far below this."""
_ANSWER_SECONDS: Final = 5.0
_HEADER: Final = struct.Struct("=IHHII")
_STATUS: Final = struct.Struct("=IIIIIIII")
"""The start of struct audit_status: mask, enabled, failure, pid, rate limit, backlog limit, lost, backlog."""

# linux/bpf_common.h
_LOAD_HALF: Final = 0x28
_JUMP_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_TYPE_OFFSET: Final = 4


class Message(NamedTuple):
    """`type` is the record's type, `text` what stands behind the netlink header."""

    type: int
    text: bytes


def open_group(types: Collection[int]) -> socket.socket:
    """A socket that receives audit records of these types; the kernel drops all others. Raises `OSError`."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_AUDIT)
    try:
        _attach_filter(listener, types)
        try:
            listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except PermissionError:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        listener.bind((0, _GROUP_READ))
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _attach_filter(listener: socket.socket, types: Collection[int]) -> None:
    """A classic BPF program: a busy host's audit rules must not wake the agent for records it does not read."""
    wanted = sorted(types)
    program = [(_LOAD_HALF, 0, 0, _TYPE_OFFSET)]
    for index, number in enumerate(wanted):
        # BPF reads big-endian, netlink headers are in the machine's order.
        value = int.from_bytes(number.to_bytes(2, sys.byteorder), "big")
        program.append((_JUMP_EQUAL, len(wanted) - index, 0, value))
    program += [(_RETURN, 0, 0, 0), (_RETURN, 0, 0, 0xFFFFFFFF)]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    listener.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer))
    )


def receive(listener: socket.socket) -> Message | None:
    """The next record that the kernel sent; None when what came is malformed or somebody else's.

    Raises `BlockingIOError` when there is none, `OSError` with ENOBUFS when records were lost.
    """
    data, sender = listener.recvfrom(LARGEST_MESSAGE)
    return split(data) if sender[0] == 0 else None


def split(data: bytes) -> Message | None:
    """One netlink message; None when it is shorter than its header or its length is none. Never raises.

    The kernel sends one a datagram, and in some versions counts its length without the header (kernel/audit.c).
    """
    if len(data) < _HEADER.size:
        return None
    length, kind, *_ = _HEADER.unpack_from(data)
    padded = len(data) + (-len(data) % 4)
    if length > padded or padded - length > _HEADER.size + 4:
        return None
    return Message(kind, data[_HEADER.size :])


def enabled() -> bool | None:
    """Whether auditing is on; None when the kernel does not say. Raises `OSError`: EPERM without the right to ask."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_AUDIT) as asker:
        asker.settimeout(_ANSWER_SECONDS)
        asker.sendto(_HEADER.pack(_HEADER.size, _AUDIT_GET, _NLM_F_REQUEST, 1, 0), (0, 0))
        # Without NLM_F_ACK an error or the status comes, and nothing else.
        data = asker.recv(LARGEST_MESSAGE)
    if len(data) < _HEADER.size:
        return None
    _, kind, *_ = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if kind == _NLMSG_ERROR and len(body) >= 4:
        (number,) = struct.unpack_from("=i", body)
        if number:
            raise OSError(-number, os.strerror(-number))
        return None
    if kind != _AUDIT_GET or len(body) < _STATUS.size:
        return None
    return bool(_STATUS.unpack_from(body)[1])


def why_not(error: OSError) -> str:
    """Why the kernel's audit cannot be read, for people."""
    if error.errno in (errno.EPERM, errno.EACCES):
        return "the kernel's audit cannot be read without root (CAP_AUDIT_READ and CAP_AUDIT_CONTROL)"
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return "this kernel has no audit (CONFIG_AUDIT)"
    if error.errno == errno.ECONNREFUSED:
        return "the kernel's audit cannot be read in a container's namespaces"
    return f"the kernel's audit cannot be read: {error.strerror or error}"
