"""Files that survive a crash: private modes, whole writes, and fsync where POSIX wants it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from otel_fim.journal.errors import JournalError, JournalLockedError

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
TEMPORARY_SUFFIX: Final = ".tmp"
_OPEN: Final = os.O_CLOEXEC | os.O_NOFOLLOW


def make_directory(path: Path) -> None:
    """Makes the directory, readable by its owner alone, and makes its name durable. Parents too."""
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileNotFoundError:
        make_directory(path.parent)
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    sync_directory(path.parent)


def sync_data(descriptor: int) -> None:
    """Waits until the file's bytes, and the length that is needed to read them, are on disk."""
    os.fdatasync(descriptor)


def sync_directory(path: Path) -> None:
    """Waits until the names in the directory are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_existing(path: Path, *, write: bool = False) -> int:
    """A descriptor of a file that is there."""
    return os.open(path, (os.O_RDWR if write else os.O_RDONLY) | _OPEN)


def open_new(path: Path) -> int:
    """A descriptor of a new, private file. Raises `FileExistsError`."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, FILE_MODE)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Writes all of `data`. After an `OSError` a part of it may be there."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def replace_file(path: Path, data: bytes) -> None:
    """The file has the old content or the new, whatever happens; durable on return."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = open_new(temporary)
    try:
        try:
            write_at(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Removes the file if it is there; the caller makes that durable."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def free_bytes(path: Path) -> int:
    """Room on the file system for who is not root, bytes."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def take_lock(directory: Path) -> int:
    """Locks the directory for this process; the descriptor holds the lock until it is closed.

    Raises `JournalLockedError` naming the process that has it.
    """
    path = directory / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _OPEN, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalLockedError(
            f"{directory}: the journal is in use by another process (pid {owner}); stop that one first, or "
            "set another service.state_directory for this one"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise JournalError(
            f"{path}: cannot be locked ({os.strerror(error.errno or 0)}); the journal needs a file system "
            "with flock, set service.state_directory to one that has it"
        ) from error
    # Over what is there, and without being needed: a full disk must not keep the journal from opening.
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, f"{os.getpid():<15}\n".encode(), 0)
    return descriptor
