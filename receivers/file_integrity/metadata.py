"""The state of a file as it is compared: what lstat says, the SHA-256 of the content, where a link points."""

from __future__ import annotations

import os
import stat
from enum import IntEnum
from typing import Final, NamedTuple

from otel_fim import names


class Unhashed(IntEnum):
    """Why a state has no hash. The number is stored in the baseline, `label` is what is sent."""

    NOT_REGULAR = 1
    TOO_LARGE = 2
    DELETED = 3
    PERMISSION_DENIED = 4
    CHANGING = 5
    IO_ERROR = 6

    @property
    def label(self) -> str:
        return self.name.lower()


class FileState(NamedTuple):
    """One file at one moment. `mode` holds the type bits too (`st_mode`), times are nanoseconds since the epoch,
    `sha256` has 32 bytes; exactly one of `sha256` and `unhashed` is set for a regular file. `target` is a symbolic
    link's."""

    mode: int
    dev: int
    ino: int
    uid: int
    gid: int
    size: int
    nlink: int
    mtime_ns: int
    ctime_ns: int
    sha256: bytes | None = None
    unhashed: int | None = None
    target: bytes | None = None


_TYPES: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char_device",
    stat.S_IFBLK: "block_device",
}


def type_name(mode: int) -> str:
    """The Elastic Common Schema's word for the type in `st_mode`."""
    return _TYPES.get(stat.S_IFMT(mode), "unknown")


def is_directory(state: FileState) -> bool:
    return stat.S_ISDIR(state.mode)


def is_regular(state: FileState) -> bool:
    return stat.S_ISREG(state.mode)


_INT64_LIMIT: Final = 2**63


def int64(value: int) -> int:
    """The value, held to 64 bits: a file's time may be set beyond the year 2262, where nanoseconds no longer fit."""
    return (
        value if -_INT64_LIMIT <= value < _INT64_LIMIT else _INT64_LIMIT - 1 if value > 0 else -_INT64_LIMIT
    )


def from_stat(
    found: os.stat_result,
    sha256: bytes | None = None,
    unhashed: int | None = None,
    target: bytes | None = None,
) -> FileState:
    """The state for what lstat or fstat returned."""
    return FileState(
        found.st_mode,
        found.st_dev,
        found.st_ino,
        found.st_uid,
        found.st_gid,
        found.st_size,
        found.st_nlink,
        int64(found.st_mtime_ns),
        int64(found.st_ctime_ns),
        sha256,
        unhashed,
        target,
    )


def same_metadata(state: FileState, found: os.stat_result) -> bool:
    """Whether `found` shows no sign of a change since `state`.

    ctime is among what is compared: it moves with every change of content or metadata and no program can set it.
    The device number is not: it may differ from one boot to the next. A directory's size, link count and times
    move with its entries, which are compared for themselves.
    """
    if (
        found.st_mode != state.mode
        or found.st_ino != state.ino
        or found.st_uid != state.uid
        or found.st_gid != state.gid
    ):
        return False
    if stat.S_ISDIR(state.mode):
        return True
    return (
        found.st_ctime_ns == state.ctime_ns
        and int64(found.st_mtime_ns) == state.mtime_ns
        and found.st_size == state.size
        and found.st_nlink == state.nlink
    )


class Difference(NamedTuple):
    """What differs between two states: attribute names (`names.FILE_…`) and whether the content does."""

    attributes: tuple[str, ...]
    content: bool
    replaced: bool


def compare(before: FileState, now: FileState) -> Difference:
    """The difference between two states of one path; `attributes` is empty when there is none.

    Where a hash is missing on either side, the content counts as changed when size, mtime or inode differ.
    """
    changed: list[str] = []
    if stat.S_IFMT(before.mode) != stat.S_IFMT(now.mode):
        changed.append(names.FILE_TYPE)
    if stat.S_IMODE(before.mode) != stat.S_IMODE(now.mode):
        changed.append(names.FILE_MODE)
    if before.uid != now.uid:
        changed.append(names.FILE_OWNER_ID)
    if before.gid != now.gid:
        changed.append(names.FILE_GROUP_ID)
    if before.ino != now.ino:
        changed.append(names.FILE_INODE)
    replaced = names.FILE_INODE in changed or names.FILE_TYPE in changed
    if stat.S_ISDIR(before.mode) and stat.S_ISDIR(now.mode):
        return Difference(tuple(changed), False, replaced)
    if before.nlink != now.nlink:
        changed.append(names.OTEL_FIM_FILE_NLINK)
    if before.size != now.size:
        changed.append(names.FILE_SIZE)
    if before.mtime_ns != now.mtime_ns:
        changed.append(names.FILE_MODIFIED)
    if before.ctime_ns != now.ctime_ns:
        changed.append(names.FILE_CHANGED)
    if before.target != now.target:
        changed.append(names.FILE_SYMBOLIC_LINK_TARGET_PATH)
    if before.sha256 != now.sha256:
        changed.append(names.FILE_HASH_SHA256)
    if before.unhashed != now.unhashed:
        changed.append(names.OTEL_FIM_FILE_NOT_HASHED)
    return Difference(tuple(changed), _content_changed(before, now), replaced)


def _content_changed(before: FileState, now: FileState) -> bool:
    if stat.S_IFMT(before.mode) != stat.S_IFMT(now.mode) or before.target != now.target:
        return True
    if before.sha256 is not None and now.sha256 is not None:
        return before.sha256 != now.sha256
    if not stat.S_ISREG(now.mode):
        return False
    return before.size != now.size or before.mtime_ns != now.mtime_ns or before.ino != now.ino
