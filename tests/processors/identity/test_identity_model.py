"""Histories of forks, execs, exits and pids that are given again: no record is ever given another one's process."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.identity import IdentityConfig, IdentityProcessor
from otel_fim.record import EMPTY_SCOPE, Record, Resource

FIRST_PID = 4_200_000
TICK = 10_000_000
MILLISECOND = 1_000_000
MOMENT = 1_000
SECOND = 1_000_000_000
REUSE = 40 * MILLISECOND
"""The least time before a pid comes round: far less than a kernel needs."""
BEGIN = 2_000_000_000 * SECOND


@dataclass
class Life:
    """What really happened to one process: programs with the time from which it ran them."""

    pid: int
    created: int
    user: int
    programs: list[tuple[int, str]] = field(default_factory=list)
    ended: int | None = None

    @property
    def creation(self) -> int:
        return self.created // TICK * TICK

    def program_at(self, when: int) -> str:
        return [path for since, path in self.programs if since <= when][-1]


class Histories(RuleBasedStateMachine):
    @initialize(limit=st.sampled_from([2, 5, 100, 100]))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.table = ProcessTable(limit)
        self.table.feed_with(lambda: None)
        self.now = BEGIN + 10 * SECOND
        # What its feeder says is true from the present time of this history on.
        self.table._fed_since = BEGIN
        self.lives: list[Life] = []
        self.running: dict[int, Life] = {}
        self.free_since: dict[int, int] = {}
        self.told: list[tuple[int, Process]] = []
        self.count = 0
        context = ProcessorContext(
            id="identity",
            kind="processor",
            state_directory=Path("state"),
            service_directory=Path("state"),
            agent_directories=(),
            resource=Resource(),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test"),
            report=lambda health, message: None,
            count=lambda *args, **kwargs: None,
            processes=self.table,
            pipeline="logs",
            last_record=lambda: None,
        )
        config = IdentityConfig.model_validate({"patience": 0})
        self.processor = IdentityProcessor(config, context, clock=lambda: self.now)

    def teardown(self) -> None:
        self.processor.stop(1)

    def tell(self, life: Life) -> None:
        since, path = life.programs[-1]
        process = Process(
            life.pid,
            life.creation,
            self.table.entity_id(life.pid, life.creation),
            executable_path=path,
            effective_user_id=life.user,
            session_id=life.user,
            login_user_id=life.user,
            ended_unix_nano=life.ended,
            exit_status=None if life.ended is None else 0,
            program_unix_nano=since,
        )
        self.told.append((self.now, process))

    @rule(number=st.integers(0, 1), milliseconds=st.sampled_from([1, 7, 30, 700]))
    def run_and_end(self, number: int, milliseconds: int) -> None:
        """A whole life, and time enough for the pid to come round."""
        pid = FIRST_PID + number
        if pid in self.running:
            self.end(pid)
            self.now += REUSE
        self.fork(number)
        if pid in self.running:
            self.now += milliseconds * MILLISECOND
            self.end(pid)
        self.now += REUSE

    @rule(milliseconds=st.sampled_from([1, 7, 30, 100, 700, 2500, 5000]))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds * MILLISECOND

    @rule(number=st.integers(0, 1))
    def fork(self, number: int) -> None:
        self.now += MOMENT
        pid = FIRST_PID + number
        if pid in self.running or self.now - self.free_since.get(pid, 0) < REUSE:
            return
        self.count += 1
        # The user is the process's mark: no two have the same one.
        life = Life(pid, self.now, 100_000 + self.count, [(self.now, f"/bin/shell{self.count}")])
        self.lives.append(life)
        self.running[pid] = life
        self.tell(life)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def execve(self, data: st.DataObject) -> None:
        self.now += MOMENT
        life = data.draw(st.sampled_from(sorted(self.running.values(), key=lambda each: each.pid)))
        life.programs.append((self.now, f"/bin/program{self.count}-{len(life.programs)}"))
        self.tell(life)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.running))))

    def end(self, pid: int) -> None:
        self.now += MOMENT
        life = self.running.pop(pid)
        life.ended = self.now
        self.free_since[pid] = self.now
        self.tell(life)

    @rule(share=st.sampled_from([0.5, 1.0, 1.0, 1.0]))
    def feed(self, share: float) -> None:
        """The feeder takes in the oldest of what it was told, or all of it."""
        self.now += MOMENT
        whole = share == 1.0
        taken = self.told if whole else self.told[: int(len(self.told) * share)]
        self.told = [] if whole else self.told[len(taken) :]
        for _, process in taken:
            self.table.put(process)
        if whole:
            self.table.fed(self.now)
        elif taken:
            self.table.fed(min(taken[-1][0], self.told[0][0] if self.told else taken[-1][0]) - 1)

    @rule(losing=st.sampled_from([False, False, False, True]))
    def lose(self, losing: bool) -> None:
        """The feeder loses what it has not taken in, and looks anew at what runs."""
        if not losing:
            self.feed(1.0)
            return
        self.now += MOMENT
        self.told = []
        self.table.feed_with(lambda: None)
        self.table._fed_since = self.now
        for process in self.table.running():
            if process.pid not in self.running or self.running[process.pid].user != process.effective_user_id:
                self.table.put(replace(process, ended_unix_nano=self.now))
        for life in self.running.values():
            self.tell(life)
        self.feed(1.0)

    @precondition(lambda self: self.lives)
    @rule(
        data=st.data(),
        event=st.sampled_from(
            [events.FILE_MODIFIED, events.PERSISTENCE_ADDED, events.AUTH_PRIVILEGE, events.PROCESS_STARTED]
        ),
        late=st.sampled_from([0, 1, 20, 200, 1000, 2900]),
        with_creation=st.booleans(),
        with_program=st.booleans(),
        fed=st.sampled_from([True, True, True, False]),
    )
    def record(
        self, data: st.DataObject, event: str, late: int, with_creation: bool, with_program: bool, fed: bool
    ) -> None:
        """A process does something, and a record tells of it `late` milliseconds after that."""
        self.now += MOMENT
        if event == events.PROCESS_STARTED:
            late, with_creation = 0, True
        if event == events.AUTH_PRIVILEGE:
            late = min(late, 400)
        reach = [
            life for life in self.lives[-5:] if life.ended is None or life.ended > self.now - 30 * SECOND
        ]
        if not reach:
            return
        life = data.draw(st.sampled_from(reach))
        did = life.created + data.draw(st.integers(0, (life.ended or self.now) - life.created))
        when = did + late * MILLISECOND
        self.now = max(self.now, when)
        if fed:
            self.feed(1.0)
        attributes: dict[str, Any] = {names.PROCESS_PID: life.pid}
        if life.ended is not None:
            attributes[names.OTEL_FIM_ACTOR_STATE] = data.draw(st.sampled_from(["exited", "running"]))
        if with_creation:
            attributes[names.PROCESS_CREATION_TIME] = timestamp(life.creation)
        program = life.program_at(did)
        if with_program:
            attributes[names.PROCESS_EXECUTABLE_PATH] = program
        seen = self.now
        if attributes.get(names.OTEL_FIM_ACTOR_STATE) == "exited":
            assert life.ended is not None
            seen = max(when, life.ended)
            seen += data.draw(st.integers(0, self.now - seen))
        record = Record(when, seen, event_name=event, attributes=attributes)
        self.processor.process([record])
        entity = record.attributes.get(names.PROCESS_ENTITY_ID)
        assert entity in (None, self.table.entity_id(life.pid, life.creation))
        for name in (names.PROCESS_USER_ID, names.OTEL_FIM_LOGIN_SESSION_ID, names.OTEL_FIM_LOGIN_USER_ID):
            assert record.attributes.get(name) in (None, life.user)
        path = record.attributes.get(names.PROCESS_EXECUTABLE_PATH)
        if with_program:
            assert path == program
        else:
            assert path in (None, *(each for since, each in life.programs if did <= since <= when), program)
            assert path is None or path in {each for _, each in life.programs}

    @invariant()
    def bounded(self) -> None:
        assert len(self.table) <= self.limit


Histories.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestHistories = Histories.TestCase
