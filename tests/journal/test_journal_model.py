"""A journal against a list: whatever is done to it, acknowledged records stay, in order, each once."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from otel_fim.journal import Journal, JournalNotice, JournalWriteError, commit, files, scan_lines
from otel_fim.journal.config import JournalConfig
from otel_fim.journal.cursor import SLOT_BYTES, cursor_path
from otel_fim.record import Record

READERS = ("a", "b/c")


def number_of(record: Record) -> int:
    return int(str(record.attributes["number"]))


class JournalMachine(RuleBasedStateMachine):
    """The model: records 1 to `written` have been appended, up to `acked[name]` each reader has acknowledged.

    Nothing is synced but by `flush`, by rotation and by closing, so a crash finds much that is not durable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="journal-model-"))
        self.directory = self.base / "0"
        self.crashes = 0
        self.written = 0
        self.acked = dict.fromkeys(READERS, 0)
        self.called: list[int] = []
        self.notices: list[JournalNotice] = []
        self.journal: Journal | None = None
        self.failing_syncs = 0
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(files, "sync_data", self.sync_data)
        self.patches.setattr(commit, "_RETRY_SECONDS", 0.01)

    @initialize(compression=st.booleans(), max_bytes=st.sampled_from([0, 30_000, 10**9]))
    def begin(self, compression: bool, max_bytes: int) -> None:
        self.config = JournalConfig.model_validate(
            {
                "segment_size": 4096,
                "sync_interval": 3600.0,
                "sync_records": 10**6,
                "compression": compression,
                "retention": {"max_bytes": max_bytes},
            }
        )
        self.open()

    def open(self) -> None:
        self.failing_syncs = 0
        self.journal = Journal.open(
            self.directory, self.config, logger=logging.getLogger("model"), notify=self.notices.append
        )
        self.readers = {name: self.journal.reader(name) for name in READERS}
        self.called = []

    # --- What is done to it ----------------------------------------------------------------------------

    @rule(count=st.integers(1, 30), body=st.integers(0, 2000))
    def append(self, count: int, body: int) -> None:
        assert self.journal is not None
        first = self.written + 1
        self.written += count
        records = [Record(body="x" * body, attributes={"number": n}) for n in range(first, self.written + 1)]
        last, called = self.written, self.called  # a crashed journal's callbacks are not the new one's
        while True:
            try:
                self.journal.append(records, on_durable=lambda: called.append(last))
                return
            except JournalWriteError:
                time.sleep(0.001)

    @rule()
    def flush(self) -> None:
        assert self.journal is not None
        assert self.journal.flush(30)
        assert self.journal.durable_sequence == self.written

    @rule(times=st.integers(1, 3))
    def lose_syncs(self, times: int) -> None:
        """The next fsyncs fail, of segments or of cursors."""
        self.failing_syncs = times

    def sync_data(self, descriptor: int) -> None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    @rule()
    def rotate(self) -> None:
        assert self.journal is not None
        self.journal._commit.rotate()
        assert self.journal.flush(30)

    @rule()
    def maintain(self) -> None:
        assert self.journal is not None
        self.journal.maintain()

    @rule(name=st.sampled_from(READERS), records=st.integers(1, 100), acknowledge=st.booleans())
    def read(self, name: str, records: int, acknowledge: bool) -> None:
        assert self.journal is not None
        durable = self.journal.durable_sequence
        batch = self.readers[name].read(records, 2**20, 0.0)
        if batch is None:
            assert self.acked[name] == durable
            return
        numbers = [number_of(record) for record in batch.records]
        assert numbers == list(range(self.acked[name] + 1, self.acked[name] + 1 + len(numbers)))
        assert numbers[-1] <= self.journal.durable_sequence
        assert len(numbers) == batch.record_count
        if acknowledge:
            self.readers[name].acknowledge(batch)
            self.acked[name] = numbers[-1]

    @rule()
    def reopen(self) -> None:
        assert self.journal is not None
        self.journal.close()
        assert self.called == sorted(self.called)
        assert not self.called or self.called[-1] == self.written
        self.open()
        assert self.journal.recovery.previous == "clean"
        assert self.journal.durable_sequence == self.written

    @rule(seed=st.integers(0, 2**32), power_cut=st.booleans())
    def crash(self, seed: int, power_cut: bool) -> None:
        """Goes on with a copy of the directory, from which a power cut takes what was not durable."""
        assert self.journal is not None
        source = random.Random(seed)
        old, state = self.journal, self.journal._state
        self.crashes += 1
        copy = self.base / str(self.crashes)
        with old._maintenance._pass, state.changed:
            durable, length = state.durable_next - 1, state.durable_length
            active = state.active.name
            shutil.copytree(self.directory, copy)
            saved = {n: (r.saved_record - 1, r._bookmark._file._saved_slot) for n, r in self.readers.items()}
        if power_cut:
            self.tear(copy / active, length, source)
            for name, (acked, slot) in saved.items():
                self.tear_cursor(cursor_path(copy / "cursors", name), 1 - slot, source)
                self.acked[name] = acked
        else:
            with (copy / active).open("ab") as file:
                file.write(b'{"resourceLogs":[{"resource":{}'[: source.randint(0, 30)])
        written = self.written
        self.directory = copy
        self.open()
        old.close()
        self.written = self.journal.durable_sequence
        assert self.journal.recovery.previous == "unclean"
        assert durable <= self.written <= written
        if not power_cut:
            assert self.written == written
        for name in READERS:
            assert self.acked[name] <= durable

    @staticmethod
    def tear(path: Path, durable: int, source: random.Random) -> None:
        """Some pages reached the disk, in any order, and some did not."""
        content = bytearray(path.read_bytes())
        del content[source.randint(durable, len(content)) :]
        for _ in range(source.randint(0, 3)):
            if durable < len(content):
                start = source.randint(durable, len(content) - 1)
                end = min(len(content), start + source.randint(1, 600))
                content[start:end] = b"\0" * (end - start)
        if source.random() < 0.5:
            content += source.randbytes(source.randint(0, 50)) + b"\n" * source.randint(0, 2)
        path.write_bytes(content)

    @staticmethod
    def tear_cursor(path: Path, unsaved_slot: int, source: random.Random) -> None:
        content = bytearray(path.read_bytes())
        start = unsaved_slot * SLOT_BYTES
        content[start : start + SLOT_BYTES] = source.choice([b"\0", b" ", b"x"]) * SLOT_BYTES
        path.write_bytes(content)

    # --- What must hold --------------------------------------------------------------------------------

    @precondition(lambda self: self.journal is not None)
    @invariant()
    def holds(self) -> None:
        assert self.journal is not None
        newest = self.journal.last_record()
        assert (number_of(newest) if newest is not None else 0) == self.written
        assert all(last <= self.journal.durable_sequence for last in self.called)
        for name, reader in self.readers.items():
            assert reader.pending_records == self.journal.durable_sequence - self.acked[name]
        assert self.journal.first_sequence <= min(self.acked.values()) + 1
        assert {notice.kind for notice in self.notices} <= {"torn_tail", "cursor_reset", "write_failed"}

    def teardown(self) -> None:
        if self.journal is not None:
            self.journal.close()
            firsts = [line.first for line in scan_lines(self.directory)]
            assert firsts == sorted(set(firsts))
            assert all(line.data is not None for line in scan_lines(self.directory))
        self.patches.undo()
        shutil.rmtree(self.base)


TestJournalModel = JournalMachine.TestCase
TestJournalModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
