"""A state file is whole or not used."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.component import Context, Health, StartError
from otel_fim.record import EMPTY_SCOPE, Resource
from otel_fim.state_file import HOLD_SECONDS, DamagedStateError, Saver, StateFile


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateFile:
    return StateFile(tmp_path_factory.mktemp("state") / "x.state", "x", 3)


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=200), place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_what_was_written_is_read_and_what_was_changed_is_not(
    state: StateFile, content: bytes, place: int, bit: int
) -> None:
    state.write(content)
    assert state.read() == content
    data = bytearray(state.path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    state.path.write_bytes(data)
    with pytest.raises((DamagedStateError, StartError)):
        state.read()
    state.path.write_bytes(data[: place % len(data)])
    with pytest.raises(DamagedStateError):
        state.read()


def test_there_is_none(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "none", "x", 1).read() is None


def test_another_kind_and_other_versions(tmp_path: Path) -> None:
    path = tmp_path / "x"
    StateFile(path, "x", 2).write(b"content")
    with pytest.raises(DamagedStateError):
        StateFile(path, "y", 2).read()
    with pytest.raises(StartError, match="version 2, this agent knows 1"):
        StateFile(path, "x", 1).read()
    aside = StateFile(path, "x", 1).set_aside()
    assert not path.exists()
    assert aside.read_bytes().endswith(b"content")
    assert path.parent == aside.parent


def test_what_cannot_be_read_is_no_start(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(StartError, match="cannot be read"):
        StateFile(tmp_path / "x", "x", 1).read()


# --- Saving now and then ---------------------------------------------------------------------------------


class _Disk(StateFile):
    """A file whose writing takes a while on the test's clock, or fails."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x", 1)
        self.now = 100.0
        self.takes = 0.0
        self.is_full = False

    def write(self, content: bytes) -> None:
        self.now += self.takes
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(content)


def _saver(disk: _Disk, health: list[Health]) -> Saver:
    directory = disk.path.parent
    context = Context(
        id="x",
        kind="processor",
        state_directory=directory,
        service_directory=directory,
        agent_directories=(),
        resource=Resource({}),
        scope=EMPTY_SCOPE,
        logger=logging.getLogger("test.state"),
        report=lambda how, _: health.append(how),
        count=lambda *_: None,
    )
    return Saver(disk, context, 10, clock=lambda: disk.now)


def test_what_is_held_is_written_later_and_once(tmp_path: Path) -> None:
    disk = _Disk(tmp_path / "x")
    saver = _saver(disk, [])
    disk.now += 10
    assert saver.is_due
    saver.hold(b"one")
    assert not saver.is_due
    disk.now += HOLD_SECONDS - 0.1
    assert saver.write_held() is None
    assert disk.read() is None
    disk.now += 0.1
    assert saver.write_held() is True
    assert disk.read() == b"one"
    disk.now += 5
    assert saver.write_held() is None
    # At the stop the newest counts, and what was held is forgotten.
    saver.hold(b"two")
    assert saver.save(b"three")
    disk.now += 60
    assert saver.write_held() is None
    assert disk.read() == b"three"


def test_a_full_disk_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    disk, health = _Disk(tmp_path / "x"), list[Any]()
    saver = _saver(disk, health)
    assert saver.save(b"old")
    disk.is_full = True
    for _ in range(3):
        disk.now += 10
        assert saver.is_due
        assert not saver.save(b"new")
        assert not saver.is_due
    assert disk.read() == b"old"
    assert health == [Health.RECOVERABLE_ERROR] * 3
    assert caplog.text.count("the state cannot be written: No space left on device") == 1
    disk.is_full = False
    assert saver.save(b"new")
    assert saver.save(b"new")
    assert caplog.text.count("the state is written again") == 1
    assert health[3:] == [Health.OK]


def test_a_slow_disk_is_written_less_often(tmp_path: Path) -> None:
    disk = _Disk(tmp_path / "x")
    saver = _saver(disk, [])
    disk.takes = 3
    saver.save(b"x")
    disk.now += 59
    assert not saver.is_due
    disk.now += 1
    assert saver.is_due
