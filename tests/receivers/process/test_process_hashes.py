"""Hashes of executables: of the right file, or a reason."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from otel_fim.host.quick import FileIdentity
from otel_fim.receivers.process.happening import Image
from otel_fim.receivers.process.hashes import Hashes

GONE = 10_000_000


def identity(path: Path) -> FileIdentity:
    found = path.stat()
    return FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"#!/bin/sh\n")
    return path


def test_a_file_is_read_once(program: Path) -> None:
    hashes, digest = Hashes(1000), hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    image = Image(GONE, executable=str(program), identity=identity(program))
    assert hashes.of(image) == (digest, None)
    program.unlink()
    assert hashes.of(image) == (digest, None)
    assert Hashes(1000).of(image) == (None, "deleted")


def test_another_file_in_its_place(program: Path) -> None:
    image = Image(GONE, executable=str(program), identity=identity(program))
    program.write_bytes(b"something else")
    assert Hashes(1000).of(image) == (None, "replaced")


def test_reasons(program: Path, tmp_path: Path) -> None:
    hashes = Hashes(5)
    assert hashes.of(Image(GONE)) == (None, "no_executable")
    assert hashes.of(Image(GONE, executable=str(program))) == (None, "too_large")
    assert hashes.of(Image(GONE, executable=str(program), identity=identity(program))) == (None, "too_large")
    assert hashes.of(Image(GONE, executable=str(tmp_path / "none"))) == (None, "deleted")
    assert hashes.of(Image(GONE, executable=str(tmp_path))) == (None, "replaced")
    os.mkfifo(tmp_path / "fifo")
    assert hashes.of(Image(GONE, executable=str(tmp_path / "fifo"))) == (None, "replaced")


def test_through_the_process_when_the_path_is_gone(tmp_path: Path) -> None:
    program = tmp_path / "sleep"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as process:
        digest = hashlib.sha256(program.read_bytes()).hexdigest()
        program.unlink()
        found = os.stat(f"/proc/{process.pid}/exe")
        own = FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        image = Image(process.pid, executable=str(program), identity=own)
        assert Hashes(2**24).of(image) == (digest, None)
        other = Image(process.pid, executable=str(program), identity=own._replace(inode=1))
        assert Hashes(2**24).of(other) == (None, "replaced")
        process.kill()
