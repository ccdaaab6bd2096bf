"""The tail's single cases, and the source that drives it on a real log."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.component import StoppingError
from otel_fim.receivers.auth.sources import framing
from otel_fim.receivers.auth.sources.framing import LINES, LONGEST_LINE, WINDOW_BYTES, records, split_lines
from otel_fim.receivers.auth.sources.source import (
    REASON_DENIED,
    REASON_DESTROYED,
    REASON_ERROR,
    REASON_MISSING,
)
from otel_fim.receivers.auth.sources.tail import Frame, Tail
from otel_fim.receivers.auth.sources.text_log import TextLogSource


class Reader:
    def __init__(self) -> None:
        self.got: list[Frame] = []
        self.rejections: dict[str, int] = {}
        self.told: list[str] = []

    def frames(self, frames: list[Frame], modified: int) -> None:
        self.got += frames

    def rejected(self, reason: str, count: int = 1) -> None:
        self.rejections[reason] = self.rejections.get(reason, 0) + count

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        self.told.append(reason)

    def restored(self, reason: str, detail: str) -> None:
        self.told.append("restored " + reason)

    def lines(self) -> list[bytes]:
        return [frame.data for frame in self.got]


@pytest.fixture
def reader() -> Reader:
    return Reader()


@given(st.lists(st.binary(max_size=80)), st.data())
def test_lines_are_the_same_however_they_arrive(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(parts) + b"\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    got, rest, skipping = [], b"", False
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        rest += whole[start:end]
        found = split_lines(rest, skipping)
        got += [frame for _, frame in found.frames]
        rest, skipping = rest[found.consumed :], found.skipping
    assert rest == b""
    assert got == [line for line in whole.split(b"\n") if line]


@given(st.binary(max_size=400), st.integers(1, 50), st.booleans())
def test_frames_lie_where_they_say(data: bytes, size: int, skipping: bool) -> None:
    for split in (split_lines, records(size).split):
        found = split(data, skipping)
        assert 0 <= found.consumed <= len(data)
        for at, frame in found.frames:
            assert data[at : at + len(frame)] == frame


@pytest.mark.parametrize("extra", [0, 1, WINDOW_BYTES, 3 * WINDOW_BYTES])
def test_a_line_that_is_too_long_is_cut_and_counted(tmp_path: Path, reader: Reader, extra: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n" + b"x" * (LONGEST_LINE + extra) + b"\nbehind\n")
    tail = Tail(str(path), LINES, reader, start_at="beginning")
    tail.pump()
    tail.close()
    assert reader.lines() == [b"before", b"x" * LONGEST_LINE, b"behind"]
    assert reader.rejections == ({} if extra == 0 else {framing.REJECTED_LONG: 1})


def test_a_line_that_is_too_long_is_skipped_over_a_restart(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (LONGEST_LINE + 1))
    tail = Tail(str(path), LINES, reader, start_at="beginning")
    tail.pump()
    position = tail.position()
    tail.close()
    with path.open("ab") as file:
        file.write(b"still the same line\nbehind\n")
    tail = Tail(str(path), LINES, reader)
    tail.restore(position)
    tail.pump()
    tail.close()
    assert reader.lines() == [b"x" * LONGEST_LINE, b"behind"]


def test_starts_at_the_end_with_the_line_that_is_being_written(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\nhalf")
    tail = Tail(str(path), LINES, reader)
    tail.pump()
    assert reader.got == []
    with path.open("ab") as file:
        file.write(b" a line\nnew\n")
    tail.pump()
    tail.close()
    assert reader.lines() == [b"half a line", b"new"]


def test_a_file_that_appears_later_is_read_from_its_beginning(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "log"
    tail = Tail(str(path), LINES, reader, missing=0)
    tail.pump()
    tail.pump()
    assert reader.told == [REASON_MISSING]
    path.write_bytes(b"first\n")
    tail.pump()
    tail.close()
    assert reader.lines() == [b"first"]
    assert reader.told == [REASON_MISSING, "restored " + REASON_MISSING]


def test_what_is_written_to_a_rotated_file_is_read(tmp_path: Path, reader: Reader) -> None:
    now = 0.0
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    tail = Tail(str(path), LINES, reader, start_at="beginning", linger=60, monotonic=lambda: now)
    tail.pump()
    with path.open("ab") as file:
        path.rename(tmp_path / "log.1")
        path.write_bytes(b"3\n")
        file.write(b"2\n")
        file.flush()
        tail.pump()
        now = 59
        file.write(b"4\nunfinished")
        file.flush()
        tail.pump()
        now = 118
        tail.pump()
        assert len(list(tail.descriptors())) == 2
        now = 119
        tail.pump()
    assert len(list(tail.descriptors())) == 1
    tail.close()
    assert reader.lines() == [b"1", b"2", b"3", b"4"]
    assert reader.rejections == {framing.REJECTED_UNTERMINATED: 1}
    assert reader.told == []


def test_two_rotations_with_nothing_written_since(tmp_path: Path, reader: Reader) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    tail = Tail(str(path), LINES, reader, start_at="beginning")
    tail.pump()
    path.rename(tmp_path / "log.2")
    (tmp_path / "log.1").write_bytes(b"2\n")
    tail.pump()
    tail.pump()
    assert reader.lines() == [b"1", b"2"]
    path.write_bytes(b"3\n")
    tail.pump()
    tail.close()
    assert reader.lines() == [b"1", b"2", b"3"]
    assert reader.told == []


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_file_is_a_gap_until_it_is_one(tmp_path: Path, reader: Reader, kind: str) -> None:
    path = tmp_path / "log"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert TextLogSource(str(path)).available() == f"{path} is no regular file"
    tail = Tail(str(path), LINES, reader)
    tail.pump()
    assert reader.told == [REASON_ERROR]
    path.rename(tmp_path / "other")
    path.write_bytes(b"line\n")
    tail.pump()
    tail.close()
    assert reader.told == [REASON_ERROR, "restored " + REASON_ERROR]


_AS_NOBODY = """
import os, sys
from otel_fim.receivers.auth.sources.text_log import TextLogSource
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(TextLogSource(sys.argv[1]).available())
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_says_that_a_log_needs_root(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(b"")
    path.chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"{path} cannot be read without root"


def test_a_log_that_may_not_be_read_is_a_gap(tmp_path: Path, reader: Reader, monkeypatch) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(b"old\n")
    allowed = False

    def open_if_allowed(name: str) -> int:
        if not allowed:
            raise PermissionError(13, "Permission denied", name)
        return os.open(name, os.O_RDONLY)

    # Root may read everything: the refusal is made here.
    monkeypatch.setattr("otel_fim.receivers.auth.sources.tail.open_regular", open_if_allowed)
    tail = Tail(str(path), LINES, reader)
    tail.pump()
    tail.pump()
    assert reader.told == [REASON_DENIED]
    allowed = True
    tail.pump()
    tail.close()
    assert reader.told == [REASON_DENIED, "restored " + REASON_DENIED]


LINE = "Nov 21 00:01:02 host sshd[1]: "


def test_follows_a_log_through_everything(tmp_path: Path, recorder, new_recorder) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LINE + "old\n")
    source = TextLogSource(str(path))
    assert source.available() is None
    assert source.name == str(path)
    source.start(recorder)
    recorder.wait(lambda: recorder.position is not None)
    with path.open("a") as file:
        file.write(LINE + "one\nno time stamp\n")
    recorder.wait(lambda: "one" in recorder.messages())
    path.rename(tmp_path / "auth.log.1")
    path.write_text(LINE + "two\n")
    recorder.wait(lambda: "two" in recorder.messages())
    (tmp_path / "auth.log.1").rename(tmp_path / "auth.log.2")
    (tmp_path / "auth.log.1").write_text(path.read_text())
    os.truncate(path, 0)
    with path.open("a") as file:
        file.write(LINE + "three\n")
    recorder.wait(lambda: "three" in recorder.messages())
    assert source.stop(30)
    assert recorder.messages() == ["one", "two", "three"]
    assert recorder.rejections == {"bad_timestamp": 1}
    assert recorder.gaps == []

    with path.open("a") as file:
        file.write(LINE + "while down\n")
    path.rename(tmp_path / "auth.log-20261121")
    path.write_text(LINE + "new file\n")
    later = new_recorder()
    again = TextLogSource(str(path))
    again.start(later, recorder.position)
    later.wait(lambda: len(later.got) == 2)
    assert again.stop(30)
    assert later.messages() == ["while down", "new file"]
    assert later.gaps == []
    assert all(entry.source == str(path) and not entry.trusted for entry in recorder.got + later.got)


def test_a_log_that_was_compressed_unread_is_a_gap(tmp_path: Path, recorder, new_recorder) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LINE + "old\n")
    source = TextLogSource(str(path))
    source.start(recorder)
    recorder.wait(lambda: recorder.position is not None)
    assert source.stop(30)
    with path.open("a") as file:
        file.write(LINE + "lost\n")
    subprocess.run(["gzip", str(path)], check=True, timeout=30)
    (tmp_path / "auth.log.gz").rename(tmp_path / "auth.log.1.gz")
    path.write_text(LINE + "new\n")
    later = new_recorder()
    again = TextLogSource(str(path))
    again.start(later, recorder.position)
    later.wait(lambda: later.got)
    assert again.stop(30)
    assert later.messages() == ["new"]
    assert later.reasons() == [REASON_DESTROYED]
    assert "auth.log.1.gz" in later.gaps[0][1]


def test_entries_of_one_file_are_told_apart_and_recognised(tmp_path: Path, new_recorder) -> None:
    path = tmp_path / "auth.log"
    path.write_text((LINE + "same\n") * 3)
    found = []
    for _ in range(2):
        recorder = new_recorder()
        source = TextLogSource(str(path), start_at="beginning")
        source.start(recorder)
        recorder.wait(lambda recorder=recorder: len(recorder.got) == 3)
        assert source.stop(30)
        found.append([entry.identity for entry in recorder.got])
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def test_ends_when_the_sink_takes_no_more(tmp_path: Path, recorder) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LINE + "one\n")
    recorder.failure = StoppingError()
    source = TextLogSource(str(path), start_at="beginning")
    source.start(recorder)
    deadline = time.monotonic() + 30
    while any(thread.name == "auth auth.log" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert source.stop(30)
    assert recorder.got == []


def test_goes_on_from_what_was_taken_when_the_sink_fails(tmp_path: Path, recorder, monkeypatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.auth.sources.file_source._RETRY_SECONDS", 0.05)
    path = tmp_path / "auth.log"
    path.write_text(LINE + "one\n")
    source = TextLogSource(str(path), start_at="beginning")
    source.start(recorder)
    recorder.wait(lambda: recorder.got)
    recorder.failure = OSError(28, "No space left on device")
    with path.open("a") as file:
        file.write(LINE + "two\n")
    recorder.wait(lambda: recorder.gaps)
    recorder.failure = None
    recorder.wait(lambda: len(recorder.got) == 2)
    assert source.stop(30)
    assert recorder.messages() == ["one", "two"]
    assert set(recorder.reasons()) == {REASON_ERROR}


@pytest.mark.parametrize(
    "position", [{}, [], "x", {"version": 1, "seen": 1, "files": [{"inode": 1}]}, {"version": 2}]
)
def test_a_damaged_position_is_a_gap(tmp_path: Path, recorder, position) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LINE + "old\n")
    source = TextLogSource(str(path))
    source.start(recorder, position)
    recorder.wait(lambda: recorder.position is not None)
    assert source.stop(30)
    assert recorder.reasons() == [REASON_ERROR]


def test_without_inotify_it_polls(tmp_path: Path, recorder, monkeypatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.auth.sources.waiter.inotify_init", lambda: -1)
    monkeypatch.setattr("otel_fim.receivers.auth.sources.waiter.POLL_SECONDS", 0.05)
    path = tmp_path / "auth.log"
    source = TextLogSource(str(path))
    source.start(recorder)
    path.write_text(LINE + "one\n")
    recorder.wait(lambda: recorder.got)
    assert source.stop(30)


def test_a_directory_that_appears_later(tmp_path: Path, recorder) -> None:
    path = tmp_path / "log" / "auth.log"
    source = TextLogSource(str(path), missing=0)
    source.start(recorder)
    recorder.wait(lambda: recorder.gaps)
    path.parent.mkdir()
    path.write_text(LINE + "one\n")
    recorder.wait(lambda: recorder.got)
    assert source.stop(30)
    assert recorder.closed == [REASON_MISSING]
