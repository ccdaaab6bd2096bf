"""kill -9 at random moments, again and again, on the same journal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from otel_fim.journal import JournalLockedError, scan_lines
from otel_fim.otlp import decode_logs_data_json

WRITER = Path(__file__).with_name("writer_process.py")


def run_and_kill(directory: Path, seed: str, seconds: float) -> tuple[int, int]:
    """Gives the newest numbers that were durable, and acknowledged by the reader."""
    process = subprocess.Popen(
        [sys.executable, WRITER, directory, seed], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    output = process.stdout.readline()
    os.set_blocking(process.stdout.fileno(), False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        output += process.stdout.read() or b""
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, process.stderr.read().decode()
    os.set_blocking(process.stdout.fileno(), True)
    output += process.stdout.read()
    process.stdout.close()
    process.stderr.close()
    lines = output.splitlines()
    assert lines[0] == b"ready"
    durable = [int(line[2:]) for line in lines if line.startswith(b"a ")]
    delivered = [int(line[2:]) for line in lines if line.startswith(b"c ")]
    assert durable == sorted(durable)
    assert delivered == sorted(delivered)
    return max(durable, default=0), max(delivered, default=0)


@pytest.mark.parametrize("seed", range(4))
def test_what_was_acknowledged_survives_a_kill(journals: Any, drain: Any, seed: int) -> None:
    source = random.Random(seed)
    durable = delivered = 0
    for turn in range(4):
        now_durable, now_delivered = run_and_kill(
            journals.directory, f"{seed}.{turn}", source.uniform(0.0, 0.4)
        )
        durable, delivered = max(durable, now_durable), max(delivered, now_delivered)
    journal = journals()
    assert journal.recovery.previous == "unclean"
    newest = journal.last_record()
    written = int(newest.attributes["number"]) if newest is not None else 0
    assert written == journal.durable_sequence >= durable
    numbers = [
        int(str(record.attributes["number"]))
        for line in scan_lines(journals.directory)
        for record in decode_logs_data_json(line.data or b"damaged")
    ]
    assert numbers == list(range(1, written + 1)), "whole, in order, each once"
    left = drain(journal.reader("r"), 10_000)
    assert left == list(range(written - len(left) + 1, written + 1))
    assert written - len(left) >= delivered, "what was acknowledged does not come again"
    assert drain(journal.reader("new"), 10_000) == numbers
    assert set(journals.kinds()) <= {"torn_tail"}


def test_a_running_process_keeps_others_out_and_a_dead_one_does_not(journals: Any) -> None:
    process = subprocess.Popen([sys.executable, WRITER, journals.directory, "0"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(JournalLockedError, match=rf"\(pid {process.pid}\)"):
        journals()
    process.kill()
    process.wait(30)
    process.stdout.close()
    assert journals().recovery.previous == "unclean"
