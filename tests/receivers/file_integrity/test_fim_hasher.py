"""Hashes of files that behave, and of files that do not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from otel_fim.receivers.file_integrity import hasher, paths
from otel_fim.receivers.file_integrity.hasher import GoneError, UnreadableError, hash_file, observe
from otel_fim.receivers.file_integrity.metadata import Unhashed

LIMIT = 2**30
SIZES = [0, 1, 100, hasher._SMALL - 1, hasher._SMALL, hasher._SMALL + 1, hasher._BUFFER_SIZE * 2 + 7]


@pytest.mark.parametrize("size", SIZES)
def test_the_hash_is_the_hash(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    state = observe(os.fsencode(tmp_path / "f"), LIMIT)
    assert state.sha256 == hashlib.sha256(content).digest()
    assert state.unhashed is None
    found = os.lstat(tmp_path / "f")
    assert (state.size, state.ino, state.mode) == (size, found.st_ino, found.st_mode)
    assert (state.mtime_ns, state.ctime_ns) == (found.st_mtime_ns, found.st_ctime_ns)


def test_a_file_over_the_limit_has_no_hash_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    state = observe(os.fsencode(tmp_path / "f"), 4)
    assert state.sha256 is None
    assert state.unhashed == Unhashed.TOO_LARGE


def test_a_sparse_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as file:
        file.truncate(2**40)
    assert observe(os.fsencode(tmp_path / "f"), LIMIT).unhashed == Unhashed.TOO_LARGE


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"secret")
    os.symlink("f", tmp_path / "link")
    state = observe(os.fsencode(tmp_path / "link"), LIMIT)
    assert state.target == b"f"
    assert state.sha256 is None


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"mine")
    (tmp_path / "secret").write_bytes(b"secret")
    before = os.lstat(tmp_path / "f")
    os.remove(tmp_path / "f")
    os.symlink("secret", tmp_path / "f")
    state = hash_file(os.fsencode(tmp_path / "f"), None, before, LIMIT)
    assert stat.S_ISLNK(state.mode)
    assert state.target == b"secret"
    assert state.sha256 is None


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_something_else_in_the_files_place_does_not_hold_anybody_up(tmp_path: Path, kind: str) -> None:
    path = os.fsencode(tmp_path / "f")
    (tmp_path / "f").write_bytes(b"mine")
    before = os.lstat(path)
    os.remove(path)
    os.mkfifo(path) if kind == "fifo" else os.mkdir(path)
    state = hash_file(path, None, before, LIMIT)
    assert state.sha256 is None
    assert stat.S_ISFIFO(state.mode) if kind == "fifo" else stat.S_ISDIR(state.mode)


def test_another_file_in_the_files_place_is_the_one_that_is_described(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    before = os.lstat(tmp_path / "f")
    (tmp_path / "new").write_bytes(b"new")
    os.rename(tmp_path / "new", tmp_path / "f")
    state = hash_file(os.fsencode(tmp_path / "f"), None, before, LIMIT)
    assert state.ino == os.lstat(tmp_path / "f").st_ino
    assert state.sha256 == hashlib.sha256(b"new").digest()


def test_a_file_that_never_rests_has_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    read = os.read

    def write_meanwhile(fd: int, count: int) -> bytes:
        content = read(fd, count)
        with open(path, "ab") as file:
            file.write(b"y")
        return content

    monkeypatch.setattr(hasher.os, "read", write_meanwhile)
    state = observe(os.fsencode(path), LIMIT)
    assert state.sha256 is None
    assert state.unhashed == Unhashed.CHANGING


def test_a_file_that_changes_once_is_hashed_in_its_last_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    read = os.read
    done = []

    def write_once(fd: int, count: int) -> bytes:
        content = read(fd, count)
        if not done:
            done.append(True)
            path.write_bytes(b"z" * 50)
        return content

    monkeypatch.setattr(hasher.os, "read", write_once)
    assert observe(os.fsencode(path), LIMIT).sha256 == hashlib.sha256(b"z" * 50).digest()


def test_gone(tmp_path: Path) -> None:
    with pytest.raises(GoneError):
        observe(os.fsencode(tmp_path / "never"), LIMIT)
    (tmp_path / "file").touch()
    with pytest.raises(GoneError):
        observe(os.fsencode(tmp_path / "file/below"), LIMIT)


def test_an_input_output_error_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x")

    def fail(fd: int, count: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(hasher.os, "read", fail)
    state = observe(os.fsencode(tmp_path / "f"), LIMIT)
    assert state.sha256 is None
    assert state.unhashed == Unhashed.IO_ERROR


AS_NOBODY = """
import os, sys
from otel_fim.receivers.file_integrity.hasher import UnreadableError, observe
# After the imports: the interpreter itself may lie where nobody else can read.
os.setgroups([]); os.setgid(65534); os.setuid(65534)
state = observe(os.fsencode(sys.argv[1] + "/others"), 2**30)
assert state.sha256 is not None, "readable, though not with O_NOATIME"
state = observe(os.fsencode(sys.argv[1] + "/secret"), 2**30)
assert state.sha256 is None and state.unhashed == 4, state
try:
    observe(os.fsencode(sys.argv[1] + "/closed/f"), 2**30)
except UnreadableError as error:
    assert error.reason == 4 and "closed/f" in str(error), error
else:
    raise AssertionError("seen through a closed directory")
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_as_another_user() -> None:
    # pytest's own directories are closed to other users.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "others").write_text("o")
        (directory / "secret").write_text("s")
        os.chmod(directory / "secret", 0o600)
        (directory / "closed").mkdir(mode=0o700)
        (directory / "closed/f").write_text("f")
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, name], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr


def test_paths_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    top = os.open(tmp_path, os.O_RDONLY)
    fd = os.dup(top)
    path = os.fsencode(tmp_path)
    try:
        for _ in range(30):
            name = b"d" * 250
            os.mkdir(name, dir_fd=fd)
            following = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = following
            path += b"/" + name
        with open(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as file:
            file.write(b"deep")
        os.symlink("f", "link", dir_fd=fd)
    finally:
        os.close(fd)
        os.close(top)
    assert len(path) > 7000
    assert observe(path + b"/f", LIMIT).sha256 == hashlib.sha256(b"deep").digest()
    assert observe(path + b"/link", LIMIT).target == b"f"
    with pytest.raises(GoneError):
        observe(path + b"/none", LIMIT)
    listed = paths.open_directory(path)
    assert sorted(os.listdir(listed)) == ["f", "link"]
    os.close(listed)
    subprocess.run(["rm", "-rf", str(tmp_path / ("d" * 250))], check=True)


def test_errors_are_told_apart() -> None:
    assert UnreadableError(Unhashed.IO_ERROR, "x").reason is Unhashed.IO_ERROR
    for number, reason in (
        (errno.ENOENT, Unhashed.DELETED),
        (errno.ENOTDIR, Unhashed.DELETED),
        (errno.EACCES, Unhashed.PERMISSION_DENIED),
        (errno.ELOOP, Unhashed.NOT_REGULAR),
        (errno.EIO, Unhashed.IO_ERROR),
    ):
        assert hasher.reason_of(OSError(number, "")) is reason
