"""The kernel's accounting of ended processes: the messages, and what may be concluded from them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.host.cache import BoundedCache
from otel_fim.host.exits import ExitAccounting, attributes, parse
from otel_fim.host.programs import Programs

FAMILY = 31


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(
    pid: int, parent: int, user: int, command: bytes, version: int = 13, family: int = FAMILY
) -> bytes:
    stats = bytearray(416)
    struct.pack_into("=H", stats, 0, version)
    struct.pack_into("=32s", stats, 80, command)
    struct.pack_into("=IIII", stats, 120, user, 0, pid, parent)
    struct.pack_into("=I12xQQ", stats, 368, pid, 65024, 4711)
    body = struct.pack("=BBH", 2, 1, 0) + attribute(
        4, attribute(1, struct.pack("=I", pid)) + attribute(3, bytes(stats))
    )
    return struct.pack("=IHHII", 16 + len(body), family, 0, 0, 0) + body


NUMBERS = st.integers(0, 2**32 - 1)


@given(NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=31).filter(lambda name: b"\0" not in name))
def test_messages_come_back(pid: int, parent: int, user: int, command: bytes) -> None:
    (record,) = parse(message(pid, parent, user, command), FAMILY, 5)
    assert record == (5, pid, pid, parent, user, command, 65024, 4711)
    (older,) = parse(message(pid, parent, user, command, version=8), FAMILY, 5)
    assert older == (5, pid, 0, parent, user, command, 0, 0)
    assert not list(parse(message(pid, parent, user, command, family=FAMILY + 1), FAMILY, 5))


@given(st.binary(max_size=300), st.integers(0, 600))
def test_noise_never_raises(noise: bytes, cut: int) -> None:
    list(parse(noise, int.from_bytes(noise[4:6], "little"), 0))
    list(parse(message(1, 2, 3, b"x")[:cut] + noise, FAMILY, 0))
    list(attributes(noise))


@pytest.fixture
def accounting() -> Iterator[ExitAccounting]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    accounting = ExitAccounting(buffer_bytes=16_384)
    yield accounting
    accounting.close()


@pytest.mark.root
def test_a_full_buffer_ends_all_certainty(accounting: ExitAccounting) -> None:
    since = time.monotonic_ns()
    with subprocess.Popen(["true"]) as process:
        pass
    assert accounting.find(process.pid, since) is not None
    subprocess.run(
        ["sh", "-c", "i=0; while [ $i -lt 300 ]; do (exit 0); i=$((i + 1)); done"], check=True, timeout=60
    )
    assert accounting.find(process.pid, since) is None
    now = time.monotonic_ns()
    with subprocess.Popen(["true"]) as process:
        pass
    found = accounting.find(process.pid, now)
    assert found is not None
    assert found.command == "true"


@pytest.mark.root
def test_what_ended_before_is_not_found(accounting: ExitAccounting) -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    accounting.drain()
    assert accounting.find(process.pid, time.monotonic_ns()) is None


def test_programs_are_found_only_where_they_are(tmp_path: Path) -> None:
    programs = Programs()
    sleep = os.path.realpath(shutil.which("sleep") or "/bin/sleep")
    status = os.stat(sleep)
    assert programs.path(status.st_dev, status.st_ino) == os.fsencode(sleep)
    assert programs.path(0, 0) is None
    own = tmp_path / "own"
    own.write_text("x")
    status = own.stat()
    assert programs.path(status.st_dev, status.st_ino) is None
    programs.learn(str(own), os.fsencode(own))
    assert programs.path(status.st_dev, status.st_ino) == os.fsencode(own)
    own.rename(tmp_path / "moved")
    own.write_text("another")
    assert programs.path(status.st_dev, status.st_ino) is None


@given(st.lists(st.tuples(st.sampled_from("gpd"), st.integers(0, 40))), st.integers(1, 10))
def test_the_cache_keeps_the_newest_and_stays_small(steps: list[tuple[str, int]], size: int) -> None:
    cache: BoundedCache[int, int] = BoundedCache(size)
    used: list[int] = []
    for step, key in steps:
        if step == "d":
            cache.discard(key)
            used = [each for each in used if each != key]
            assert cache.get(key) is None
            continue
        if step == "p":
            cache.put(key, key)
        elif cache.get(key) is None:
            assert key not in used[-size:]
            continue
        used = [each for each in used if each != key] + [key]
        assert len(cache) <= 2 * size
        for each in used[-size:]:
            assert (each, each) in cache.items()
    cache.clear()
    assert len(cache) == 0
