"""The mount table, and what is taken for a network file system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.file_integrity.backends.mounts import (
    Mount,
    contains,
    is_remote,
    mount_of,
    parse,
    read_mounts,
)

POINTS = st.lists(
    st.binary(min_size=1, max_size=9).filter(lambda name: not set(name) & {0, 47}), max_size=4
).map(lambda names: b"/" + b"/".join(names))


def escape(path: bytes) -> bytes:
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in path)


@given(st.lists(st.tuples(st.integers(1, 10**6), POINTS), max_size=5))
def test_any_mount_point_comes_back(entries: list[tuple[int, bytes]]) -> None:
    content = b"".join(
        b"%d 1 8:1 / %s rw,relatime shared:1 master:2 - ext4 /dev/sda rw\n" % (number, escape(point))
        for number, point in entries
    )
    assert parse(content) == [Mount(number, b"8:1", point, b"ext4") for number, point in entries]


@given(st.binary(max_size=200))
def test_noise_never_raises(noise: bytes) -> None:
    parse(noise)


def test_the_real_table_has_a_root() -> None:
    mounts = read_mounts()
    root = mount_of(b"/etc", mounts)
    assert root is not None
    assert contains(root.point, b"/etc")


def test_the_deepest_and_latest_mount_counts() -> None:
    table = [
        Mount(1, b"8:1", b"/", b"ext4"),
        Mount(2, b"8:2", b"/a", b"ext4"),
        Mount(3, b"0:1", b"/a", b"nfs4"),
    ]
    found = mount_of(b"/a/b", table)
    assert found is not None
    assert (found.id, found.remote) == (3, True)
    other = mount_of(b"/ab", table)
    assert other is not None
    assert other.id == 1


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        (b"nfs", True),
        (b"fuse.sshfs", True),
        (b"fuse", True),
        (b"fuseblk", False),
        (b"ext4", False),
        (b"smb3", True),
    ],
)
def test_kinds(kind: bytes, remote: bool) -> None:
    assert is_remote(kind) is remote
