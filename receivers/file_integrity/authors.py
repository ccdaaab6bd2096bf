"""Who made what lies in a directory that appeared: the one who made the directory, unless that cannot be.

A directory is watched a moment after it was made, and what was put into it before is found by looking. `cp -r` made
both; in `mkdir d; echo x > d/f` two processes did. A wrong author is worse than none, so the directory's is named only
for what was last changed while that process lived.
"""

from __future__ import annotations

import os
from typing import Final

from otel_fim.host.table import ProcessTable
from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.pending import Pending

_MOVED: Final = (Change.MOVED_TO | Change.MOVED_FROM).value


def may_be_author(like: Pending, path: bytes, processes: ProcessTable) -> bool:
    """Whether who is behind `like`, a directory, may be named for `path` below it."""
    if like.change & _MOVED:
        # One rename made everything appear, or go.
        return True
    try:
        changed = os.lstat(path).st_ctime_ns
    except OSError:
        # It is gone, as is the directory or what was in it.
        return True
    actor = like.writer()
    if actor is None or actor.creation_time_unix_nano is None:
        return False
    process = processes.find(actor.pid, created_unix_nano=actor.creation_time_unix_nano)
    if process is None:
        return False
    return process.ended_unix_nano is None or changed <= process.ended_unix_nano
