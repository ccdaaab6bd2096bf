"""kill -9 in the middle of inserts: what was acknowledged is there, and no block is there in part."""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

BLOCK = 500


def insert_until_it_dies(store: Any, worker: int, acknowledged: list[tuple[int, int]]) -> None:
    """Blocks of `BLOCK` rows, each row with its worker's and its block's number."""
    block = 0
    while True:
        rows = b"".join(struct.pack("<IIH", worker, block, n) + b"\x10" + b"x" * 16 for n in range(BLOCK))
        try:
            answer = store.request(
                rows,
                parameters={"query": "INSERT INTO blocks FORMAT RowBinary", "query_id": f"{worker}-{block}"},
            )
        except OSError:
            return
        assert answer.status == 200, answer.text
        acknowledged.append((worker, block))
        block += 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_acknowledged_is_lost_and_nothing_is_partial(own_store: Any, seed: int) -> None:
    chance = random.Random(seed)
    own_store.start()
    own_store.query(
        "CREATE TABLE blocks (worker UInt32, block UInt32, n UInt16, filler String) "
        "ENGINE = MergeTree ORDER BY (worker, block, n)"
    )
    acknowledged: list[tuple[int, int]] = []
    for life in range(3):
        threads = [
            threading.Thread(target=insert_until_it_dies, args=(own_store, life * 10 + number, acknowledged))
            for number in range(3)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(acknowledged) < 10 * (life + 1):
            assert time.monotonic() < deadline, "no insert is answered"
            time.sleep(0.01)
        time.sleep(chance.random())
        own_store.end(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        own_store.start()
    text = own_store.query("SELECT worker, block, count(), uniqExact(n) FROM blocks GROUP BY worker, block")
    found = {}
    for line in text.splitlines():
        worker, block, count, different = map(int, line.split("\t"))
        found[worker, block] = (count, different)
    assert len(acknowledged) >= 30
    assert not [key for key in acknowledged if key not in found]
    assert set(found.values()) == {(BLOCK, BLOCK)}
    assert own_store.end() == 0


def test_leftovers_are_removed_and_the_rest_is_kept(own_store: Any) -> None:
    own_store.start()
    own_store.query("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    own_store.query("INSERT INTO t VALUES (1)")
    password = own_store.password()
    own_store.end(signal.SIGKILL)
    for leftover in ("tmp/leftover", "data/tmp/leftover"):
        (own_store.directory / leftover).write_bytes(b"x")
    own_store.start()
    assert not list((own_store.directory / "tmp").iterdir())
    assert not (own_store.directory / "data" / "tmp" / "leftover").exists()
    assert own_store.password() == password
    assert own_store.query("SELECT * FROM t") == "1\n"


def test_a_moved_directory_opens(own_store: Any) -> None:
    """Nothing in it names its place: a backup can be opened elsewhere."""
    own_store.start()
    own_store.query("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    own_store.query("INSERT INTO t VALUES (5)")
    assert own_store.end() == 0
    assert not own_store.address_file.exists()
    moved = own_store.directory.with_name("odd ?&=%name é")
    os.rename(own_store.directory, moved)
    own_store.directory = moved
    own_store.start()
    assert own_store.query("SELECT * FROM t") == "5\n"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_stops_inserts_and_nothing_else(own_store: Any, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], check=True, timeout=20)
    try:
        own_store.directory = small / "data"
        own_store.start()
        own_store.query("CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
        answers = [
            own_store.request("INSERT INTO t SELECT number, randomString(1000) FROM numbers(8000)")
            for _ in range(5)
        ]
        kept = sum(answer.status == 200 for answer in answers)
        assert 0 < kept < 5
        assert {answer.code for answer in answers if answer.status != 200} == {243}
        assert own_store.query("SELECT count() FROM t") == f"{kept * 8000}\n"
        remount = ["mount", "-o", "remount,size=128m", str(small)]
        subprocess.run(remount, check=True, timeout=20)
        assert (
            own_store.request("INSERT INTO t SELECT number, randomString(1000) FROM numbers(8000)").status
            == 200
        )
        assert own_store.end() == 0
    finally:
        if own_store.process is not None and own_store.process.poll() is None:
            own_store.process.kill()
            own_store.process.wait()
        subprocess.run(["umount", "--lazy", str(small)], check=True, timeout=20)
