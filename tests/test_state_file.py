"""A state file is whole or not used."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.component import StartError
from otel_fim.state_file import DamagedStateError, StateFile


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
