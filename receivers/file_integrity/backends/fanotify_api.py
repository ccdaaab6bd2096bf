"""fanotify's two system calls and their constants.

Sources: fanotify_init(2), fanotify_mark(2), include/uapi/linux/fanotify.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.file_integrity.backends.kernel import AT_FDCWD, check, libc

FAN_MODIFY: Final = 0x00000002
FAN_ATTRIB: Final = 0x00000004
FAN_CLOSE_WRITE: Final = 0x00000008
FAN_MOVED_FROM: Final = 0x00000040
FAN_MOVED_TO: Final = 0x00000080
FAN_CREATE: Final = 0x00000100
FAN_DELETE: Final = 0x00000200
FAN_DELETE_SELF: Final = 0x00000400
FAN_MOVE_SELF: Final = 0x00000800
FAN_Q_OVERFLOW: Final = 0x00004000
FAN_EVENT_ON_CHILD: Final = 0x08000000
FAN_RENAME: Final = 0x10000000
FAN_ONDIR: Final = 0x40000000

FAN_CLOEXEC: Final = 0x00000001
FAN_NONBLOCK: Final = 0x00000002
FAN_CLASS_NOTIF: Final = 0x00000000
FAN_UNLIMITED_QUEUE: Final = 0x00000010
FAN_UNLIMITED_MARKS: Final = 0x00000020
FAN_REPORT_PIDFD: Final = 0x00000080
FAN_REPORT_FID: Final = 0x00000200
FAN_REPORT_DIR_FID: Final = 0x00000400
FAN_REPORT_NAME: Final = 0x00000800
FAN_REPORT_TARGET_FID: Final = 0x00001000

FAN_MARK_ADD: Final = 0x00000001
FAN_MARK_REMOVE: Final = 0x00000002
FAN_MARK_DONT_FOLLOW: Final = 0x00000004
FAN_MARK_ONLYDIR: Final = 0x00000008
FAN_MARK_IGNORED_SURV_MODIFY: Final = 0x00000040
FAN_MARK_FLUSH: Final = 0x00000080
FAN_MARK_FILESYSTEM: Final = 0x00000100

FAN_MARK_EVICTABLE: Final = 0x00000200
FAN_MARK_IGNORE: Final = 0x00000400

FAN_NOPIDFD: Final = -1
"""In place of a pidfd: the process has been waited for already."""
FAN_EPIDFD: Final = -2
"""In place of a pidfd: none could be made (too many open files)."""

METADATA_VERSION: Final = 3
INFO_FID: Final = 1
INFO_DFID_NAME: Final = 2
INFO_DFID: Final = 3
INFO_PIDFD: Final = 4
INFO_OLD_DFID_NAME: Final = 10
INFO_NEW_DFID_NAME: Final = 12

_BASE: Final = (
    FAN_CLASS_NOTIF
    | FAN_CLOEXEC
    | FAN_NONBLOCK
    | FAN_REPORT_FID
    | FAN_REPORT_DIR_FID
    | FAN_REPORT_NAME
    | FAN_UNLIMITED_MARKS
)

libc.fanotify_mark.argtypes = (
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.c_int,
    ctypes.c_char_p,
)


@dataclass(slots=True, frozen=True)
class Features:
    """What this kernel's fanotify can do beyond names (5.9): pidfds (5.15), the handle of the file in events
    about its directory entry, and renames as one event with both ends (5.17)."""

    pidfd: bool
    target: bool
    rename: bool


ALL_FEATURES: Final = Features(pidfd=True, target=True, rename=True)


class Group:
    """One fanotify group: marks and the queue of their events, in order.

    Raises `OSError`: EPERM without CAP_SYS_ADMIN, ENOSYS without fanotify, EINVAL before Linux 5.9.
    """

    def __init__(self, wanted: Features = ALL_FEATURES, *, unlimited_queue: bool = True) -> None:
        queue = FAN_UNLIMITED_QUEUE if unlimited_queue else 0
        target = wanted.target
        pidfd = wanted.pidfd
        while True:
            flags = _BASE | queue
            flags |= FAN_REPORT_TARGET_FID if target else 0
            flags |= FAN_REPORT_PIDFD if pidfd else 0
            result = libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
            if result >= 0:
                break
            # The newest feature goes first; without any of them left the kernel cannot be used.
            if ctypes.get_errno() != errno.EINVAL or not (target or pidfd):
                check(result)
            if target:
                target = False
            else:
                pidfd = False
        self.descriptor: int = result
        # FAN_RENAME came with FAN_REPORT_TARGET_FID.
        self.features = Features(pidfd, target, wanted.rename and target)

    def entry_events(self) -> int:
        """The events of directory entries in the form that this kernel has."""
        moves = FAN_RENAME if self.features.rename else FAN_MOVED_FROM | FAN_MOVED_TO
        return FAN_CREATE | FAN_DELETE | moves | FAN_ONDIR

    def mark(self, flags: int, mask: int, directory: int, name: bytes | None) -> None:
        """`name` in the open `directory`, or the directory itself when None. Raises `OSError`."""
        check(libc.fanotify_mark(self.descriptor, flags, mask, directory, name), name)

    def flush_directories(self) -> None:
        """Takes away all marks on single directories."""
        check(libc.fanotify_mark(self.descriptor, FAN_MARK_FLUSH, 0, AT_FDCWD, None))

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
