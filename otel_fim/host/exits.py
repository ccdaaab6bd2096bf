"""The kernel's accounting of processes that have ended: who wrote a file and was gone before /proc could be read.

Taskstats (Documentation/accounting/taskstats.rst): every task that exits sends its name, user, parent and program
over generic netlink, before its pid can be given up. So when an event's process is found to be gone, its record
is there to be read. Needs CAP_NET_ADMIN and a kernel with CONFIG_TASKSTATS.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from otel_fim.host import procfs
from otel_fim.host.programs import Programs

DRAIN_SECONDS: Final = 0.5
"""How often `drain` has to be called so that the socket's buffer holds all exits of a busy host."""

_NETLINK_GENERIC: Final = 16
_SO_RCVBUFFORCE: Final = 33
_BUFFER_BYTES: Final = 8 << 20
_MESSAGE_BYTES: Final = 1 << 16
_KEPT: Final = 8192

_GENL_ID_CTRL: Final = 16
_CTRL_CMD_GETFAMILY: Final = 3
_CTRL_ATTR_FAMILY_ID: Final = 1
_CTRL_ATTR_FAMILY_NAME: Final = 2
_TASKSTATS_CMD_GET: Final = 1
_TASKSTATS_CMD_ATTR_REGISTER_CPUMASK: Final = 3
_TASKSTATS_TYPE_STATS: Final = 3
_TASKSTATS_TYPE_AGGR_PID: Final = 4
_NLM_F_REQUEST: Final = 1
_NLM_F_ACK: Final = 4
_NLMSG_ERROR: Final = 2

_HEADER: Final = struct.Struct("=IHHII")
_GENERIC: Final = struct.Struct("=BBH")
_ATTRIBUTE: Final = struct.Struct("=HH")
# struct taskstats, which only ever grows: version, ac_comm, ac_uid, ac_pid, ac_ppid; from version 12 on
# (Linux 5.19) ac_tgid, ac_exe_dev and ac_exe_inode.
_STATS: Final = struct.Struct("=H78x32s8xI4xII")
_STATS_12: Final = struct.Struct("=368xI12xQQ")
_ATTRIBUTE_TYPE_MASK: Final = 0x3FFF


@dataclass(slots=True, frozen=True)
class Exited:
    """What the kernel's accounting tells of a process that has ended."""

    command: str
    real_user_id: int
    parent_pid: int
    executable_path: str | None


class Record(NamedTuple):
    """One ended task. `received_at` is in monotonic ns, later than its end."""

    received_at: int
    pid: int
    thread_group: int
    parent_pid: int
    user_id: int
    command: bytes
    device: int
    inode: int


class ExitAccounting:
    """Keeps the newest ended processes. For one thread.

    Raises `OSError` when the kernel or the lack of rights does not allow it.
    """

    def __init__(self, *, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._programs = Programs()
        self._records: deque[Record] = deque()
        self._by_pid: dict[int, list[Record]] = {}
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC
        )
        try:
            self._socket.bind((0, 0))
            self._family = self._find_family()
            with open("/sys/devices/system/cpu/possible", "rb") as source:
                processors = source.read().strip()
            attribute = _attribute(_TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, processors + b"\0")
            self._request(self._family, _TASKSTATS_CMD_GET, attribute)
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise
        self._complete_since = time.monotonic_ns()
        self._drained_at = self._complete_since

    def close(self) -> None:
        self._socket.close()

    def learn(self, pid: int, executable: bytes) -> None:
        """A program that was seen running: its file is recognised in records from now on."""
        self._programs.learn(f"/proc/{pid}/exe", executable)

    def learn_identity(self, device: int, inode: int, executable: bytes) -> None:
        """The same with the file's device and inode, for a program that may be gone by now."""
        self._programs.learn_identity(device, inode, executable)

    def find(self, pid: int, since: int) -> Exited | None:
        """The one process with this pid that ended after `since` (monotonic ns); None when there was none, or more."""
        self.drain()
        if since < self._complete_since:
            return None
        # Received later is a little more than ended later: two candidates are no proof for either.
        found = [record for record in self._by_pid.get(pid, ()) if record.received_at >= since]
        if len(found) != 1 or found[0].thread_group not in (0, pid):
            return None
        (record,) = found
        program = self._programs.path(record.device, record.inode)
        return Exited(
            command=procfs.text(record.command),
            real_user_id=record.user_id,
            parent_pid=record.parent_pid,
            executable_path=None if program is None else procfs.text(program),
        )

    def drain_when_due(self) -> None:
        if time.monotonic_ns() - self._drained_at >= DRAIN_SECONDS * 1e9:
            self.drain()

    def drain(self) -> None:
        """Takes in what the kernel has sent. Never raises: without it, less is known."""
        while True:
            try:
                message, sender = self._socket.recvfrom(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                # The buffer was full: from here on a missing record proves nothing about what was before.
                self._forget()
                if error.errno == errno.ENOBUFS:
                    continue
                break
            if sender[0] == 0:
                now = time.monotonic_ns()
                for record in parse(message, self._family, now):
                    self._keep(record)
        self._drained_at = time.monotonic_ns()

    def _keep(self, record: Record) -> None:
        if len(self._records) >= _KEPT:
            oldest = self._records.popleft()
            same_pid = self._by_pid[oldest.pid]
            same_pid.remove(oldest)
            if not same_pid:
                del self._by_pid[oldest.pid]
            self._complete_since = max(self._complete_since, oldest.received_at + 1)
        self._records.append(record)
        self._by_pid.setdefault(record.pid, []).append(record)

    def _forget(self) -> None:
        self._records.clear()
        self._by_pid.clear()
        self._complete_since = time.monotonic_ns()

    # --- Netlink -----------------------------------------------------------------------------------------

    def _find_family(self) -> int:
        reply = self._request(
            _GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _attribute(_CTRL_ATTR_FAMILY_NAME, b"TASKSTATS\0")
        )
        for kind, value in attributes(reply[_HEADER.size + _GENERIC.size :]):
            if kind == _CTRL_ATTR_FAMILY_ID and len(value) >= 2:
                return int.from_bytes(value[:2], sys.byteorder)
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def _request(self, family: int, command: int, payload: bytes) -> bytes:
        body = _GENERIC.pack(command, 1, 0) + payload
        flags = _NLM_F_REQUEST | (_NLM_F_ACK if family != _GENL_ID_CTRL else 0)
        self._socket.settimeout(5)
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), family, flags, 1, 0) + body)
        reply = self._socket.recv(_MESSAGE_BYTES)
        _, kind, *_ = _HEADER.unpack_from(reply)
        if kind == _NLMSG_ERROR:
            (number,) = struct.unpack_from("=i", reply, _HEADER.size)
            if number:
                raise OSError(-number, os.strerror(-number))
        return reply


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(buffer: bytes) -> Iterator[tuple[int, bytes]]:
    """Netlink attributes: type and value. Ends at the first malformed one."""
    at = 0
    while at + _ATTRIBUTE.size <= len(buffer):
        length, kind = _ATTRIBUTE.unpack_from(buffer, at)
        if length < _ATTRIBUTE.size or at + length > len(buffer):
            return
        yield kind & _ATTRIBUTE_TYPE_MASK, buffer[at + _ATTRIBUTE.size : at + length]
        at += length + (-length % 4)


def parse(buffer: bytes, family: int, received_at: int) -> Iterator[Record]:
    """The ended tasks in what was received. Never raises; what is malformed or something else is left out."""
    at = 0
    while at + _HEADER.size + _GENERIC.size <= len(buffer):
        length, kind, *_ = _HEADER.unpack_from(buffer, at)
        if length < _HEADER.size or at + length > len(buffer):
            return
        if kind == family:
            for outer, value in attributes(buffer[at + _HEADER.size + _GENERIC.size : at + length]):
                if outer == _TASKSTATS_TYPE_AGGR_PID:
                    for inner, stats in attributes(value):
                        if inner == _TASKSTATS_TYPE_STATS and len(stats) >= _STATS.size:
                            yield _record(stats, received_at)
        at += length + (-length % 4)


def _record(stats: bytes, received_at: int) -> Record:
    version, command, user, pid, parent = _STATS.unpack_from(stats)
    group = device = inode = 0
    if version >= 12 and len(stats) >= _STATS_12.size:
        group, device, inode = _STATS_12.unpack_from(stats)
    return Record(received_at, pid, group, parent, user, command.partition(b"\0")[0], device, inode)
