"""The kernel's process events: messages of the proc connector, and the filter that keeps threads out.

Format: include/uapi/linux/{netlink,connector,cn_proc}.h: nlmsghdr, cn_msg, proc_event, all in the machine's byte order.
"""

from __future__ import annotations

import struct
import sys
from typing import Final, NamedTuple, TypeAlias

CN_IDX_PROC: Final = 1
CN_VAL_PROC: Final = 1
MAX_MESSAGE_BYTES: Final = 512

FORK: Final = 0x00000001
EXEC: Final = 0x00000002
UID: Final = 0x00000004
GID: Final = 0x00000040
SID: Final = 0x00000080
EXIT: Final = 0x80000000
_ACKNOWLEDGED: Final = 0

_PROC_CN_MCAST_LISTEN: Final = 1
_NLMSG_DONE: Final = 3

_NETLINK: Final = struct.Struct("=IHHII")
_CONNECTOR: Final = struct.Struct("=IIIIHH")
_EVENT: Final = struct.Struct("=IIQ")
_DATA_AT: Final = _NETLINK.size + _CONNECTOR.size + _EVENT.size
_HEAD: Final = struct.Struct("=IHHII IIIIHH IIQ".replace(" ", ""))
_FOUR: Final = struct.Struct("=4I")


class ProcEvent(NamedTuple):
    """`what` is one of FORK, EXEC, UID, GID, SID, EXIT; `time_ns` is the kernel's monotonic clock; `pid` is the
    process (of a fork: the child). `first` and `second` are the parent's pid and 0 (fork), the real and the effective
    id (uid, gid), the status as from wait(2) and 0 (exit)."""

    what: int
    time_ns: int
    pid: int
    first: int = 0
    second: int = 0


class MalformedError(ValueError):
    """A message that is none of the proc connector's."""


def parse(message: bytes) -> ProcEvent | None:
    """One message; None for what is no news of a process: of threads, and answers. Raises `MalformedError`."""
    if len(message) < _DATA_AT:
        raise MalformedError(f"{len(message)} bytes are too few for a process event")
    length, kind, _, _, _, index, value, _, _, size, _, what, _, time_ns = _HEAD.unpack_from(message)
    if length > len(message) or kind != _NLMSG_DONE or (index, value) != (CN_IDX_PROC, CN_VAL_PROC):
        raise MalformedError("not a message of the proc connector")
    if size < _EVENT.size or _NETLINK.size + _CONNECTOR.size + size > len(message):
        raise MalformedError("a process event that ends too soon")
    if what == _ACKNOWLEDGED:
        return None
    if len(message) < _DATA_AT + _FOUR.size:
        raise MalformedError("a process event that ends too soon")
    one, two, three, four = _FOUR.unpack_from(message, _DATA_AT)
    if what == FORK:
        return ProcEvent(FORK, time_ns, four, two) if three == four else None
    if what == EXEC:
        return ProcEvent(EXEC, time_ns, two)
    if what == EXIT:
        return ProcEvent(EXIT, time_ns, two, three) if one == two else None
    if what in (UID, GID):
        return ProcEvent(what, time_ns, two, three, four) if one == two else None
    if what == SID:
        return ProcEvent(SID, time_ns, two) if one == two else None
    return None


def listen_message(sequence: int, port: int) -> bytes:
    """What asks the kernel for the events. The short form, which kernels before 6.6 understand too."""
    body = _CONNECTOR.pack(CN_IDX_PROC, CN_VAL_PROC, sequence, 0, 4, 0) + struct.pack(
        "=I", _PROC_CN_MCAST_LISTEN
    )
    return _NETLINK.pack(_NETLINK.size + len(body), _NLMSG_DONE, 0, sequence, port) + body


# --- The filter ------------------------------------------------------------------------------------------

_INSTRUCTION: Final = struct.Struct("=HBBI")
_WHAT_AT: Final = _NETLINK.size + _CONNECTOR.size


def socket_filter() -> bytes:
    """Classic BPF (Documentation/networking/filter.rst): of all events the kernel keeps those that `parse` gives
    something for. Threads come and go more often than processes, and would fill the socket's buffer."""
    program = [
        ("load", _WHAT_AT),
        *(("if", _loaded(what), "keep") for what in (EXEC, _ACKNOWLEDGED)),
        *(("if", _loaded(what), "same") for what in (EXIT, UID, GID, SID)),
        ("if", _loaded(FORK), "fork"),
        ("return", 0),
        "fork",
        *_compare(_DATA_AT + 8, _DATA_AT + 12),
        "same",
        *_compare(_DATA_AT, _DATA_AT + 4),
        "keep",
        ("return", 0xFFFFFFFF),
    ]
    return _assemble(program)


def _loaded(value: int) -> int:
    # BPF loads words in network order; the kernel has written them in its own.
    return int.from_bytes(value.to_bytes(4, sys.byteorder), "big")


def _compare(one: int, other: int) -> list[_Step]:
    return [("load", one), ("to x",), ("load", other), ("if x", 0, "keep"), ("return", 0)]


_Step: TypeAlias = "str | tuple[str] | tuple[str, int] | tuple[str, int, str]"
_CODES: Final = {"load": 0x20, "to x": 0x07, "if": 0x15, "if x": 0x1D, "return": 0x06}


def _assemble(program: list[_Step]) -> bytes:
    """Words alone are labels; an `if` goes to its label when it holds, and on when not."""
    labels: dict[str, int] = {}
    steps: list[tuple[str, int, str]] = []
    for step in program:
        if isinstance(step, str):
            labels[step] = len(steps)
        else:
            value = step[1] if len(step) > 1 else 0
            label = step[2] if len(step) > 2 else ""
            steps.append((step[0], value, label))
    done = []
    for at, (name, value, label) in enumerate(steps):
        jump = labels[label] - at - 1 if name.startswith("if") else 0
        done.append(_INSTRUCTION.pack(_CODES[name], jump, 0, value))
    return b"".join(done)
