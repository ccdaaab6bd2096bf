"""A reader that is killed again and again loses nothing of a log that is written and rotated meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from otel_fim.receivers.auth.sources.detect import linux_sources

_AGENT = """
import json, os, sys, threading
from otel_fim.receivers.auth.sources.text_log import TextLogSource

directory = sys.argv[1]
kept = os.path.join(directory, "position")
durable = open(os.path.join(directory, "durable"), "a")
ended = threading.Event()

class Sink:
    def entries(self, entries, position):
        # The records first, then the position: what the receiver does.
        for entry in entries:
            print(entry.identity, entry.message, file=durable, flush=True)
            if entry.message == "end":
                ended.set()
        with open(kept + ".new", "w") as file:
            json.dump(position, file)
        os.replace(kept + ".new", kept)
    def rejected(self, reason, count=1):
        print("- rejected", reason, file=durable, flush=True)
    def gap(self, *told):
        print("- gap", told, file=durable, flush=True)
    def restored(self, *told):
        pass

position = json.load(open(kept)) if os.path.exists(kept) else None
source = TextLogSource(os.path.join(directory, "auth.log"), start_at="beginning")
source.start(Sink(), position)
ended.wait()
source.stop(30)
"""
_LINES = 3000
_ROTATED_AT = (700, 1500, 2200)


def test_kill_after_kill(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_text("")
    durable = tmp_path / "durable"
    durable.write_text("")

    def agent() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _AGENT, str(tmp_path)])

    running = agent()
    # The first of all positions: without one nothing says which earlier files belong to the log's unread part.
    deadline = time.monotonic() + 30
    while not (tmp_path / "position").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed = size = 0
    for number in range(_LINES):
        if number in _ROTATED_AT:
            for old in (2, 1):
                if os.path.exists(f"{path}.{old}"):
                    os.rename(f"{path}.{old}", f"{path}.{old + 1}")
            path.rename(f"{path}.1")
        with path.open("a") as file:
            file.write(f"Nov 21 00:01:02 host sshd[1]: line {number}\n")
        if number % 500 == 499:
            wait_until_longer(durable, size)
            running.kill()
            running.wait(30)
            killed += 1
            size = durable.stat().st_size
            running = agent()
    with path.open("a") as file:
        file.write("Nov 21 00:01:02 host sshd[1]: end\n")
    assert running.wait(60) == 0
    told = [line.split(" ", 1) for line in durable.read_text().splitlines()]
    assert [words for identity, words in told if identity == "-"] == []
    assert {words for _, words in told} == {f"line {number}" for number in range(_LINES)} | {"end"}
    # What came twice is recognised.
    assert len({identity for identity, _ in told}) == _LINES + 1
    assert killed == 6


def wait_until_longer(path: Path, size: int) -> None:
    deadline = time.monotonic() + 30
    while path.stat().st_size <= size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_sources_of_a_host(tmp_path: Path) -> None:
    everything = linux_sources()
    assert [source.name for source in everything] == [
        "journald",
        "/var/log/auth.log",
        "/var/log/secure",
        "wtmp",
        "btmp",
        "utmp",
        "audit",
    ]
    for source in everything:
        reason = source.available()
        assert reason is None or (reason and not reason.endswith("."))
        assert source.stop(1)
    few = linux_sources(
        journald=False, text_logs=[str(tmp_path / "x")], wtmp=None, btmp=None, utmp=None, audit=False
    )
    assert [source.name for source in few] == [str(tmp_path / "x")]
