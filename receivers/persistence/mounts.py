"""Local file systems, from /proc/self/mountinfo: proc_pid_mountinfo(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LOCAL: Final = frozenset(
    (
        b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"f2fs", b"zfs", b"jfs", b"reiserfs", b"bcachefs", b"nilfs2",
        b"overlay", b"tmpfs", b"ramfs", b"squashfs", b"erofs", b"iso9660", b"udf", b"ubifs", b"fuseblk",
        b"ntfs3", b"apfs",
    )
)  # fmt: skip
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(slots=True, frozen=True)
class Mount:
    """A mounted file system. `nosuid`: the kernel takes no notice of setuid bits and capabilities there."""

    point: bytes
    device: bytes
    root: bytes
    type: bytes
    nosuid: bool


def parse_mounts(mountinfo: bytes) -> list[Mount]:
    """The mounts in the order in which they were made; lines that are none are left out."""
    found = []
    for line in mountinfo.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        behind = after.split(b" ")
        if not separator or len(fields) < 6 or not behind[0]:
            continue
        found.append(
            Mount(
                _unescaped(fields[4]),
                fields[2],
                _unescaped(fields[3]),
                behind[0],
                b"nosuid" in fields[5].split(b","),
            )
        )
    return found


def local(mounts: Iterable[Mount]) -> list[Mount]:
    """Each local file system once: of several mounts of one, the one that shows most of it and honours setuid bits.

    A mount that lies under a later one at the same place is not to be seen and left out.
    """
    visible = {mount.point: mount for mount in mounts}
    chosen: dict[bytes, list[Mount]] = {}
    for mount in sorted(
        (mount for mount in visible.values() if mount.type in _LOCAL),
        key=lambda mount: (len(mount.root), mount.nosuid, len(mount.point)),
    ):
        kept = chosen.setdefault(mount.device, [])
        if not any(_holds(other.root, mount.root) and (mount.nosuid or not other.nosuid) for other in kept):
            kept.append(mount)
    return sorted((mount for kept in chosen.values() for mount in kept), key=lambda mount: mount.point)


def mount_of(path: bytes, mounts: dict[bytes, Mount]) -> Mount | None:
    """The mount that a path lies on, of those by mount point."""
    while True:
        found = mounts.get(path)
        if found is not None or path in (b"/", b""):
            return found
        path = path.rpartition(b"/")[0] or b"/"


def _holds(outer: bytes, inner: bytes) -> bool:
    return outer in (b"/", inner) or inner.startswith(outer + b"/")


def _unescaped(field: bytes) -> bytes:
    return _OCTAL.sub(lambda match: bytes((int(match[1], 8) & 0xFF,)), field)
