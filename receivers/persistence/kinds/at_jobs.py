"""at and batch: each job is a script in the spool, its time in the file's name.

Format: at 3.2, `at.c` (the name is the queue, the number in 5 and the minutes since 1970 in 8 hexadecimal digits).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

AT: Final = "at"

_SPOOLS: Final = (b"/var/spool/cron/atjobs", b"/var/spool/at", b"/var/spool/atjobs")
_NAME: Final = re.compile(rb"([a-zA-Z=])([0-9a-f]{5})([0-9a-f]{8})")
_OWNER: Final = re.compile(rb"# atrun uid=([0-9]{1,10}) gid=[0-9]{1,10}$", re.MULTILINE)
_MAIL: Final = re.compile(rb"# mail[ \t]+([^ \t\n]+)", re.MULTILINE)
_PROLOGUE_END: Final = re.compile(
    rb"^cd .*\|\| \{\n[ \t]*echo 'Execution directory inaccessible' >&2\n[ \t]*exit 1\n\}\n", re.MULTILINE
)
_HERE_DOCUMENT: Final = re.compile(
    rb"\A\$\{SHELL:-/bin/sh\} << '(marcinDELIMITER[0-9a-f]+)'\n(.*?)\n?\1\n?\Z", re.DOTALL
)


class AtJobs(FileKind):
    """What at(1) and batch(1) will start."""

    name = "at"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return tuple(Place(directory, b"*") for directory in _SPOOLS)

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        # The spool also holds the counter of jobs and the output of those that run.
        if _NAME.fullmatch(path.rpartition(b"/")[2]) is None:
            return ()
        return reader.parsed(path, job, place) or ()


KINDS: Final = (AtJobs,)


def job(file: File) -> tuple[Item, ...]:
    """The job that a file of the spool is. One without the header that at writes is told too, and counted."""
    match = _NAME.fullmatch(file.path.rpartition(b"/")[2])
    if match is None:
        return ()
    queue, number, minutes = text_of(match[1]), int(match[2], 16), int(match[3], 16)
    owner = _OWNER.search(file.data)
    if owner is None:
        file.reject()
    mail = _MAIL.search(file.data)
    uid = int(owner[1]) if owner is not None else file.stat.st_uid
    # The line for mail names who gave the job; atd goes by the number.
    user = "root" if uid == 0 else text_of(mail[1]) if mail is not None else str(uid)
    running = "running" if queue == "=" else f"queue {queue}"
    return (
        file.item(
            AT,
            command=commands_of(file.data),
            user=user,
            trigger=f"{_time(minutes)} (job {number}, {running})",
            # atd leaves a file alone until at has made it executable, and one that is not its user's.
            enabled=bool(file.stat.st_mode & 0o100) and uid == file.stat.st_uid,
        ),
    )


def _time(minutes: int) -> str:
    try:
        return f"{datetime.fromtimestamp(minutes * 60, UTC):%Y-%m-%dT%H:%MZ}"
    except (OverflowError, ValueError, OSError):
        return f"minute {minutes}"


def commands_of(content: bytes) -> str:
    """What the user wrote, without the environment that at puts before it; everything when that is not found."""
    found = _PROLOGUE_END.search(content)
    body = content if found is None else content[found.end() :]
    inner = _HERE_DOCUMENT.match(body)
    return text_of((body if inner is None else inner[2]).strip())
