"""What can go wrong with a journal, in the words that a person reads."""

from __future__ import annotations


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
