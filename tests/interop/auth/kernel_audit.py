"""The kernel's audit: switching it on for a while."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

from tests.interop.auth.login_host import lacking

_AUDIT_GET, _AUDIT_SET, _STATUS_ENABLED = 1000, 1001, 1


def _ask(kind: int, payload: bytes = b"") -> bytes:
    """One request to the kernel's audit (struct audit_status in linux/audit.h); its answer's payload."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9) as link:
        link.settimeout(10)
        flags = 1 | (4 if kind == _AUDIT_SET else 0)  # NLM_F_REQUEST, NLM_F_ACK
        link.sendto(struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload, (0, 0))
        while True:
            answer = link.recv(8192)
            (got,) = struct.unpack_from("=H", answer, 4)
            if got == 2:  # NLMSG_ERROR: also the acknowledgement
                (error,) = struct.unpack_from("=i", answer, 16)
                if error:
                    raise OSError(-error, os.strerror(-error))
                if kind == _AUDIT_SET:
                    return b""
            elif got == kind:
                return answer[16:]


@contextlib.contextmanager
def audit(on: bool) -> Iterator[None]:
    """The kernel's audit, switched on or left as it is; one at a time on a machine: all hear everybody's messages.

    Without such a kernel, or the right to ask it, the test is skipped."""
    with open("/tmp/otel-fim-tests-audit.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            before = struct.unpack_from("=II", _ask(_AUDIT_GET))[1]
        except OSError as error:
            before = -1
            if on:
                lacking(f"the kernel's audit ({error})")
        if on and before == 0:
            _ask(_AUDIT_SET, struct.pack("=10I", _STATUS_ENABLED, 1, *[0] * 8))
        try:
            yield
        finally:
            if on and before == 0:
                _ask(_AUDIT_SET, struct.pack("=10I", _STATUS_ENABLED, 0, *[0] * 8))
