"""Reading what others have put there: no waiting, no way out of the root, nothing twice, nothing passed over unsaid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_fim.receivers.persistence.index import PlaceIndex
from otel_fim.receivers.persistence.kind import Place
from otel_fim.receivers.persistence.reader import File, Reader

AGES_AGO = 1_600_000_000_000_000_000


def size(file: File) -> int:
    return len(file.data)


def reader(root: Path, **settings: int) -> Reader:
    return Reader(os.fsencode(root), **settings)


@pytest.mark.timeout(20)
def test_fifos_devices_and_directories_are_not_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dir").mkdir()
    (tmp_path / "zero").symlink_to("/dev/zero")
    own = Reader(b"/")
    for name in ("fifo", "dir", "zero", "gone"):
        assert own.parsed(os.fsencode(tmp_path / name), size) is None
        assert own.file(os.fsencode(tmp_path / name)) is None
        assert own.sha256(os.fsencode(tmp_path / name)) is None
    assert own.problems == {}


def test_a_file_that_is_too_large_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 5000)
    small = reader(tmp_path, max_file_bytes=4096)
    assert small.parsed(b"/big", size) is None
    assert small.problems == {b"/big": "too_large"}
    # Files of /proc say that they are empty.
    assert Reader(b"/", 16).file(b"/proc/self/status") is None


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside")
    (root / "secret").write_text("inside!")
    (root / "etc/absolute").symlink_to("/secret")
    (root / "etc/upwards").symlink_to("../../../../secret")
    (root / "etc/circle").symlink_to("circle")
    (root / "etc/there").symlink_to("/etc")
    inside = reader(root)
    for path in (b"/etc/absolute", b"/etc/upwards", b"/etc/there/there/absolute"):
        file = inside.file(path)
        assert file is not None
        assert file.data == b"inside!"
    assert inside.file(b"/etc/circle") is None
    assert inside.stat(b"/etc/circle") is None
    assert inside.resolve(b"/etc/there/absolute") == b"/secret"
    assert inside.readlink(b"/etc/there/absolute") == b"/secret"
    assert inside.readlink(b"/secret") is None
    assert [entry.name for entry in inside.entries(b"/etc/there")] == [
        b"absolute",
        b"circle",
        b"there",
        b"upwards",
    ]
    assert inside.problems == {}


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("one")
    inside = reader(tmp_path)
    assert inside.parsed(b"/a", size) == 3
    # Just changed: it may change again within the grain of its times.
    assert inside.parsed(b"/a", size) == 3
    assert inside.files_read == 2
    for key, (sign, _, value) in list(inside._cache.items()):
        inside._cache[key] = (sign, sign[4] + 10**10, value)
    for _ in range(5):
        assert inside.parsed(b"/a", size) == 3
    assert inside.files_read == 2
    path.write_text("other")
    os.utime(path, ns=(AGES_AGO, AGES_AGO))
    assert inside.parsed(b"/a", size) == 5
    path.chmod(0o600)
    inside.parsed(b"/a", size)
    assert inside.files_read == 4
    inside.forget_unused()
    inside.forget_unused()
    assert not inside._cache


def test_proc_is_read_every_time() -> None:
    own = Reader(b"/")
    for _ in range(3):
        own.parsed(b"/proc/self/stat", size)
    assert own.files_read == 3


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_a_users_link_to_what_the_user_may_not_read_is_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "shadow").write_text("root:secret")
    (tmp_path / "shadow").chmod(0o600)
    (home / ".profile").symlink_to("../shadow")
    os.chown(home / ".profile", 1000, 1000, follow_symlinks=False)
    (home / ".bashrc").write_text("theirs")
    os.chown(home / ".bashrc", 1000, 1000)
    # Written by whoever runs the host, for the user: no link of the user leads there.
    (home / "keys").write_text("managed")
    (home / "keys").chmod(0o600)
    inside = reader(tmp_path)
    place = Place(b"/home", b"*", uid=1000, user="alice")
    assert inside.parsed(b"/home/.profile", size, place) is None
    assert inside.problems == {b"/home/.profile": "not_followed"}
    assert inside.parsed(b"/home/.bashrc", size, place) == 6
    assert inside.parsed(b"/home/keys", size, place) == 7
    (tmp_path / "shadow").chmod(0o644)
    assert inside.parsed(b"/home/.profile", size, place) == 11


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody who may not read")
def test_what_may_not_be_entered_is_named_once_and_at_its_top(open_directory: Path) -> None:
    tmp_path = open_directory
    (tmp_path / "closed/below").mkdir(parents=True)
    (tmp_path / "closed/below/file").write_text("x")
    (tmp_path / "closed").chmod(0o700)
    (tmp_path / "open").write_text("y")
    (tmp_path / "open").chmod(0o600)
    script = """
import os, sys
from otel_fim.receivers.persistence.reader import Reader
os.setgroups([]); os.setgid(65534); os.setuid(65534)
reader = Reader(b"/")
base = os.fsencode(sys.argv[1])
for name in (b"/closed/below/file", b"/closed/other", b"/open"):
    assert reader.parsed(base + name, len) is None
reader.entries(base + b"/closed/below")
print({os.path.relpath(path, base): why for path, why in reader.problems.items()})
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "{b'closed': 'permission_denied', b'open': 'permission_denied'}", (
        done.stderr
    )


def test_a_walk_ends(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(20):
        deep = deep / "d"
        deep.mkdir()
        (deep / "f").touch()
    inside = reader(tmp_path)
    assert len(list(inside.walk(b"/d"))) == 13
    assert list(inside.problems.values()) == ["too_many"]


def test_the_index_knows_whom_a_path_concerns() -> None:
    index = PlaceIndex(
        [
            ("cron", Place(b"/etc/crontab")),
            ("cron", Place(b"/etc/cron.d", b"*")),
            ("conf", Place(b"/etc/x.d", b"*.conf")),
            ("systemd", Place(b"/lib/systemd/system", b"*", recursive=True)),
            ("home", Place(b"/home/a/.bashrc")),
            ("root", Place(b"/.profile")),
            ("bits", Place(b"/home", b"*", recursive=True)),
        ],
        lambda path: b"/usr" + path if path.startswith(b"/lib") else path,
    )

    def concerned(path: bytes) -> set[tuple[str, bytes | None]]:
        return {(concern.kind, concern.path) for concern in index.concerns(path)}

    assert concerned(b"/etc/crontab") == {("cron", b"/etc/crontab")}
    assert concerned(b"/etc/cron.d/x") == {("cron", b"/etc/cron.d/x")}
    assert concerned(b"/etc/cron.d/x/y") == set()
    assert concerned(b"/etc/cron.d") == {("cron", None)}
    assert concerned(b"/etc") == {("cron", None), ("conf", None)}
    assert concerned(b"/etc/x.d/a.conf") == {("conf", b"/etc/x.d/a.conf")}
    assert concerned(b"/etc/x.d/a.txt") == set()
    assert concerned(b"/etc/passwd") == set()
    link = b"/lib/systemd/system/a.wants/b.service"
    assert concerned(b"/usr" + link) == concerned(link) == {("systemd", link)}
    assert concerned(b"/home/a/.bashrc") == {("home", b"/home/a/.bashrc"), ("bits", b"/home/a/.bashrc")}
    assert concerned(b"/home/a") == {("home", None), ("bits", b"/home/a")}
    # Nobody runs it, but whoever hides a setuid file under such a name is seen.
    assert concerned(b"/etc/cron.d/.x.swp") == set()
    assert concerned(b"/home/.x.swp") == {("bits", b"/home/.x.swp")}
    assert concerned(b"/.profile") == {("root", b"/.profile")}
