"""Names of users that hang, the order of what waits, the store's numbers."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.host.identities import Identities
from otel_fim.receivers.file_integrity.backend import Actor, Change, Hint
from otel_fim.receivers.file_integrity.baseline import Baseline, database_size
from otel_fim.receivers.file_integrity.metadata import FileState, compare, from_stat, same_metadata
from otel_fim.receivers.file_integrity.pending import SCAN, PendingPaths


def test_names_are_looked_up_once() -> None:
    asked = []

    def look_up(number: int) -> str:
        asked.append(number)
        if number == 404:
            raise KeyError(number)
        return f"user{number}"

    identities = Identities(user_lookup=look_up)
    assert [identities.user(7) for _ in range(3)] == ["user7"] * 3
    assert identities.user(404) is None
    assert identities.user(404) is None
    assert identities.user(None) is None
    assert asked == [7, 404]
    assert identities.group(0) == "root"
    identities.close()


def test_a_look_up_that_hangs_holds_nobody_up_for_long() -> None:
    let_go = threading.Event()
    calls = []

    def hang(number: int) -> str:
        calls.append(number)
        let_go.wait(20)
        return "late"

    identities = Identities(user_lookup=hang, patience=0.05)
    for number in range(1000):
        # One wait of 0.05 s for the first; if each waited, the test would run into its time limit.
        assert identities.user(number) is None
    let_go.set()
    deadline = time.monotonic() + 10
    while identities.user(999) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert identities.user(999) == "late"
    identities.close()


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def hint(path: bytes, change: Change = Change.CONTENT, **more: object) -> Hint:
    return Hint(path, change, 1, **more)  # type: ignore[arg-type]


def test_a_path_is_due_when_it_has_been_quiet() -> None:
    clock = Clock()
    waiting = PendingPaths(settle=1.0, limit=10, clock=clock)
    waiting.add_hints("x", [hint(b"/a")])
    clock.now = 900_000_000
    waiting.add_hints("x", [hint(b"/a", Change.ATTRIBUTES)])
    clock.now = 1_500_000_000
    assert waiting.take_due(10, 0) == []
    clock.now = 1_900_000_000
    ((path, item),) = waiting.take_due(10, 0)
    assert path == b"/a"
    assert item.change == (Change.CONTENT | Change.ATTRIBUTES).value


def test_a_path_that_is_never_quiet_is_due_all_the_same() -> None:
    clock = Clock()
    waiting = PendingPaths(settle=1.0, limit=10, clock=clock)
    for tick in range(25):
        clock.now = tick * 500_000_000
        waiting.add_hints("x", [hint(b"/a")])
        if waiting.take_due(10, 0):
            break
    assert clock.now == 10_000_000_000


def test_both_ends_of_a_rename_come_together() -> None:
    clock = Clock()
    waiting = PendingPaths(settle=1.0, limit=10, clock=clock)
    waiting.add_hints("x", [hint(b"/a", Change.CREATED)])
    clock.now = 500_000_000
    waiting.add_hints("x", [hint(b"/b", Change.MOVED_TO, old_path=b"/a")])
    clock.now = 1_100_000_000
    assert waiting.take_due(10, 0) == []
    clock.now = 1_600_000_000
    taken = dict(waiting.take_due(10, 0))
    assert set(taken) == {b"/a", b"/b"}
    assert taken[b"/b"].old_path == b"/a"
    assert taken[b"/a"].moved_to == b"/b"


def test_no_more_than_the_limit_waits() -> None:
    waiting = PendingPaths(settle=1.0, limit=3)
    assert waiting.add_hints("x", [hint(b"/1"), hint(b"/2"), hint(b"/3"), hint(b"/3")])
    assert not waiting.add_hints("x", [hint(b"/4"), hint(b"/1")])
    assert len(waiting) == 3
    assert not waiting.add(b"/5", SCAN, 0, 1)
    assert waiting.add(b"/5", SCAN, 0, 1, force=True)


def test_an_event_outweighs_a_comparison() -> None:
    waiting = PendingPaths(settle=0.0, limit=3)
    waiting.add(b"/a", SCAN, 0, 1, while_down=True)
    waiting.add_hints("fanotify", [hint(b"/a", actor=Actor(7))])
    ((_, item),) = waiting.take_due(5, 0)
    assert (item.backend, item.while_down, item.writer()) == ("fanotify", False, Actor(7))


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.booleans(), st.sampled_from(list(Change))), max_size=12)
)
def test_the_last_writer_counts_and_nobody_is_forgotten(steps: list[tuple[int, bool, Change]]) -> None:
    waiting = PendingPaths(settle=0.0, limit=3)
    for pid, exited, change in steps:
        waiting.add_hints("x", [hint(b"/a", change, actor=Actor(pid, exited=exited))])
    if not steps:
        return
    ((_, item),) = waiting.take_due(5, 0)
    wrote = [p for p, _, c in steps if c in (Change.CREATED, Change.CONTENT, Change.MOVED_TO)]
    writer = item.writer()
    assert writer is not None
    if wrote:
        assert writer.pid == wrote[-1]
    named = {actor.pid for actor in item.actors if actor is not None} | {a.pid for a in item.other_actors}
    assert named == {pid for pid, _, _ in steps}
    # What was read of a process while it lived is kept.
    for actor in item.actors:
        if actor is not None and actor.exited:
            assert all(exited for pid, exited, _ in steps[:1] if pid == actor.pid)


NUMBER = st.integers(0, 2**64 - 1)
TIME = st.integers(-(2**63), 2**63 - 1)


@given(
    ino=NUMBER, dev=NUMBER, mtime=TIME, name=st.binary(min_size=1, max_size=9).filter(lambda n: b"/" not in n)
)
def test_a_state_comes_back_from_the_store_as_it_went_in(ino: int, dev: int, mtime: int, name: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        baseline = Baseline(Path(directory, "b.db"))
        state = FileState(0o100644, dev, ino, 2**32 - 2, 0, 2**62, 1, mtime, 0, b"\0" * 32, None, None)
        baseline.apply([(b"/d/" + name, state, True, 1)])
        assert baseline.lookup(b"/d/" + name) == (1, state)
        baseline.apply([(b"/d/" + name, None, False, 2)])
        assert baseline.lookup(b"/d/" + name)[1] is None
        assert database_size(baseline.path) > 0
        baseline.close()


def test_times_beyond_what_fits_are_held(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    try:
        os.utime(tmp_path / "f", ns=(2**34 * 10**9, 2**34 * 10**9 - 5))
    except OSError:
        pytest.skip("this file system does not hold such a time")
    found = os.lstat(tmp_path / "f")
    state = from_stat(found)
    assert -(2**63) <= state.mtime_ns < 2**63
    assert same_metadata(state, found)


def test_a_device_number_is_not_a_difference() -> None:
    state = FileState(0o100644, 1, 2, 0, 0, 3, 1, 4, 5, b"h" * 32)
    assert not compare(state, state._replace(dev=9)).attributes
    assert compare(state, state._replace(ino=9)).replaced
    directory = state._replace(mode=0o040755, sha256=None)
    assert not compare(directory, directory._replace(size=9, nlink=9, mtime_ns=9, ctime_ns=9)).attributes
    unhashed = state._replace(sha256=None, unhashed=2)
    assert compare(unhashed, unhashed._replace(mtime_ns=9)).content
    assert not compare(unhashed, unhashed._replace(ctime_ns=9)).content
    assert names.FILE_TYPE in compare(directory, state).attributes
