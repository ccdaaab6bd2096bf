"""The receiver as a whole: file events, scans, restarts, what cannot be seen, what is left out."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from otel_fim import names
from otel_fim.component import Health, StartError, StoppingError
from otel_fim.names import events, metrics
from otel_fim.receivers.persistence import PersistenceReceiver
from otel_fim.receivers.persistence.config import PersistenceConfig
from otel_fim.receivers.persistence.kinds.cron import Cron
from otel_fim.receivers.persistence.records import path_of
from otel_fim.receivers.persistence.state import State
from otel_fim.record import Record, Resource

JOB = "17 * * * * root /usr/local/bin/backup --password=hunter2hunter2\n"
WHO = {
    names.PROCESS_PID: 4711,
    names.PROCESS_EXECUTABLE_PATH: "/usr/bin/vim",
    names.USER_NAME: "root",
    names.OTEL_FIM_LOGIN_USER_NAME: "alice",
}


def fields(record: Record, *wanted: str) -> list[object]:
    return [record.attributes.get(name) for name in wanted]


def test_a_file_event_names_who_did_it(bench: Any) -> None:
    bench.write("/etc/cron.d/other", JOB)
    bench.receiver()
    bench.write("/etc/cron.d/backup", "# mine\n\n" + JOB)
    bench.listeners[0]([bench.file_event("/etc/cron.d/backup", actor=WHO)])
    bench.pipeline.wait_for(lambda: bool(bench.pipeline.told()))
    [record] = bench.pipeline.take()
    assert record.event_name == events.PERSISTENCE_ADDED
    assert record.time_unix_nano == 1_700_000_000_000_000_000
    assert record.body == (
        "added cron job /etc/cron.d/backup:3: 17 * * * * root /usr/local/bin/backup --password=[REDACTED]"
    )
    attributes = record.attributes
    assert {name: attributes[name] for name in WHO} == WHO
    assert attributes[names.OTEL_FIM_PERSISTENCE_BACKEND] == "file_event"
    assert attributes[names.FILE_PATH] == f"{bench.root}/etc/cron.d/backup"
    assert names.OTEL_FIM_PERSISTENCE_WHILE_DOWN not in attributes


def test_only_the_file_of_the_event_is_read_again(bench: Any) -> None:
    engine = bench.start(kinds=["cron"])
    bench.write("/etc/cron.d/one", JOB)
    bench.write("/etc/cron.d/two", JOB)
    engine.heard([bench.file_event("/etc/cron.d/one")])
    engine.look_at_what_waits()
    assert bench.pipeline.told() == [("added", "/etc/cron.d/one:1")]
    assert [r.attributes[names.OTEL_FIM_PERSISTENCE_ID] for r in bench.look()] == [
        "/etc/cron.d/one:1",
        "/etc/cron.d/two:1",
    ]


def test_a_rename_onto_the_place_and_a_directory_that_moves(bench: Any) -> None:
    engine = bench.start(kinds=["cron"])
    bench.write("/etc/cron.d/final", JOB)
    before = {names.before(names.FILE_PATH): f"{bench.root}/tmp/work"}
    engine.heard([bench.file_event("/etc/cron.d/final", events.FILE_RENAMED, WHO, **before)])
    engine.look_at_what_waits()
    [added] = bench.pipeline.take()
    assert fields(added, names.PROCESS_PID) == [4711]
    (bench.root / "etc/cron.d").rename(bench.root / "etc/gone")
    engine.heard(
        [
            bench.file_event(
                "/etc/gone",
                events.FILE_RENAMED,
                WHO,
                **{names.before(names.FILE_PATH): f"{bench.root}/etc/cron.d"},
            )
        ]
    )
    engine.look_at_what_waits()
    [removed] = bench.pipeline.take()
    assert removed.event_name == events.PERSISTENCE_REMOVED
    assert fields(removed, names.PROCESS_PID, names.OTEL_FIM_PERSISTENCE_BACKEND) == [4711, "file_event"]
    assert removed.attributes[names.before(names.OTEL_FIM_PERSISTENCE_TRIGGER)] == "17 * * * *"
    assert names.OTEL_FIM_PERSISTENCE_TRIGGER not in removed.attributes


def test_a_link_that_enables_a_unit_is_the_cause_and_an_unrelated_event_is_not(bench: Any) -> None:
    for name in ("a.service", "b.service"):
        bench.write(f"/etc/systemd/system/{name}", "[Service]\nExecStart=/x\n[Install]\nWantedBy=m.target\n")
    engine = bench.start(kinds=["systemd"])
    wants = bench.root / "etc/systemd/system/m.target.wants"
    wants.mkdir()
    for name in ("a.service", "b.service"):
        (wants / name).symlink_to(f"../{name}")
    engine.heard([bench.file_event("/etc/systemd/system/m.target.wants/a.service", events.FILE_CREATED, WHO)])
    engine.look_at_what_waits()
    told = {r.attributes[names.OTEL_FIM_PERSISTENCE_ID]: r for r in bench.pipeline.take()}
    a, b = told["/etc/systemd/system/a.service"], told["/etc/systemd/system/b.service"]
    assert fields(a, names.PROCESS_PID, names.OTEL_FIM_PERSISTENCE_BACKEND) == [4711, "file_event"]
    assert fields(b, names.PROCESS_PID, names.OTEL_FIM_PERSISTENCE_BACKEND) == [None, "scan"]


def test_other_hosts_files_and_other_files_are_none_of_its_business(bench: Any) -> None:
    engine = bench.start(kinds=["cron"])
    bench.write("/etc/cron.d/backup", JOB)
    elsewhere = bench.file_event("/etc/cron.d/backup")
    elsewhere.resource = Resource({names.HOST_NAME: "elsewhere"})
    nameless = Record(event_name=events.FILE_CREATED, resource=bench.resource)
    engine.heard(
        [elsewhere, nameless, bench.file_event("/etc/passwd"), bench.file_event("/etc/cron.d/x", "other")]
    )
    engine.look_at_what_waits()
    assert bench.pipeline.told() == []
    assert path_of({names.FILE_PATH: "relative"}) is None


def test_a_scan_that_finds_a_change_leaves_time_for_its_file_event(bench: Any) -> None:
    bench.receiver(interval="1s")
    bench.write("/etc/cron.d/backup", JOB)
    # The scan comes first: it must not take the change from the event that knows who made it.
    time.sleep(1.2)
    bench.listeners[0]([bench.file_event("/etc/cron.d/backup", actor=WHO)])
    bench.pipeline.wait_for(lambda: bool(bench.pipeline.told()))
    [record] = bench.pipeline.take()
    assert record.event_name == events.PERSISTENCE_ADDED


def test_what_no_event_tells_is_found_by_the_scan_once(bench: Any) -> None:
    bench.receiver(interval="1s")
    bench.write("/etc/cron.d/backup", JOB)
    bench.pipeline.wait_for(lambda: bool(bench.pipeline.told()))
    [record] = bench.pipeline.take()
    assert fields(record, names.OTEL_FIM_PERSISTENCE_BACKEND, names.PROCESS_PID) == ["scan", None]
    time.sleep(1.5)
    assert bench.pipeline.told() == []


def test_a_change_is_told_with_what_was_before(bench: Any) -> None:
    target = bench.write("/etc/cron.d/backup", JOB)
    bench.start(kinds=["cron"])
    target.write_text(JOB.replace("17", "18").replace("backup", "evil"))
    target.chmod(0o600)
    [record] = bench.look()
    assert record.event_name == events.PERSISTENCE_CHANGED
    assert record.attributes[names.OTEL_FIM_PERSISTENCE_CHANGED_ATTRIBUTES] == [
        names.OTEL_FIM_PERSISTENCE_COMMAND,
        names.OTEL_FIM_PERSISTENCE_TRIGGER,
        names.OTEL_FIM_PERSISTENCE_HASH,
        names.FILE_MODE,
    ]
    assert record.attributes[names.before(names.OTEL_FIM_PERSISTENCE_TRIGGER)] == "17 * * * *"
    assert record.attributes[names.before(names.FILE_MODE)] == "0644"
    assert "hunter2" not in repr(record)


def test_changes_while_down_are_told_at_the_start_and_nothing_else(bench: Any) -> None:
    bench.write("/etc/cron.d/stays", JOB)
    bench.write("/etc/cron.d/goes", JOB)
    bench.start()
    assert bench.pipeline.told() == []
    bench.stop()
    (bench.root / "etc/cron.d/goes").unlink()
    bench.write("/etc/cron.d/comes", JOB)
    bench.start()
    assert bench.pipeline.told() == [("added", "/etc/cron.d/comes:1"), ("removed", "/etc/cron.d/goes:1")]
    for record in bench.pipeline.take():
        assert fields(record, names.OTEL_FIM_PERSISTENCE_WHILE_DOWN, names.OTEL_FIM_PERSISTENCE_BACKEND) == [
            True,
            "scan",
        ]
        assert names.OTEL_FIM_PERSISTENCE_MAY_REPEAT not in record.attributes
    bench.stop()
    bench.start()
    assert bench.pipeline.told() == []


def test_killed_before_it_knew_that_the_record_was_on_disk_it_tells_again_and_says_so(bench: Any) -> None:
    bench.start(kinds=["cron"])
    bench.pipeline.durable = False
    bench.write("/etc/cron.d/backup", JOB)
    [first] = bench.look()
    bench.stop(crash=True)
    bench.start(kinds=["cron"])
    [again] = bench.pipeline.take()
    same = (names.OTEL_FIM_PERSISTENCE_ID, names.OTEL_FIM_PERSISTENCE_HASH)
    assert fields(again, *same) == fields(first, *same)
    assert again.attributes[names.OTEL_FIM_PERSISTENCE_MAY_REPEAT] is True


def test_gone_and_back_when_it_was_killed_it_tells_that_it_is_there(bench: Any) -> None:
    target = bench.write("/etc/cron.d/backup", JOB)
    bench.start(kinds=["cron"])
    bench.pipeline.durable = False
    target.unlink()
    assert [r.event_name for r in bench.look()] == [events.PERSISTENCE_REMOVED]
    bench.write("/etc/cron.d/backup", JOB)
    assert [r.event_name for r in bench.look()] == [events.PERSISTENCE_ADDED]
    # The first record may be on disk and the second not.
    bench.stop(crash=True)
    bench.start(kinds=["cron"])
    [again] = bench.pipeline.take()
    assert again.event_name == events.PERSISTENCE_ADDED
    assert again.attributes[names.OTEL_FIM_PERSISTENCE_MAY_REPEAT] is True


def test_the_baseline_can_be_told(bench: Any) -> None:
    for number in range(25):
        bench.write(f"/etc/cron.d/job{number}", JOB)
    bench.start(kinds=["cron"], baseline_records=True, batch_size=10)
    records = bench.pipeline.take()
    assert len(records) == 25
    assert max(bench.pipeline.batches) == 10
    assert {(r.event_name, r.severity_text, r.attributes[names.EVENT_ACTION]) for r in records} == {
        (events.PERSISTENCE_ADDED, "INFO", "scan")
    }
    bench.stop()
    bench.start(kinds=["cron"], baseline_records=True)
    assert bench.pipeline.told() == []


def test_a_hundred_units_at_once_come_in_bounded_batches(bench: Any) -> None:
    bench.start(kinds=["systemd"], batch_size=20)
    for number in range(100):
        bench.write(f"/usr/lib/systemd/system/u{number}.service", "[Service]\nExecStart=/x\n")
    assert len(bench.look()) == 100
    assert max(bench.pipeline.batches) == 20


def test_one_file_with_more_items_than_a_batch_is_bounded_too(bench: Any) -> None:
    bench.start(kinds=["cron"], batch_size=10)
    bench.write("/etc/cron.d/many", "".join(f"{n % 60} * * * * root job{n}\n" for n in range(45)))
    assert len(bench.look()) == 45
    assert max(bench.pipeline.batches) == 10
    bench.stop()
    bench.start(kinds=["cron"])
    assert bench.pipeline.told() == []


@pytest.mark.parametrize("damage", [b"this is no database, but long enough to be taken for one" * 40, None])
def test_a_damaged_state_is_put_aside_and_said(bench: Any, damage: bytes | None) -> None:
    bench.write("/etc/cron.d/backup", JOB)
    bench.start(kinds=["cron"])
    bench.stop()
    database = bench.state / "persistence.db"
    if damage is None:
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE item SET content = '[1, 2]'")
        connection.close()
    else:
        database.write_bytes(damage)
    bench.receiver(kinds=["cron"])
    gaps = [r for r in bench.pipeline.records if r.event_name == events.COVERAGE_GAP]
    assert [r.attributes[names.OTEL_FIM_COVERAGE_REASON] for r in gaps] == ["io_error"]
    assert "set aside" in str(gaps[0].body)
    assert list(bench.state.glob("persistence.db.damaged-*"))
    assert bench.pipeline.told() == []


def test_excluded_paths_are_not_told_now_and_not_later(bench: Any) -> None:
    bench.start(kinds=["cron"], exclude=["/etc/cron.d/x*"])
    bench.write("/etc/cron.d/x1", JOB)
    bench.write("/etc/cron.d/y1", JOB)
    assert [r.attributes[names.OTEL_FIM_PERSISTENCE_ID] for r in bench.look()] == ["/etc/cron.d/y1:1"]
    bench.stop()
    bench.start(kinds=["cron"], include=["*/x*"])
    assert bench.pipeline.told() == []
    bench.write("/etc/cron.d/x1", "")
    bench.write("/etc/cron.d/y1", "")
    assert [r.attributes[names.OTEL_FIM_PERSISTENCE_ID] for r in bench.look()] == ["/etc/cron.d/x1:1"]


def test_a_kind_that_is_switched_on_is_taken_as_it_is_found(bench: Any) -> None:
    bench.start(kinds=["at"])
    bench.write("/etc/cron.d/backup", JOB)
    bench.stop()
    bench.start(kinds=["at", "cron"])
    bench.stop()
    bench.start(kinds=["at"])
    bench.stop()
    (bench.root / "etc/cron.d/backup").unlink()
    bench.start(kinds=["at", "cron"])
    assert bench.pipeline.told() == []


def test_commands_can_be_left_out_or_told_in_full(bench: Any) -> None:
    bench.start(kinds=["cron"], command_line="none")
    bench.write("/etc/cron.d/a", JOB)
    [record] = bench.look()
    assert names.OTEL_FIM_PERSISTENCE_COMMAND not in record.attributes
    assert "backup" not in str(record.body).partition(": ")[2]
    bench.stop()
    bench.start(kinds=["cron"], command_line="full")
    bench.write("/etc/cron.d/b", JOB)
    [record] = bench.look()
    assert (
        record.attributes[names.OTEL_FIM_PERSISTENCE_COMMAND]
        == "/usr/local/bin/backup --password=hunter2hunter2"
    )


def test_more_items_than_can_be_held_are_a_gap_and_nothing_is_taken_for_removed(
    bench: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(6):
        bench.write(f"/etc/cron.d/{number}", JOB)
    bench.start(kinds=["cron"])
    monkeypatch.setattr("otel_fim.receivers.persistence.comparing.MOST_ITEMS", 4)
    bench.write("/etc/cron.d/00", JOB)
    assert [record.event_name for record in bench.look()] == [events.PERSISTENCE_ADDED]
    assert bench.look() == []
    assert bench.pipeline.records[-1].event_name == events.COVERAGE_GAP
    assert [r.getMessage() for r in caplog.records if "of the kind cron" in r.getMessage()]
    monkeypatch.undo()
    assert bench.look() == []
    assert bench.pipeline.records[-1].event_name == events.COVERAGE_RESTORED


def test_hostile_names_forge_nothing(bench: Any) -> None:
    bench.start(kinds=["cron"])
    name = b"a\n[ALERT] \x1b[31m\xff\xe2\x80\xae"
    (bench.root / "etc/cron.d").mkdir()
    with open(os.fsencode(bench.root) + b"/etc/cron.d/" + name, "wb") as file:
        file.write(b"* * * * * root /x \x1b]0;\xff\n")
    [record] = bench.look()
    assert "\n" not in str(record.body)
    assert "\x1b" not in str(record.body)
    assert str(
        record.attributes[names.OTEL_FIM_FILE_PATH_BYTES] == os.fsencode(bench.root) + b"/etc/cron.d/" + name
    )
    assert record.attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    exact = {names.OTEL_FIM_FILE_PATH_BYTES: record.attributes[names.OTEL_FIM_FILE_PATH_BYTES]}
    (bench.root / "etc/cron.d").rename(bench.root / "etc/away")
    bench.engine.heard([bench.file_event("/etc/cron.d/a", events.FILE_DELETED, WHO, **exact)])
    bench.engine.look_at_what_waits()
    [gone] = bench.pipeline.take()
    assert fields(gone, names.PROCESS_PID) == [4711]


def test_input_that_makes_no_sense_is_counted_once(bench: Any) -> None:
    bench.start(kinds=["cron"])
    bench.write("/etc/cron.d/bad", "hello\n* * *\n")
    [first, second] = bench.look()
    assert fields(first, names.OTEL_FIM_PERSISTENCE_ENABLED) == [False]
    bench.look()
    assert bench.counts[metrics.RECEIVER_REJECTED_INPUTS] == 2
    assert fields(second, names.OTEL_FIM_PERSISTENCE_COMMAND) == ["* * *"]


def test_a_kind_that_fails_takes_neither_the_others_nor_what_is_known_with_it(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("/etc/cron.d/a", JOB)
    bench.start(kinds=["cron", "at"])
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise RuntimeError("no")

        patch.setattr(Cron, "read_file", fail)
        (bench.root / "etc/cron.d/a").unlink()
        bench.write("/var/spool/at/a0000201c891df", "x", mode=0o700)
        assert [r.attributes[names.OTEL_FIM_PERSISTENCE_KIND] for r in bench.look()] == ["at"]
        assert any(r.event_name == events.COVERAGE_GAP for r in bench.pipeline.records)
        assert bench.health[-1][0] is Health.RECOVERABLE_ERROR
    assert [r.event_name for r in bench.look()] == [events.PERSISTENCE_REMOVED]
    bench.look()
    assert bench.pipeline.records[-1].event_name == events.COVERAGE_RESTORED


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become an ordinary user")
def test_an_ordinary_user_sees_the_rest_and_says_what_not(bench: Any, open_directory: Path) -> None:
    bench = type(bench)(open_directory)
    bench.write("/etc/cron.d/a", JOB)
    bench.write("/etc/cron.d/secret", JOB, mode=0o600)
    bench.write("/var/spool/cron/crontabs/root", "1 1 1 1 1 x\n")
    (bench.root / "var/spool/cron/crontabs").chmod(0o1730)
    bench.start(kinds=["cron"])
    bench.stop()
    bench.pipeline.records.clear()
    os.chown(bench.state, 65534, 65534)
    for file in bench.state.iterdir():
        os.chown(file, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        bench.start(kinds=["cron"])
        # What is hidden is not gone.
        assert bench.pipeline.told() == []
        [gap] = bench.pipeline.records
        assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "permission_denied"
        assert "/etc/cron.d/secret" in str(gap.body)
        assert "/var/spool/cron/crontabs" in str(gap.body)
        bench.engine.scan()
        assert len(bench.pipeline.records) == 1
        bench.stop()
        (bench.state / "persistence.db").unlink()
        # The baseline of an ordinary user, and then root: what could not be seen is not new.
        bench.start(kinds=["cron"])
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert bench.look() == []
    assert bench.pipeline.records[-1].event_name == events.COVERAGE_RESTORED
    bench.write("/etc/cron.d/secret", JOB + JOB.replace("17", "18"), mode=0o600)
    assert len(bench.look()) == 1
    bench.stop()


def test_a_full_disk_costs_no_record_and_is_said(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start(kinds=["cron"])

    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(State, "announce", full)
        patch.setattr(State, "apply", full)
        bench.write("/etc/cron.d/a", JOB)
        assert len(bench.look()) == 1
        assert bench.health[-1][0] is Health.RECOVERABLE_ERROR
        assert bench.look() == []
    bench.engine.scan()
    assert bench.health[-1] == (Health.OK, "")
    bench.stop()
    bench.start(kinds=["cron"])
    assert bench.pipeline.told() == []


def test_an_agent_that_takes_no_more_records_gets_them_after_the_next_start(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = bench.receiver(kinds=["cron"])

    def refuse(*_: object) -> None:
        raise StoppingError

    # The context is made once: the pipeline refuses from here on.
    monkeypatch.setattr(receiver._engine._teller, "_context", replace(bench.context(), emit=refuse))
    bench.write("/etc/cron.d/a", JOB)
    bench.listeners[0]([bench.file_event("/etc/cron.d/a")])
    receiver._engine._thread.join(30)
    assert not receiver._engine._thread.is_alive()
    started = time.monotonic()
    receiver.stop(60)
    bench.receivers.clear()
    assert time.monotonic() - started < 30
    assert bench.health[-1][0] is Health.STOPPED
    bench.start(kinds=["cron"])
    assert bench.pipeline.told() == [("added", "/etc/cron.d/a:1")]


def test_a_baseline_that_cannot_be_noted_is_taken_again(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("/etc/cron.d/a", JOB)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(State, "take", full)
        bench.start(kinds=["cron"])
        assert bench.health[-1][0] is Health.RECOVERABLE_ERROR
        bench.write("/etc/cron.d/b", JOB)
        assert len(bench.look()) == 1
    bench.stop()
    bench.start(kinds=["cron"])
    assert bench.pipeline.told() == []


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"kinds": ["corn"]}, "did you mean 'cron'"),
        ({"command_line": "all"}, "command_line"),
        ({"interval": "0s"}, "interval"),
        ({"root": "relative"}, "root"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError) as error:
        PersistenceConfig.model_validate(settings)
    assert part in str(error.value)


def test_it_does_not_start_without_a_root_or_a_kind(bench: Any) -> None:
    for settings in ({"root": "/nowhere/at/all"}, {"kinds": ["cron"], "exclude_kinds": ["cron"]}):
        receiver = PersistenceReceiver(PersistenceConfig.model_validate(settings), bench.context())
        with pytest.raises(StartError, match="persistence"):
            receiver.start()
        receiver.stop(1)


def test_the_own_host_is_read_whole(bench: Any) -> None:
    """Whatever this machine has: every kind is read, ids are unique, and nothing is found twice."""
    engine = bench.start(root="/")
    counted = sum(len(engine._book.known(name)) for name in engine._kinds)
    assert counted > 0
    assert not [h for h in bench.health if h[0] is not Health.OK]
