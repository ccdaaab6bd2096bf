"""The file of OTLP/JSON lines through restarts, crashes, full disks and rotation."""

from __future__ import annotations

import gzip
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.component import ExporterContext, ExportResult, Health, RetryableError, StartError
from otel_fim.exporters.otlp_file import OtlpFileConfig, OtlpFileExporter, RotationConfig
from otel_fim.exporters.otlp_file.position import first_missing, position_of
from otel_fim.exporters.otlp_file.rotation import Rotation
from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json, encode_logs_data_json
from otel_fim.record import EMPTY_SCOPE, Record, Resource

STREAM = "0192f1c3-7b0e-7c11-a8c0-6c0f6f0b3f5e"


def record(number: int, stream: str = STREAM, size: int = 0) -> Record:
    return Record(
        time_unix_nano=10**18 + number,
        event_name=events.FILE_CREATED,
        body="x" * size or None,
        attributes={names.AUDIT_SEQUENCE_STREAM_ID: stream, names.AUDIT_SEQUENCE_NUMBER: number},
    )


def line(*numbers: int, **more: Any) -> bytes:
    return encode_logs_data_json([record(number, **more) for number in numbers])


@dataclass
class Lines:
    """A batch that has only what the exporter reads."""

    lines: list[bytes]

    @property
    def records(self) -> list[Record]:
        return [record for line in self.lines for record in decode_logs_data_json(line)]

    @property
    def record_count(self) -> int:
        return len(self.records)


Open = Callable[..., OtlpFileExporter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "logs.json"


@pytest.fixture
def reports() -> list[tuple[Health, str]]:
    return []


@pytest.fixture
def start(path: Path, reports: list[tuple[Health, str]]) -> Iterator[Open]:
    started: list[OtlpFileExporter] = []

    def _start(**settings: Any) -> OtlpFileExporter:
        context = ExporterContext(
            id="otlp_file",
            kind="exporter",
            state_directory=path.parent,
            service_directory=path.parent,
            agent_directories=(),
            resource=Resource(),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test.otlp_file"),
            report=lambda health, message: reports.append((health, message)),
            count=lambda *args, **kwargs: None,
            pipeline="logs",
        )
        exporter = OtlpFileExporter(OtlpFileConfig(**{"path": str(path), **settings}), context)
        started.append(exporter)
        exporter.start()
        return exporter

    yield _start
    for exporter in started:
        exporter.stop(1.0)


def numbers(*files: Path) -> list[int]:
    found: list[int] = []
    for file in files:
        data = file.read_bytes()
        assert data == b"" or data.endswith(b"\n")
        for text in data.splitlines():
            for decoded in decode_logs_data_json(text):
                number = decoded.attributes[names.AUDIT_SEQUENCE_NUMBER]
                assert isinstance(number, int)
                found.append(number)
    return found


def test_lines_pass_through_unchanged(start: Open, path: Path) -> None:
    exporter = start()
    lines = [line(1, 2), line(3)]
    assert exporter.export(Lines(lines)) == ExportResult()
    assert path.read_bytes() == lines[0] + b"\n" + lines[1] + b"\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_an_empty_batch_writes_nothing(start: Open, path: Path) -> None:
    start().export(Lines([]))
    assert path.read_bytes() == b""


def test_a_batch_written_before_a_crash_is_not_written_twice(start: Open, path: Path) -> None:
    first = start()
    first.export(Lines([line(1, 2), line(3)]))
    first.stop(1.0)
    second = start()
    second.export(Lines([line(1, 2), line(3), line(4)]))
    second.export(Lines([line(5)]))
    assert numbers(path) == [1, 2, 3, 4, 5]


def test_only_a_part_was_written_and_the_batch_is_cut_otherwise(start: Open, path: Path) -> None:
    first = start()
    first.export(Lines([line(number) for number in range(1, 8)]))
    first.stop(1.0)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 5)
    second = start()
    for begin in (1, 4, 7):
        second.export(Lines([line(number) for number in range(begin, begin + 3)]))
    assert numbers(path) == list(range(1, 10))


def test_a_torn_line_is_cut_and_said(start: Open, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(line(1) + b"\n" + line(2)[:-3])
    with caplog.at_level(logging.WARNING):
        start().export(Lines([line(1), line(2)]))
    assert numbers(path) == [1, 2]
    assert "unfinished line" in caplog.text


def test_a_first_line_torn_anywhere(start: Open, path: Path) -> None:
    path.parent.mkdir()
    whole = line(1)
    for length in (1, 10, len(whole)):
        path.write_bytes(whole[:length])
        exporter = start()
        exporter.export(Lines([whole]))
        assert numbers(path) == [1]
        exporter.stop(1.0)


def test_zeros_after_a_power_failure(start: Open, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(line(1) + b"\n" + bytes(100) + line(2)[50:] + b"\n")
    start().export(Lines([line(2)]))
    assert numbers(path) == [1, 2]
    assert "unreadable" in caplog.text


def test_another_stream_after_lost_state(start: Open, path: Path) -> None:
    first = start()
    first.export(Lines([line(9), line(1, stream="b"), line(2, stream="b")]))
    first.stop(1.0)
    start().export(Lines([line(9), line(1, stream="b"), line(2, stream="b"), line(3, stream="b")]))
    assert numbers(path) == [9, 1, 2, 3]


def test_lines_without_a_chain_are_recognised_by_their_bytes(start: Open, path: Path) -> None:
    lines = [encode_logs_data_json([Record(time_unix_nano=number, event_name="x")]) for number in range(1, 4)]
    first = start()
    first.export(Lines(lines[:2]))
    first.stop(1.0)
    start().export(Lines(lines))
    assert path.read_bytes().splitlines() == lines


def test_append_false_begins_anew(start: Open, path: Path) -> None:
    first = start()
    first.export(Lines([line(1)]))
    first.stop(1.0)
    start(append=False).export(Lines([line(2)]))
    assert numbers(path) == [2]


def test_a_second_writer_is_refused(start: Open, path: Path) -> None:
    start()
    with pytest.raises(StartError, match="written by another program"):
        start()


@pytest.mark.parametrize("content", [b"127.0.0.1 localhost\n", b'{"resourceSpans":[]}\n', b"{"[:0] + b"x"])
def test_a_file_that_is_something_else_is_left_alone(start: Open, path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StartError, match="other than OTLP/JSON"):
        start()
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(start: Open, path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(StartError, match="regular file"):
        start()
    with pytest.raises(StartError, match="cannot write"):
        start(path=str(path.parent))


def test_a_file_moved_away_by_logrotate(start: Open, path: Path) -> None:
    exporter = start()
    exporter.export(Lines([line(1)]))
    moved = path.with_name("moved")
    path.rename(moved)
    exporter.export(Lines([line(2)]))
    path.unlink()
    exporter.export(Lines([line(3)]))
    assert numbers(moved) == [1]
    assert numbers(path) == [3]


def test_a_full_disk_leaves_whole_lines_and_is_tried_again(start: Open, path: Path) -> None:
    exporter = start()
    exporter.export(Lines([line(1)]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
        for _ in range(2):
            with pytest.raises(RetryableError, match=r"logs\.json: File too large"):
                exporter.export(Lines([line(2), line(3)]))
            assert numbers(path) == [1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    exporter.export(Lines([line(2), line(3)]))
    assert numbers(path) == [1, 2, 3]


def test_rotation_keeps_the_newest(start: Open, path: Path) -> None:
    exporter = start(rotation={"max_megabytes": 1, "max_backups": 2})
    for number in range(1, 8):
        exporter.export(Lines([line(number, size=600_000)]))
    backups = sorted(path.parent.glob("logs-*.json"))
    assert len(backups) == 2
    assert numbers(*backups, path) == [5, 6, 7]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_closed_files_are_compressed(start: Open, path: Path, compression: str) -> None:
    exporter = start(rotation={"max_megabytes": 1, "compression": compression})
    for number in range(1, 4):
        exporter.export(Lines([line(number, size=600_000)]))
    backups = sorted(path.parent.glob("logs-*"))
    assert [backup.suffix for backup in backups] == [".gz" if compression == "gzip" else ".zst"] * 2
    program = ["gzip", "-dc"] if compression == "gzip" else ["zstd", "-dcq"]
    plain = b"".join(
        subprocess.run([*program, backup], check=True, capture_output=True).stdout for backup in backups
    )
    path.with_name("plain").write_bytes(plain)
    assert numbers(path.with_name("plain"), path) == [1, 2, 3]


def test_tidying_finishes_what_a_crash_left(path: Path) -> None:
    path.parent.mkdir()
    now = datetime(2026, 1, 13, 14, 32, tzinfo=UTC)
    rotation = Rotation(path, RotationConfig(max_days=2, compression="gzip"))
    names_ = []
    for days in (0, 1, 3):
        path.write_bytes(b"x\n")
        names_.append(rotation.close_current(now - timedelta(days=days)).name)
    other = path.with_name("logs-notes.json")
    other.write_bytes(b"mine")
    Path(f"{path.with_name(names_[0])}.gz.tmp").write_bytes(b"half")
    rotation.tidy(now)
    assert sorted(entry.name for entry in path.parent.iterdir()) == sorted(
        [f"{names_[0]}.gz", f"{names_[1]}.gz", "logs-notes.json"]
    )
    assert names_[0] == "logs-2026-01-13T14-32-00.000.json"
    assert gzip.decompress(Path(f"{path.with_name(names_[0])}.gz").read_bytes()) == b"x\n"


def test_two_rotations_in_one_moment_have_two_names(path: Path) -> None:
    path.parent.mkdir()
    rotation = Rotation(path, RotationConfig())
    now = datetime(2026, 1, 13, tzinfo=UTC)
    found = set()
    for _ in range(3):
        path.touch()
        found.add(rotation.close_current(now))
    assert len(found) == 3


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=50)
def test_what_is_missing_continues_what_is_there(sizes: list[int], written: int, acknowledged: int) -> None:
    first = 1
    lines = []
    for size in sizes:
        lines.append(line(*range(first, first + size)))
        first += size
    written = min(written, len(lines))
    acknowledged = min(acknowledged, written)
    batch = lines[acknowledged:]
    if written:
        assert first_missing(batch, position_of(lines[written - 1])) == written - acknowledged


KILLED = """
import logging, sys
from pathlib import Path
from otel_fim.component import ExporterContext
from otel_fim.exporters.otlp_file import OtlpFileConfig, OtlpFileExporter
from otel_fim.record import EMPTY_SCOPE, Resource

class Batch:
    def __init__(self, lines):
        self.lines = lines

path, source = Path(sys.argv[1]), Path(sys.argv[2])
context = ExporterContext("f", "exporter", path.parent, path.parent, (), Resource(), EMPTY_SCOPE,
    logging.getLogger("x"), lambda *a: None, lambda *a, **k: None, pipeline="logs")
exporter = OtlpFileExporter(OtlpFileConfig(path=str(path), rotation={"max_megabytes": 1}), context)
exporter.start()
cursor = Path(sys.argv[3])
lines = source.read_bytes().splitlines()
at = int(cursor.read_text() or 0)
print("started", flush=True)
while at < len(lines):
    exporter.export(Batch(lines[at:at + 5]))
    at = min(at + 5, len(lines))
    temporary = cursor.with_suffix(".tmp")
    temporary.write_text(str(at))
    temporary.replace(cursor)
exporter.stop(1)
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kill_9_at_any_moment_leaves_each_record_once(tmp_path: Path, seed: int) -> None:
    path, source, cursor = tmp_path / "logs.json", tmp_path / "journal", tmp_path / "cursor"
    source.write_bytes(b"\n".join(line(number, size=2_000) for number in range(1, 1501)))
    cursor.write_text("")
    command = [sys.executable, "-c", KILLED, str(path), str(source), str(cursor)]
    for attempt in range(4):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"started\n"
            try:
                process.wait(0.02 * ((seed * 7 + attempt * 3) % 10 + 1))
            except subprocess.TimeoutExpired:
                process.kill()
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert numbers(*sorted(tmp_path.glob("logs-*.json")), path) == list(range(1, 1501))
