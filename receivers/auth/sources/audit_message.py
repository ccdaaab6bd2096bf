"""The text of a kernel audit record.

`audit(1700000000.123:456): pid=1 uid=0 auid=1000 ses=3 subj=unconfined msg='op=login acct="alice" res=success'`

The kernel writes what stands before `msg='`, of the process that sent the record. What stands within the quotes is
what that process says: any that has CAP_AUDIT_WRITE (root's programs; sudo and sshd among them) may say anything.
The two are kept apart: fields of the second kind have names that begin with `msg.`.

Formats: kernel/audit.c (audit_log_common_recv_msg, audit_log_untrustedstring), libaudit's audit_logging.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

REJECTED_TEXT: Final = "bad_audit_text"
INNER: Final = "msg."

LOGIN: Final = 1006
USER_CMD: Final = 1123
CONFIG_CHANGE: Final = 1305
TYPES: Final = {
    LOGIN: "LOGIN",
    1100: "USER_AUTH",
    1101: "USER_ACCT",
    1102: "USER_MGMT",
    1103: "CRED_ACQ",
    1104: "CRED_DISP",
    1105: "USER_START",
    1106: "USER_END",
    1108: "USER_CHAUTHTOK",
    1109: "USER_ERR",
    1110: "CRED_REFR",
    1112: "USER_LOGIN",
    1113: "USER_LOGOUT",
    1114: "ADD_USER",
    1115: "DEL_USER",
    1116: "ADD_GROUP",
    1117: "DEL_GROUP",
    USER_CMD: "USER_CMD",
    1132: "GRP_MGMT",
    1133: "GRP_CHAUTHTOK",
    1135: "ACCT_LOCK",
    1136: "ACCT_UNLOCK",
    2300: "USER_ROLE_CHANGE",
}
"""include/uapi/linux/audit.h and libaudit.h (1132 GRP_MGMT, 1133 GRP_CHAUTHTOK in its newer headers)."""

_STAMP: Final = re.compile(r"audit\(([0-9]{1,11})\.([0-9]{3}):([0-9]{1,20})\): ?")
_FIELD: Final = re.compile(r"""([A-Za-z][A-Za-z0-9_-]{0,63})=(?:"([^"]*)"|(\S*))""")
_HEX: Final = re.compile(r"(?:[0-9A-F]{2})+")
_ENCODED: Final = frozenset(
    ("acct", "cmd", "comm", "cwd", "data", "exe", "file", "grp", "name", "new_group", "old_group", "path")
)
"""Values that are written in hexadecimal when they have a quote, a blank or a control character in them."""
_LAST_COUNTS: Final = frozenset(("addr", "terminal", "res"))
"""libaudit writes these behind the host's name, which others may have a say in: of several the last is its own."""


@dataclass(slots=True, frozen=True)
class AuditText:
    """`serial` is the event's number since boot; several records may belong to one event."""

    time_unix_nano: int
    serial: int
    fields: dict[str, str]


def parse_text(text: bytes) -> AuditText | str:
    """The record's time, serial number and fields, or why there are none. Never raises."""
    decoded = text.rstrip(b"\0\n").replace(b"\0", b"").decode("utf-8", "backslashreplace")
    stamp = _STAMP.match(decoded)
    if stamp is None:
        return REJECTED_TEXT
    time = int(stamp[1]) * 1_000_000_000 + int(stamp[2]) * 1_000_000
    return AuditText(time, int(stamp[3]), parse_fields(decoded[stamp.end() :]))


def parse_fields(text: str) -> dict[str, str]:
    """`name=value` pairs: the kernel's by their names, those within `msg='…'` with `msg.` before them.

    Of a name that comes twice the first counts, save those that libaudit writes last. `?` and `(null)` say that
    there is no value and are left out.
    """
    # The message ends with the record: a quote within it (an account named o'brien) ends nothing.
    outer, found, inner = text.partition("msg='")
    fields = _pairs(outer, "")
    if found:
        inner = inner.rstrip()
        fields.update(_pairs(inner[:-1] if inner.endswith("'") else inner, INNER))
    return fields


def _pairs(text: str, prefix: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for match in _FIELD.finditer(text):
        name = match[1]
        if prefix + name in fields and not (prefix and name in _LAST_COUNTS):
            continue
        quoted, plain = match[2], match[3]
        value = quoted if quoted is not None else _plain(name, plain)
        if value is not None:
            fields[prefix + name] = value
    return fields


def _plain(name: str, value: str) -> str | None:
    if value in ("?", "(null)", "(none)", ""):
        return None
    if name in _ENCODED and _HEX.fullmatch(value):
        # NUL stands between the arguments of a command line.
        return bytes.fromhex(value).replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    return value


def number(fields: dict[str, str], name: str) -> int | None:
    """A field that is a number, or None; also for the kernel's `unset` (4294967295)."""
    text = fields.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    value = int(text)
    return None if value >= 0xFFFFFFFF else value
