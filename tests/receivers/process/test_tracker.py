"""What events make of the process table, against a model. The pids are beyond what kernels give out, so that /proc
knows nothing of them: what is known comes from the events alone."""

from __future__ import annotations

import os
import subprocess
import time

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from otel_fim.host.process import MAX_ANCESTORS
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import cn_proc
from otel_fim.receivers.process.cn_proc import EXEC, EXIT, FORK, GID, SID, UID, ProcEvent
from otel_fim.receivers.process.happening import Happening
from otel_fim.receivers.process.tracker import FORK_PATIENCE_NANOSECONDS, Tracker

FAR = 10_000_000
PIDS = st.integers(FAR, FAR + 5)
GAP = 50_000_000
"""Between events: pids do not come round within two clock ticks."""


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = ProcessTable(256)
        self.table.feed_with(lambda: None)
        self.told: list[Happening] = []
        self.tracker = Tracker(self.table, self.told.append, own_pid=1)
        self.now = time.monotonic_ns()
        self.running: dict[int, dict[str, object]] = {}
        self.expected: list[tuple[str, int]] = []
        self.starts = 0

    def event(self, what: int, pid: int, first: int = 0, second: int = 0) -> None:
        self.now += GAP
        self.tracker.handle(ProcEvent(what, self.now, pid, first, second))

    def end(self, pid: int) -> None:
        gone = self.running.pop(pid)
        if not gone["told"]:
            self.expected.append(("fork", pid))
        self.expected.append(("exit", pid))

    @rule(parent=PIDS, child=PIDS)
    def fork(self, parent: int, child: int) -> None:
        if parent == child:
            return
        if child in self.running:
            # Its end was lost: a pid is given again only after that.
            self.end(child)
        self.event(FORK, child, parent)
        known = self.running.get(parent, {"user": None, "depth": -1})
        self.running[child] = {
            "parent": parent,
            "user": known["user"],
            "depth": min(int(str(known["depth"])) + 1, MAX_ANCESTORS),
            "told": False,
            "execs": 0,
        }
        self.starts += 1

    @rule(pid=PIDS)
    def exec(self, pid: int) -> None:
        if pid in self.running:
            self.event(EXEC, pid)
            self.running[pid]["told"] = True
            self.expected.append(("exec", pid))

    @rule(pid=PIDS, user=st.integers(0, 3))
    def change_user(self, pid: int, user: int) -> None:
        self.event(UID, pid, user, user)
        if pid in self.running:
            self.running[pid]["user"] = user

    @rule(pid=PIDS)
    def other_changes(self, pid: int) -> None:
        self.event(GID, pid, 5, 5)
        self.event(SID, pid)

    @rule(pid=PIDS, status=st.sampled_from([0, 256, 9]))
    def exit(self, pid: int, status: int) -> None:
        if pid in self.running:
            self.event(EXIT, pid, status)
            self.end(pid)
            assert self.told[-1].process.exit_status == status

    @invariant()
    def all_is_told_once_and_in_order(self) -> None:
        assert [(each.action, each.process.pid) for each in self.told] == self.expected
        exits = [each.process.entity_id for each in self.told if each.action == "exit"]
        assert len(exits) == len(set(exits))

    @invariant()
    def the_table_knows_who_runs(self) -> None:
        assert {each.pid for each in self.table.running()} == set(self.running)
        assert len(self.tracker) == len(self.running)
        for pid, known in self.running.items():
            process = self.table.known(pid)
            assert process is not None
            assert process.parent_pid == known["parent"]
            assert process.effective_user_id == known["user"]
            assert len(process.ancestors) == known["depth"]
            assert len(process.ancestors) <= MAX_ANCESTORS


TestTracker = Model.TestCase
TestTracker.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


class Lost(RuleBasedStateMachine):
    """Events in any order, for any pid: nothing raises, nothing grows."""

    def __init__(self) -> None:
        super().__init__()
        self.table = ProcessTable(8)
        self.told: list[Happening] = []
        self.tracker = Tracker(self.table, self.told.append, own_pid=1)
        self.events = 0

    @rule(
        what=st.sampled_from([FORK, EXEC, EXIT, UID, GID, SID]),
        pid=st.one_of(PIDS, st.integers(0, 2**32 - 1)),
        first=st.one_of(PIDS, st.integers(0, 2**32 - 1)),
        second=st.integers(0, 2**32 - 1),
        time_ns=st.one_of(st.integers(0, 2**63), st.just(time.monotonic_ns())),
    )
    def event(self, what: int, pid: int, first: int, second: int, time_ns: int) -> None:
        if pid < FAR or (what == FORK and first < FAR):
            # Real processes are another test's matter.
            return
        self.tracker.handle(ProcEvent(what, time_ns, pid, first, second))
        self.events += 1

    @rule()
    def time_passes(self) -> None:
        self.tracker.due()

    @invariant()
    def bounded(self) -> None:
        assert len(self.table) <= 8
        assert len(self.tracker) <= 256
        assert len(self.told) <= 3 * self.events


TestLost = Lost.TestCase
TestLost.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_fork_without_a_program_is_told_after_a_while() -> None:
    table, told = ProcessTable(), list[Happening]()
    tracker = Tracker(table, told.append, own_pid=1)
    started = time.monotonic_ns()
    tracker.handle(ProcEvent(cn_proc.FORK, started, FAR, FAR + 1))
    due = tracker.due()
    assert due == started + FORK_PATIENCE_NANOSECONDS
    assert not told
    deadline = time.monotonic() + 20
    while tracker.due() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [each.action for each in told] == ["fork"]
    tracker.handle(ProcEvent(cn_proc.EXEC, time.monotonic_ns(), FAR))
    tracker.handle(ProcEvent(cn_proc.EXIT, time.monotonic_ns(), FAR, 0))
    assert [each.action for each in told] == ["fork", "exec", "exit"]
    assert len({each.process.entity_id for each in told}) == 1


def test_its_own_are_not_told() -> None:
    table, told = ProcessTable(), list[Happening]()
    tracker = Tracker(table, told.append, own_pid=FAR)
    now = time.monotonic_ns()
    tracker.handle(ProcEvent(cn_proc.FORK, now, FAR + 1, FAR))
    tracker.handle(ProcEvent(cn_proc.FORK, now, FAR + 2, FAR + 1))
    for pid in (FAR + 2, FAR + 1):
        tracker.handle(ProcEvent(cn_proc.EXEC, now, pid))
        tracker.handle(ProcEvent(cn_proc.EXIT, now, pid, 0))
    assert not told
    assert len(table) == 2


def test_kernel_threads_are_not_told_until_they_start_a_program() -> None:
    table, told = ProcessTable(), list[Happening]()
    tracker = Tracker(table, told.append, own_pid=1)
    now = time.monotonic_ns()
    tracker.handle(ProcEvent(cn_proc.FORK, now, FAR, 2))
    tracker.handle(ProcEvent(cn_proc.EXIT, now, FAR, 0))
    assert not told
    tracker.handle(ProcEvent(cn_proc.FORK, now + GAP, FAR + 1, 2))
    tracker.handle(ProcEvent(cn_proc.EXEC, now + GAP, FAR + 1))
    tracker.handle(ProcEvent(cn_proc.EXIT, now + GAP, FAR + 1, 0))
    assert [each.action for each in told] == ["exec", "exit"]


def test_what_was_forgotten_to_make_room_is_not_told_again() -> None:
    """More processes than the table has room for: a later look tells only of what has started since."""
    table, told = ProcessTable(256), list[Happening]()
    tracker = Tracker(table, told.append, own_pid=-1)
    with subprocess.Popen(["sleep", "60"]) as process:
        before = time.time_ns()
        tracker.compare([process.pid], None)
        for number in range(300):
            tracker.handle(ProcEvent(cn_proc.FORK, time.monotonic_ns(), FAR + number, FAR - 1))
        told.clear()
        tracker.compare([process.pid], "exec", before + GAP)
        assert "exec" not in {each.action for each in told}
        tracker.compare([], None)
        tracker.compare([process.pid], "exec", before - GAP)
        assert told[-1].action == "exec"
        process.kill()


def test_kernel_threads_are_not_taken_for_ended() -> None:
    table = ProcessTable()
    kernel_thread = table.find(2)
    if kernel_thread is None:
        return
    tracker = Tracker(table, list[Happening]().append, own_pid=1)
    tracker.compare([2, os.getpid()], "scan")
    assert table.known(2) == kernel_thread
    assert len(tracker) == 1
