"""The receiver against a model: files come, change and go, the agent is stopped and killed at any moment, and what the
records say in the end is what is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from otel_fim import names
from otel_fim.names import events
from otel_fim.record import Record

NAMES = st.sampled_from(["one", "two", "three"])
CONTENTS = st.lists(st.integers(0, 5), min_size=0, max_size=3)


class Model(RuleBasedStateMachine):
    """Records that are durable are written down in `journal`; those held back are lost in a crash."""

    bench_type: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.bench = self.bench_type(Path(self.directory.name))
        (self.bench.root / "etc/cron.d").mkdir()
        self.write("one", [1])
        self.said: dict[str, str] = self.there()
        """What the records say is there: content hash by id."""
        self.waiting: list[Record] = []
        self.bench.pipeline.durable = False
        self.start()

    def write(self, name: str, jobs: list[int]) -> None:
        # One job a file: its id then stays what it is, and the records can be replayed by id.
        if jobs:
            self.bench.write(f"/etc/cron.d/{name}", f"{jobs[0]} * * * * root /bin/job\n")
        else:
            (self.bench.root / "etc/cron.d" / name).unlink(missing_ok=True)

    def there(self) -> dict[str, str]:
        return {
            f"/etc/cron.d/{path.name}:1": path.read_text().split()[0]
            for path in (self.bench.root / "etc/cron.d").iterdir()
        }

    def start(self) -> None:
        self.bench.start(kinds=["cron"])
        self.collect()

    def collect(self) -> None:
        self.waiting += self.bench.pipeline.take()

    def to_disk(self, count: int) -> None:
        for record in self.waiting[:count]:
            name = str(record.attributes[names.OTEL_FIM_PERSISTENCE_ID])
            if record.event_name == events.PERSISTENCE_REMOVED:
                self.said.pop(name, None)
            else:
                self.said[name] = str(record.attributes[names.OTEL_FIM_PERSISTENCE_TRIGGER]).split()[0]
        del self.waiting[:count]

    @rule(name=NAMES, jobs=CONTENTS)
    def change(self, name: str, jobs: list[int]) -> None:
        self.write(name, jobs)

    @rule()
    def scan(self) -> None:
        self.bench.engine.scan()
        self.bench.engine.look_at_what_waits()
        self.collect()

    @rule(name=NAMES)
    def file_event(self, name: str) -> None:
        self.bench.engine.heard([self.bench.file_event(f"/etc/cron.d/{name}")])
        self.bench.engine.look_at_what_waits()
        self.collect()

    @rule()
    def everything_becomes_durable(self) -> None:
        self.to_disk(len(self.waiting))
        held, self.bench.pipeline.held = self.bench.pipeline.held, []
        for call in held:
            call()

    @rule(share=st.floats(0, 1))
    def kill(self, share: float) -> None:
        """Some of the records are on disk, and nobody has been told so."""
        self.to_disk(round(share * len(self.waiting)))
        self.waiting.clear()
        self.bench.stop(crash=True)
        self.start()

    @rule()
    def restart(self) -> None:
        self.everything_becomes_durable()
        self.bench.stop()
        self.start()

    @invariant()
    def nothing_is_lost(self) -> None:
        """Looked at from here: after a scan, and all of it on disk, the records say what is there."""
        said, waiting = dict(self.said), list(self.waiting)
        for record in waiting:
            name = str(record.attributes[names.OTEL_FIM_PERSISTENCE_ID])
            if record.event_name == events.PERSISTENCE_REMOVED:
                said.pop(name, None)
            else:
                said[name] = str(record.attributes[names.OTEL_FIM_PERSISTENCE_TRIGGER]).split()[0]
        known = {i.id: i.trigger.split()[0] for i in self.bench.engine._book.known("cron").values()}
        assert said == known

    def teardown(self) -> None:
        try:
            self.scan()
            self.everything_becomes_durable()
            assert self.said == self.there()
        finally:
            self.bench.stop()
            self.directory.cleanup()


def test_what_the_records_say_in_the_end_is_what_is_there(bench: Any) -> None:
    class Bound(Model):
        bench_type = type(bench)

    Bound.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    Bound.TestCase().runTest()
