"""What is called new, rare or still being learnt."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, StartError
from otel_fim.names import events, metrics
from otel_fim.record import Record

_DAY = 86_400


def _first(record: Record) -> Any:
    return record.attributes.get(names.OTEL_FIM_NOVELTY_FIRST_SEEN)


def _rare(record: Record) -> Any:
    return record.attributes.get(names.OTEL_FIM_NOVELTY_RARE)


def _learning(record: Record) -> bool:
    return names.OTEL_FIM_NOVELTY_LEARNING in record.attributes


def test_a_host_is_learnt_before_anything_is_new(world: Any) -> None:
    record = world.run("/usr/bin/vim", parent="/usr/bin/bash", user=1000)
    assert _learning(record)
    assert _first(record) is None
    assert not _learning(world.run("/usr/bin/vim", parent="/usr/bin/bash", user=1000))
    world.wait(7 * _DAY - 1)
    assert _learning(world.run("/usr/bin/late"))
    world.wait(1)
    record = world.run("/usr/bin/nc", parent="/usr/bin/bash", user=1000)
    assert _first(record) == ["executable", "parent_child", "user_executable"]
    assert not _learning(record)
    # The program is known, that user with it is not.
    assert _first(world.run("/usr/bin/vim", parent="/usr/bin/bash", user=33)) == ["user_executable"]
    again = world.run("/usr/bin/nc", parent="/usr/bin/bash", user=1000)
    assert _first(again) is None
    assert _rare(again) == ["executable", "parent_child", "user_executable"]


def test_without_learning_the_first_of_everything_is_new(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period="0")
    assert _first(world.run("/usr/bin/vim")) == ["executable"]
    assert _first(world.run("/usr/bin/vim")) is None


def test_each_event_has_its_kinds(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    login = {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice", names.SOURCE_ADDRESS: "203.0.113.7"}
    failed = login | {names.EVENT_OUTCOME: "failure"}
    assert _first(world.put(events.AUTH_LOGIN, failed)) is None
    assert _first(world.put(events.AUTH_LOGIN, login)) == ["user", "source", "user_source"]
    elsewhere = login | {names.SOURCE_ADDRESS: "198.51.100.9"}
    assert _first(world.put(events.AUTH_LOGIN, elsewhere)) == ["source", "user_source"]
    assert _first(world.put(events.AUTH_LOGIN, {names.EVENT_OUTCOME: "success", names.USER_NAME: "bob"})) == [
        "user"
    ]
    sudo = {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice", names.USER_EFFECTIVE_NAME: "root"}
    assert _first(world.put(events.AUTH_PRIVILEGE, sudo)) == ["privilege"]
    listener = {
        names.NETWORK_TRANSPORT: "tcp",
        names.NETWORK_LOCAL_PORT: 4444,
        names.OTEL_FIM_LISTENER_EXPOSURE: "any",
        names.PROCESS_EXECUTABLE_PATH: "/usr/bin/nc",
    }
    assert _first(world.put(events.LISTENER_OPENED, listener)) == ["listener"]
    assert _first(world.put(events.LISTENER_OPENED, listener | {names.NETWORK_LOCAL_PORT: 4445})) == [
        "listener"
    ]
    assert _first(world.put(events.LISTENER_OPENED, listener | {names.NETWORK_LOCAL_PORT: 40_001})) == [
        "listener"
    ]
    assert _first(world.put(events.LISTENER_OPENED, listener | {names.NETWORK_LOCAL_PORT: 50_002})) is None
    cron = {names.OTEL_FIM_PERSISTENCE_KIND: "cron", names.OTEL_FIM_PERSISTENCE_ID: "/etc/cron.d/x:1"}
    assert _first(world.put(events.PERSISTENCE_ADDED, cron)) == ["persistence", "persistence_kind"]
    another = cron | {names.OTEL_FIM_PERSISTENCE_ID: "/etc/cron.d/y:1"}
    assert _first(world.put(events.PERSISTENCE_ADDED, another)) == ["persistence"]
    assert _first(world.put(events.PERSISTENCE_CHANGED, cron)) is None
    hashed = {names.PROCESS_EXECUTABLE_PATH: "/usr/bin/ls", names.PROCESS_HASH_SHA256: "ab" * 32}
    assert _first(world.put(events.PROCESS_STARTED, hashed)) == ["executable", "executable_hash"]
    replaced = hashed | {names.PROCESS_HASH_SHA256: "cd" * 32}
    assert _first(world.put(events.PROCESS_STARTED, replaced)) == ["executable_hash"]


def test_a_scan_only_teaches_and_a_fork_says_nothing(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    assert world.run("/usr/bin/a", action="scan").attributes.keys() == {
        names.EVENT_ACTION,
        names.PROCESS_EXECUTABLE_PATH,
    }
    assert _first(world.run("/usr/bin/a")) is None
    assert _first(world.run("/usr/bin/b", action="fork")) is None
    assert _first(world.run("/usr/bin/b")) == ["executable"]


def test_what_ends_or_changes_was_there_before(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    program = {names.PROCESS_EXECUTABLE_PATH: "/usr/sbin/sshd", names.PROCESS_USER_ID: 0}
    assert world.put(events.PROCESS_EXITED, program).attributes == program
    assert _first(world.put(events.PROCESS_STARTED, program)) is None
    for number, event in enumerate((events.PERSISTENCE_CHANGED, events.PERSISTENCE_REMOVED)):
        item = {names.OTEL_FIM_PERSISTENCE_KIND: "cron", names.OTEL_FIM_PERSISTENCE_ID: f"item {number}"}
        assert world.put(event, item).attributes == item
        assert _first(world.put(events.PERSISTENCE_ADDED, item)) is None


@pytest.mark.parametrize(
    "event", [events.FINDING, events.COVERAGE_GAP, events.AGENT_STARTED, events.FILE_CREATED, ""]
)
def test_other_records_are_left_alone(make_world: Callable[..., Any], event: str) -> None:
    world = make_world(learning_period=0)
    attributes = {names.PROCESS_EXECUTABLE_PATH: "/usr/bin/a", names.USER_NAME: "alice"}
    assert world.put(event, attributes).attributes == attributes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (names.OTEL_FIM_NOVELTY_FIRST_SEEN, ["executable_hash"]),
        (names.OTEL_FIM_NOVELTY_RARE, ["executable"]),
        (names.OTEL_FIM_NOVELTY_LEARNING, True),
    ],
)
def test_what_another_agent_judged_stays_as_it_is(
    make_world: Callable[..., Any], name: str, value: Any
) -> None:
    world = make_world(learning_period=0)
    attributes = {names.PROCESS_EXECUTABLE_PATH: "/usr/bin/a", name: value}
    assert world.put(events.PROCESS_STARTED, attributes).attributes == attributes
    assert _first(world.run("/usr/bin/a")) is None


def test_numbers_and_random_names_are_the_same_program(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    world.run("/usr/lib/postgresql/15/bin/postgres")
    assert _first(world.run("/usr/lib/postgresql/16/bin/postgres")) is None
    world.run("/tmp/tmp.Xa82kfj3Kd/run")
    assert _first(world.run("/tmp/tmp.QqLLmWzzPb/run")) is None
    assert _first(world.run("/tmp/payload")) == ["executable"]


def test_rare_is_what_was_seen_on_few_days(world: Any) -> None:
    world.learn()
    assert _rare(world.run("/usr/bin/known")) == ["executable"]  # on its second day of eight
    for _ in range(2):
        world.wait(_DAY)
        record = world.run("/usr/bin/known")
    assert _rare(record) is None
    assert _rare(world.run("/usr/bin/known")) is None
    # A month without it, and it is rare again; but never new.
    world.wait(31 * _DAY)
    record = world.run("/usr/bin/known")
    assert _rare(record) == ["executable"]
    assert _first(record) is None


def test_nothing_is_rare_while_everything_has_few_days(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period="24h")
    world.run("/usr/bin/a")
    world.wait(2 * _DAY)
    assert _rare(world.run("/usr/bin/a")) is None
    assert _first(world.run("/usr/bin/b")) == ["executable"]
    assert _rare(world.run("/usr/bin/b")) is None


def test_hosts_are_learnt_each_for_itself(world: Any) -> None:
    world.learn()
    assert _learning(world.run("/usr/bin/other", host="db-1"))
    assert _first(world.run("/usr/bin/other", host="web-1")) == ["executable"]


def test_programs_are_learnt_from_the_first_when_the_receiver_comes_later(world: Any) -> None:
    login = {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice"}
    world.put(events.AUTH_LOGIN, login)
    world.wait(30 * _DAY)
    assert _learning(world.run("/usr/bin/a"))
    assert _first(world.put(events.AUTH_LOGIN, login | {names.USER_NAME: "bob"})) == ["user"]
    world.wait(8 * _DAY)
    assert _first(world.run("/usr/bin/b")) == ["executable"]


def test_a_kind_that_is_wanted_later_is_learnt_later(make_world: Callable[..., Any]) -> None:
    world = make_world(kinds=["executable"])
    world.learn()
    login = {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice"}
    assert _first(world.put(events.AUTH_LOGIN, login)) is None
    world.restart(kinds=["executable", "user"])
    record = world.put(events.AUTH_LOGIN, login)
    assert _learning(record)
    assert _first(world.run("/usr/bin/x")) == ["executable"]
    world.wait(8 * _DAY)
    assert _first(world.put(events.AUTH_LOGIN, login | {names.USER_NAME: "bob"})) == ["user"]


def test_a_kind_of_start_up_item_is_new_once(world: Any) -> None:
    def item(kind: str, number: int) -> dict[str, Any]:
        return {names.OTEL_FIM_PERSISTENCE_KIND: kind, names.OTEL_FIM_PERSISTENCE_ID: f"item {number}"}

    world.learn()
    world.put(events.PERSISTENCE_CHANGED, item("cron", 0))
    assert _first(world.put(events.PERSISTENCE_ADDED, item("cron", 1))) == ["persistence"]
    assert _first(world.put(events.PERSISTENCE_ADDED, item("kernel_module", 2))) == [
        "persistence",
        "persistence_kind",
    ]
    # Ten packages with ten units: one of them is the first of its kind.
    units = [world.put(events.PERSISTENCE_ADDED, item("systemd_service", number)) for number in range(10)]
    assert sum("persistence_kind" in _first(record) for record in units) == 1
    world.restart()
    assert _first(world.put(events.PERSISTENCE_ADDED, item("systemd_service", 99))) == ["persistence"]


# --- Restart ---------------------------------------------------------------------------------------------


def test_a_restart_goes_on_and_the_pause_does_not_count(world: Any) -> None:
    world.run("/usr/bin/a")
    world.wait(6 * _DAY)
    world.restart()
    assert _learning(world.run("/usr/bin/b"))
    world.wait(_DAY + 1)
    assert _first(world.run("/usr/bin/a")) is None
    assert _first(world.run("/usr/bin/b")) is None
    assert _first(world.run("/usr/bin/c")) == ["executable"]


def test_a_crash_loses_at_most_what_was_not_saved(world: Any) -> None:
    world.learn()
    world.run("/usr/bin/a")
    assert world.write() == []
    world.run("/usr/bin/b")
    # What was seen a moment ago may not be in the journal yet: it must not be known after a crash.
    world.wait(61)
    world.processor.tick()
    world.crash()
    assert _first(world.run("/usr/bin/a")) is None
    assert _first(world.run("/usr/bin/b")) == ["executable"]


def test_nothing_is_written_while_nothing_is_new(world: Any, tmp_path: Path) -> None:
    world.run("/usr/bin/a")
    world.write()
    state = tmp_path / "novelty.state"
    written = state.stat().st_ino
    world.run("/usr/bin/a")
    world.write()
    assert state.stat().st_ino == written


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "garbage"])
def test_a_damaged_state_is_set_aside_and_learning_starts_anew(
    world: Any, tmp_path: Path, damage: str
) -> None:
    world.learn()
    world.processor.stop(1)
    state = tmp_path / "novelty.state"
    data = state.read_bytes()
    state.write_bytes(
        {
            "cut": data[:-3],
            "changed": data[:-1] + bytes([data[-1] ^ 1]),
            "empty": b"",
            "garbage": b"otel-fim novelty 1 00\nx",
        }[damage]
    )
    world.begin()
    (gap,) = world.processor.tick()
    assert gap.event_name == events.COVERAGE_GAP
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_lost"
    assert _learning(world.run("/usr/bin/new"))
    assert world.counted[metrics.COVERAGE_GAPS] == 1
    assert len(list(tmp_path.glob("novelty.state.damaged-*"))) == 1
    assert world.processor.tick() == []


def test_a_newer_state_is_not_touched(world: Any, tmp_path: Path) -> None:
    world.processor.stop(1)
    state = tmp_path / "novelty.state"
    newer = state.read_bytes().replace(b"otel-fim novelty 1 ", b"otel-fim novelty 2 ", 1)
    state.write_bytes(newer)
    with pytest.raises(StartError, match="version 2"):
        world.begin()
    assert state.read_bytes() == newer


def test_a_full_disk_is_said_once(
    world: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.run("/usr/bin/a")
    with monkeypatch.context() as patch:
        patch.setattr("otel_fim.state_file.replace_file", full)
        world.write()
        world.write()
    assert [health for health, _ in world.health][-2:] == [Health.RECOVERABLE_ERROR, Health.RECOVERABLE_ERROR]
    assert caplog.text.count("the state cannot be written: No space left on device") == 1
    world.write()
    assert world.health[-1] == (Health.OK, "")
    world.write()
    assert caplog.text.count("the state is written again") == 1
    world.crash()
    assert not _learning(world.run("/usr/bin/a"))


# --- Bounds ----------------------------------------------------------------------------------------------


def test_a_flood_of_one_kind_leaves_the_others_alone(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0, max_entries=1000)
    login = {names.EVENT_OUTCOME: "success", names.USER_NAME: "alice"}
    world.put(events.AUTH_LOGIN, login)
    world.run("/usr/bin/old")
    words = ("".join(chr(97 + number // 26**place % 26) for place in range(3)) for number in range(5000))
    for word in words:
        world.run(f"/tmp/{word}")
    (gap,) = world.processor.tick()
    assert gap.attributes[names.OTEL_FIM_COVERAGE_REASON] == "state_limit"
    assert "executable" in str(gap.body)
    assert world.counted[metrics.NOVELTY_EVICTED] >= 4800
    assert world.processor._memory.size <= 1000
    assert _first(world.put(events.AUTH_LOGIN, login)) is None
    # What was forgotten is called new, and that it may not be is said with it.
    record = world.run("/usr/bin/old")
    assert _first(record) == ["executable"]
    assert record.attributes[names.OTEL_FIM_NOVELTY_UNCERTAIN] == ["executable"]
    world.restart()
    world.wait(31 * _DAY)
    assert names.OTEL_FIM_NOVELTY_UNCERTAIN not in world.run("/usr/bin/newer").attributes


def test_a_flood_of_one_host_leaves_the_others_alone(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0, max_entries=1000)
    world.run("/usr/bin/a", host="quiet")
    for number in range(3000):
        world.run(f"/tmp/{'x' * (number % 60)}{'y' * (number // 60)}", host="loud")
    assert _first(world.run("/usr/bin/a", host="quiet")) is None


def test_hosts_are_bounded_and_a_silent_one_makes_room(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0, max_hosts=2)
    world.run("/usr/bin/a", host="one")
    world.run("/usr/bin/a", host="two")
    assert _first(world.run("/usr/bin/a", host="three")) is None
    assert _first(world.run("/usr/bin/b", host="three")) is None
    (gap,) = world.processor.tick()
    assert "max_hosts" in str(gap.body)
    world.wait(_DAY - 1)
    world.run("/usr/bin/a", host="one")
    world.wait(1)
    assert _first(world.run("/usr/bin/a", host="three")) == ["executable"]
    assert _first(world.run("/usr/bin/a", host="one")) is None
    (gap,) = world.processor.tick()
    assert "silent for longest was forgotten: two; when it speaks again" in str(gap.body)
    assert world.processor._memory.size == 2


def test_a_lower_bound_of_hosts_forgets_the_silent_ones(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    for number in range(30):
        world.run("/usr/bin/a", host=f"host-{number}")
        world.wait(1)
    world.restart(max_hosts=3)
    assert list(world.processor._memory.hosts) == ["host-27", "host-28", "host-29"]
    assert world.processor._memory.size == 3
    (gap,) = world.processor.tick()
    assert "host-0, host-1" in str(gap.body)
    assert "and 17 others" in str(gap.body)
    assert world.processor.tick() == []


def test_names_of_hosts_take_little_room(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    world.run("/usr/bin/a", host="h" * 100_000)
    assert _first(world.run("/usr/bin/a", host="h" * 100_000)) is None
    assert all(len(name) < 300 for name in world.processor._memory.hosts)


def test_what_is_cached_is_bounded(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    for number in range(9000):
        world.run(f"/usr/bin/{'x' * (number % 90)}{'y' * (number // 90)}", host=f"host-{number % 50}")
    hosts = world.processor._memory.hosts.values()
    assert sum(len(host.cache) for host in hosts) <= 8192
    for number in range(2000):
        world.run(f"/{'z' * 900}{chr(0x4E00 + number)}", host=f"host-{number % 50}")
    assert sum(len(part) for host in hosts for seen in host.cache for part in seen) <= 2**20 + 1024
    world.run("/" + "z" * 5000, host="host-0")
    assert all(len(seen[1]) < 1024 for host in hosts for seen in host.cache)


def test_hostile_values(make_world: Callable[..., Any]) -> None:
    world = make_world(learning_period=0)
    for value in (
        "\ud800x",
        "a\0b",
        "\n'\"\\",
        ["x", 1],
        {"k": None},
        b"\xff",
        1 << 60,
        True,
        1.5,
        "x" * 100_000,
    ):
        attributes = {names.PROCESS_EXECUTABLE_PATH: value, names.PROCESS_USER_ID: value}
        assert _first(world.put(events.PROCESS_STARTED, attributes)) == ["executable", "user_executable"]
        assert _first(world.put(events.PROCESS_STARTED, attributes)) is None
    world.put(events.PROCESS_STARTED, {})
    world.put(events.AUTH_LOGIN, {names.EVENT_OUTCOME: "success"})
    world.put(events.LISTENER_OPENED, {})
    world.put(events.PERSISTENCE_ADDED, {})
    world.restart()
