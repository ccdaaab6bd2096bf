"""What survives: a crash before the records are durable, an unfinished baseline, a damaged one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.baseline import Baseline, BaselineError

CREATED = Change.CREATED | Change.CONTENT


def test_what_was_not_durable_is_told_again(host: Any) -> None:
    (host.tree / "a").write_text("a")
    (host.tree / "gone").write_text("x")
    host.start()
    host.pipeline.durable = False
    (host.tree / "a").write_text("b")
    host.hint("a", Change.CONTENT)
    (host.tree / "new").write_text("n")
    host.hint("new", CREATED)
    os.remove(host.tree / "gone")
    host.hint("gone", Change.DELETED)
    host.wait(lambda: len(host.told()) >= 3)
    # The overlay knows what was told: nothing is told twice.
    host.hint("a", Change.CONTENT)
    host.wait()
    assert len(host.told()) == 3
    host.stop(0.5)

    host.pipeline.durable = True
    host.pipeline.records.clear()
    host.start()
    host.wait(lambda: len(host.told()) >= 3)
    assert sorted(host.told()) == [("created", "new"), ("deleted", "gone"), ("modified", "a")]
    for record in host.pipeline.files():
        assert record.attributes[names.OTEL_FIM_FILE_BACKEND] == "scan"
        assert record.attributes[names.OTEL_FIM_FILE_WHILE_DOWN] is True

    host.restart()
    assert host.told() == []


def test_what_was_durable_is_not_told_again(host: Any) -> None:
    host.start()
    for number in range(100):
        (host.tree / f"f{number}").write_text(str(number))
        host.hint(f"f{number}", CREATED)
    host.wait(lambda: len(host.told()) >= 100)
    host.restart()
    assert host.told() == []


def test_durable_out_of_order_never_moves_a_row_back(host: Any) -> None:
    (host.tree / "a").write_text("0")
    host.start()
    host.pipeline.durable = False
    for number in (1, 2):
        (host.tree / "a").write_text(str(number))
        host.hint("a", Change.CONTENT)
        host.wait(lambda number=number: len(host.told()) >= number)
    first, second = host.pipeline.held
    second()
    first()
    host.stop()
    host.pipeline.records.clear()
    host.start()
    assert host.told() == []


def test_a_directory_whose_removal_is_half_told(host: Any) -> None:
    (host.tree / "d/e").mkdir(parents=True)
    for number in range(600):
        (host.tree / f"d/e/{number}").write_text("x")
    host.start()
    shutil.rmtree(host.tree / "d")
    # Only the first batch becomes durable.
    host.pipeline.durable = False
    host.hint("d", Change.DELETED | Change.DIRECTORY)
    host.wait(lambda: len(host.told()) >= 602)
    assert len(host.pipeline.held) > 1
    told = host.told()
    host.pipeline.held[0]()
    host.stop(1.0)
    host.pipeline.durable = True
    host.pipeline.records.clear()
    host.start()
    host.wait(lambda: ("deleted", "d") in host.told())
    again = host.told()
    assert set(told) >= set(again)
    assert 0 < len(again) < 602
    host.restart()
    assert host.told() == []
    assert host.baseline.count() == (1, 2)


def test_a_rename_of_a_directory_that_is_half_told(host: Any) -> None:
    (host.tree / "d/e").mkdir(parents=True)
    for number in range(600):
        (host.tree / f"d/e/{number}").write_text("x")
    host.start()
    os.rename(host.tree / "d", host.tree / "n")
    host.pipeline.durable = False
    host.hint("n", Change.MOVED_TO | Change.DIRECTORY, old="d")
    host.wait(lambda: len(host.told()) >= 602)
    host.pipeline.held[0]()
    host.stop(1.0)
    host.pipeline.durable = True
    host.pipeline.records.clear()
    host.start()
    host.wait(lambda: ("deleted", "d") in host.told())
    assert ("created", "n") in host.told()
    gone = {path for event, path in host.told() if event == "deleted"}
    assert "d/e" in gone
    host.restart()
    assert host.told() == []
    assert host.baseline.count()[0] == 603


def test_changes_while_the_agent_was_down(host: Any) -> None:
    (host.tree / "d").mkdir()
    for name in ("a", "b", "c", "d/x"):
        (host.tree / name).write_text(name)
    host.start()
    host.stop()
    (host.tree / "a").write_text("changed")
    os.remove(host.tree / "b")
    os.chmod(host.tree / "c", 0o600)
    shutil.rmtree(host.tree / "d")
    (host.tree / "n/m").mkdir(parents=True)
    (host.tree / "n/m/o").write_text("o")
    host.start()
    host.wait(lambda: len(host.told()) >= 8)
    assert sorted(host.told()) == [
        ("attributes_changed", "c"),
        ("created", "n"),
        ("created", "n/m"),
        ("created", "n/m/o"),
        ("deleted", "b"),
        ("deleted", "d"),
        ("deleted", "d/x"),
        ("modified", "a"),
    ]
    assert all(r.attributes[names.OTEL_FIM_FILE_WHILE_DOWN] for r in host.pipeline.files())


def test_an_unfinished_first_baseline_goes_on_where_it_stopped(host: Any) -> None:
    for directory in ("one", "two"):
        (host.tree / directory).mkdir()
        for number in range(5):
            (host.tree / directory / str(number)).write_text("x")
    host.start()
    host.stop()
    # As if the agent had been killed after it had listed `one` and before it listed `two`.
    with sqlite3.connect(host.state / "baseline.db") as database:
        path = host.path("two")
        database.execute("DELETE FROM entry WHERE dir = (SELECT id FROM directory WHERE path = ?)", (path,))
        database.execute("UPDATE directory SET listed = 0 WHERE path = ?", (path,))
        database.execute("UPDATE root SET completed = NULL")
    database.close()
    (host.tree / "one/0").write_text("changed meanwhile")
    (host.tree / "one/new").write_text("n")
    (host.tree / "two/0").write_text("nobody can know")
    host.start()
    host.wait(lambda: len(host.told()) >= 2)
    assert sorted(host.told()) == [("created", "one/new"), ("modified", "one/0")]
    assert host.baseline.roots()[os.fsencode(host.tree)] is not None


def test_events_during_the_first_baseline_wait_for_it(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.tree / "a").write_text("a")
    entered, let_go = threading.Event(), threading.Event()
    original = Baseline.add_listing

    def slow(self: Baseline, listing: Any) -> None:
        entered.set()
        let_go.wait(10)
        original(self, listing)

    monkeypatch.setattr(Baseline, "add_listing", slow)
    starter = threading.Thread(target=host.start)
    starter.start()
    assert entered.wait(10)
    (host.tree / "a").write_text("changed after it was listed")
    host.hint("a", Change.CONTENT)
    let_go.set()
    starter.join()
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "a")]


def test_a_baseline_of_a_newer_version_is_refused(host: Any) -> None:
    host.start()
    host.stop()
    with sqlite3.connect(host.state / "baseline.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(BaselineError, match="version 99"):
        Baseline(host.state / "baseline.db")


def test_a_damaged_baseline_is_set_aside(host: Any) -> None:
    (host.state / "baseline.db").write_bytes(b"this is no database" * 1000)
    baseline = Baseline(host.state / "baseline.db")
    assert baseline.set_aside is not None
    assert baseline.set_aside.read_bytes().startswith(b"this is no database")
    assert baseline.count() == (0, 0)
    baseline.close()


def test_a_baseline_that_is_damaged_inside_is_set_aside(host: Any) -> None:
    for number in range(500):
        (host.tree / f"file-{number}").write_text("x")
    host.start()
    host.stop()
    path = host.state / "baseline.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(content)
    baseline = Baseline(path)
    assert baseline.set_aside is not None
    baseline.close()


def test_a_root_taken_out_of_the_configuration_is_forgotten(host: Any) -> None:
    (host.tree / "d").mkdir()
    (host.tree / "d/f").write_text("f")
    (host.tree / "e").mkdir()
    (host.tree / "e/g").write_text("g")
    host.start(paths=[str(host.tree / "d"), str(host.tree / "e")])
    host.restart(paths=[str(host.tree / "d")])
    assert host.told() == []
    assert set(host.baseline.roots()) == {host.path("d")}
    (host.tree / "e/g").write_text("not watched")
    # Taken in again, it is a new beginning.
    host.restart(paths=[str(host.tree / "d"), str(host.tree / "e")])
    assert host.told() == []
    # A path above takes the rest in; what was known is still compared.
    host.stop()
    (host.tree / "d/f").write_text("changed")
    (host.tree / "top").write_text("t")
    host.pipeline.records.clear()
    host.start(paths=[str(host.tree)])
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "d/f")]


def test_a_change_of_the_rules_is_not_a_change_of_files(host: Any) -> None:
    (host.tree / "d").mkdir()
    (host.tree / "d/a.log").write_text("a")
    (host.tree / "d/b").write_text("b")
    host.start(exclude=["*.log"])
    host.restart(exclude=["b"])
    assert host.told() == []
    (host.tree / "d/a.log").write_text("from now on")
    host.hint("d/a.log", Change.CONTENT)
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "d/a.log")]


def test_a_pipeline_that_stops_ends_the_engine_quietly(host: Any) -> None:
    from otel_fim.component import StoppingError

    host.start()
    host.pipeline.raises = StoppingError()
    (host.tree / "a").write_text("a")
    host.hint("a", CREATED)
    host.stop(5.0)
    host.pipeline.raises = None
    host.start()
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("created", "a")]
    assert host.only(events.FILE_CREATED, "a").attributes[names.OTEL_FIM_FILE_WHILE_DOWN] is True


def test_what_was_told_before_a_crash_and_is_gone_after_it_is_told_as_deleted(host: Any) -> None:
    host.start()
    host.pipeline.durable = False
    (host.tree / "gone").write_text("x")
    (host.tree / "stays").write_text("y")
    host.hint("gone", CREATED)
    host.hint("stays", CREATED)
    host.wait(lambda: len(host.told()) == 2)
    # The record reached the journal, but nobody came to tell: the row never moved.
    host.stop(0.5)
    (host.tree / "gone").unlink()
    host.pipeline.durable = True
    host.pipeline.records.clear()
    host.start()
    host.wait(lambda: len(host.told()) >= 2)
    assert sorted(host.told()) == [("created", "stays"), ("deleted", "gone")]
    deleted = host.only(events.FILE_DELETED, "gone")
    assert deleted.attributes[names.OTEL_FIM_FILE_WHILE_DOWN] is True
    host.restart()
    assert host.told() == [], "settled once and for all"
