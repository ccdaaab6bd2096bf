"""The mount table: parsed, watched for changes, and which file systems only polling sees (proc(5), mountinfo)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.file_integrity.backend import Filter

MOUNTINFO: Final = "/proc/self/mountinfo"

NETWORK_TYPES: Final = frozenset(
    b"9p acfs afs beegfs ceph cifs coda davfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs panfs pvfs2 "
    b"smb3 smbfs virtiofs vboxsf vmhgfs".split()
)
"""File systems that others change too: the kernel here sees only what is done here."""
_FUSE: Final = b"fuse"
_FUSE_LOCAL: Final = frozenset((b"fuseblk", b"fusectl"))
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(slots=True, frozen=True)
class Mount:
    """One line of mountinfo. `device` is major:minor; `kind` the file system's type."""

    id: int
    device: bytes
    point: bytes
    kind: bytes

    @property
    def remote(self) -> bool:
        return is_remote(self.kind)


def is_remote(kind: bytes) -> bool:
    """Whether a file system of this type changes without this kernel's doing: network and user-space ones."""
    return kind in NETWORK_TYPES or (kind.startswith(_FUSE) and kind not in _FUSE_LOCAL)


def parse(content: bytes) -> list[Mount]:
    """mountinfo in its order: of two mounts on one point the later one is visible. Other lines are skipped."""
    mounts = []
    for line in content.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ", 1)[0]
        if not separator or len(fields) < 6 or not fields[0].isdigit() or not kind:
            continue
        mounts.append(Mount(int(fields[0]), fields[2], _unescape(fields[4]), kind))
    return mounts


def _unescape(field: bytes) -> bytes:
    # Three octal digits can state more than a byte holds; the kernel never does that.
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field)


def read_mounts() -> list[Mount]:
    """The mounts that this process sees. Raises `OSError` without /proc."""
    with open(MOUNTINFO, "rb") as source:
        return parse(source.read())


def mount_of(path: bytes, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that a path lies on, going by the names alone."""
    found: Mount | None = None
    for mount in mounts:
        if contains(mount.point, path) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def contains(directory: bytes, path: bytes) -> bool:
    """Whether `path` is the directory or lies below it, compared by component."""
    return path == directory or directory == b"/" or path.startswith(directory + b"/")


def mounted_files(mounts: Iterable[Mount], scope: Filter) -> list[bytes]:
    """Wanted files that something is mounted on, as containers do with /etc/resolv.conf: they are written to through
    the name that they have elsewhere."""
    found = []
    for point in dict.fromkeys(mount.point for mount in mounts):
        if scope.wants(point, directory=False):
            try:
                if stat.S_ISREG(os.lstat(point).st_mode):
                    found.append(point)
            except OSError:
                continue
    return found


class MountWatch:
    """Tells what was mounted and unmounted since the last look. `descriptor` is for poll(2): POLLPRI means a
    change. Raises `OSError` without /proc."""

    def __init__(self) -> None:
        self.descriptor: int = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self.mounts = self._read()

    def _read(self) -> list[Mount]:
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self.descriptor, 65536):
            parts.append(part)
        return parse(b"".join(parts))

    def changes(self) -> list[Mount]:
        """Mounts that came or went, in the order of their mount points."""
        before, self.mounts = self.mounts, self._read()
        changed = {(mount.id, mount.point, mount.device): mount for mount in before}
        for mount in self.mounts:
            key = (mount.id, mount.point, mount.device)
            if changed.pop(key, None) is None:
                changed[key] = mount
        return sorted(changed.values(), key=lambda mount: mount.point)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
