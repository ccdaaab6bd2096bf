"""What can go wrong with a journal, in the words that a person reads."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The errors that go away when somebody makes room."""


class JournalError(Exception):
    """The base of all journal errors; the message names the path, the cause and the remedy."""


class JournalLockedError(JournalError):
    """Another process has the journal open."""


class JournalFormatError(JournalError):
    """The directory is a journal of a newer format, or no journal at all."""


class JournalClosedError(JournalError):
    """The journal has been closed."""


class JournalFullError(JournalError):
    """There is no room: nothing of the batch is in the journal. Append it again later."""


class JournalWriteError(JournalError, OSError):
    """The disk does not take writes for another reason than room: nothing of the batch is in the journal.

    Append it again later; the journal goes on by itself when the disk does.
    """


def write_error(path: Path, error: OSError) -> JournalError:
    """What an append raises when the file cannot be written."""
    text = f"{path}: {os.strerror(error.errno or 0)}"
    if error.errno in NO_ROOM:
        return JournalFullError(f"{text}; make room on the file system, or raise the quota")
    return JournalWriteError(error.errno, f"{text}; see the kernel's log for the state of the disk")
