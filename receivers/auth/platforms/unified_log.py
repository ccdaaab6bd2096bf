"""A line of macOS' unified log, as `log show --style ndjson` and `log stream --style ndjson` write it (log(1)).

logd states the sender's program, pid and user id itself; the message is the sender's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from otel_fim.receivers.auth.event import Entry

SOURCE: Final = "macos_unified_log"
REJECTED_JSON: Final = "bad_log_json"
REJECTED_TIME: Final = "bad_log_time"
PROCESSES: Final = (
    *("sshd", "sshd-session", "sudo", "su", "login", "loginwindow", "authd", "screensharingd"),
    *("passwd", "chsh", "SecurityAgent"),
)
"""Programs whose lines are read."""


def predicate() -> str:
    """What log(1) is asked for."""
    names = ", ".join(f'"{name}"' for name in PROCESSES)
    return f"process IN {{{names}}}"


def parse_line(line: bytes) -> Entry | str | None:
    """The entry in a line, why it is none, or None for a line that tells of nothing. Never raises."""
    try:
        values = orjson.loads(line)
    except ValueError:
        # `log stream` begins with a sentence.
        return None if line.startswith(b"Filtering the log data") else REJECTED_JSON
    if not isinstance(values, dict):
        return REJECTED_JSON
    if "finished" in values or values.get("eventType", "logEvent") != "logEvent":
        return None
    message, path = values.get("eventMessage"), values.get("processImagePath")
    if not isinstance(message, str) or not isinstance(path, str):
        return REJECTED_JSON
    time = _time(values.get("timestamp"))
    if time is None:
        return REJECTED_TIME
    pid, user_id = values.get("processID"), values.get("userID")
    trace, machine = values.get("traceID"), values.get("machTimestamp")
    return Entry(
        SOURCE,
        time,
        path.rpartition("/")[2],
        message.replace("\0", ""),
        pid if isinstance(pid, int) and pid > 0 else None,
        user_id if isinstance(user_id, int) and user_id >= 0 else None,
        trusted=isinstance(user_id, int),
        fields={"_EXE": path, "_COMM": path.rpartition("/")[2]},
        identity=f"{machine}:{trace}:{pid}",
    )


def _time(text: object) -> int | None:
    """`2026-01-13 14:32:15.123456+0100`."""
    if not isinstance(text, str):
        return None
    try:
        when = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f%z")
    except ValueError:
        return None
    return int(when.replace(microsecond=0).timestamp()) * 1_000_000_000 + when.microsecond * 1000
