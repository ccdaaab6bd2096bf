"""What is kept over restarts, and what is known of listeners that no list has shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.host.process import Ancestor, Process
from otel_fim.receivers.listener import state
from otel_fim.receivers.listener.book import Listener, Owner
from otel_fim.receivers.listener.cookies import Cookies
from otel_fim.receivers.listener.diag_messages import Destroyed
from otel_fim.receivers.listener.fleeting import Begun, Fleeting
from otel_fim.receivers.listener.sockets import ListeningSocket
from otel_fim.receivers.listener.state import StateError, StateFile
from otel_fim.receivers.listener.transitions import Transition

NOW = (3_000, 3_000)
_HOSTILE = "/tmp/a\nb\x1b[31m\\xff\u202e"


def listener() -> Listener:
    process = Process(
        812,
        1_700_000_000_000_000_000,
        "5b1f0c6d9a3e4f27",
        parent_pid=1,
        ancestors=(Ancestor(1, "0c11d6a2b7f94e50", "/usr/lib/systemd/systemd", "systemd"),),
        executable_path=_HOSTILE,
        command="x",
        effective_user_id=33,
        systemd_unit="x.service",
    )
    made = ListeningSocket("tcp", 6, "::", 80, 4711, 33, False, 12, None)
    return Listener(made, Owner(812, process, ("813 x",)), "sock_diag", {made.identity})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    assert file.read() is None
    file.write([listener()])
    remembered = file.read()
    assert remembered is not None
    assert remembered.same_boot
    (read,) = remembered.listeners
    assert (read.socket, read.owner, read.backend, read.sockets) == (
        listener().socket,
        listener().owner,
        "sock_diag",
        listener().sockets,
    )
    assert os.stat(file.path).st_mode & 0o777 == 0o600


def test_a_boot_without_an_id_is_known_by_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "boot_id", lambda: "")
    clocks = [1_800_000_030.0, 1_000.0]
    monkeypatch.setattr(state.time, "time", lambda: clocks[0])
    monkeypatch.setattr(state.time, "monotonic", lambda: clocks[1])
    file = StateFile(tmp_path)
    file.write([])
    clocks[:] = [1_800_000_330.0, 1_300.0]
    assert file.read().same_boot
    clocks[:] = [1_800_000_330.0, 10.0]
    assert not file.read().same_boot


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2}',
        b'{"version": 1, "boot": "x", "listeners": [1]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    file = StateFile(tmp_path)
    file.path.write_bytes(content)
    with pytest.raises(StateError, match="set aside as"):
        file.read()
    assert file.read() is None
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [content]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_file_is_read_or_set_aside(tmp_path_factory: Any, data: Any) -> None:
    directory = tmp_path_factory.mktemp("state")
    file = StateFile(directory)
    file.write([listener()])
    document = json.loads(file.path.read_bytes())
    place = document["listeners"][0]
    junk = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from([place, place["socket"], place.get("owner") or place]))
        if isinstance(part, dict) and part:
            part[data.draw(st.sampled_from(sorted(part)))] = data.draw(junk)
        if not isinstance(place.get("socket"), dict):
            break
    file.path.write_text(json.dumps(document))
    try:
        remembered = file.read()
    except StateError:
        return
    for each in remembered.listeners if remembered is not None else ():
        assert isinstance(each.key, tuple)
        hash(each.key)


def test_a_damaged_file_is_a_gap_and_a_first_start(host: Any, listening: Any, free_port: Any) -> None:
    (host.state / "listeners.json").write_text("{")
    port = free_port()
    listening(("127.0.0.1", port))
    host.start()
    assert host.of(port)[0].attributes[names.EVENT_ACTION] == "scan"
    (gap,) = [g for g in host.gaps() if g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "io_error"]
    assert "set aside" in str(gap.body)


def test_after_another_boot_all_is_closed_and_opened(
    host: Any, listening: Any, free_port: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    listening(("127.0.0.1", port))
    host.start()
    host.stop()
    host.records.clear()
    document = json.loads((host.state / "listeners.json").read_bytes())
    document["boot"] = "another"
    for each in document["listeners"]:
        if each["owner"] is not None and each["owner"]["process"] is not None:
            each["owner"]["process"]["entity_id"] = "another"
    (host.state / "listeners.json").write_text(json.dumps(document))
    host.start()
    host.settle()
    assert sorted(host.words(port)) == ["closed", "opened"]
    assert all(r.attributes[names.OTEL_FIM_LISTENER_WHILE_DOWN] for r in host.of(port))


def test_a_state_that_cannot_be_written_is_said_and_tried_again(
    host: Any, listening: Any, free_port: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_fim.receivers.listener.memory._RETRY_SECONDS", 0.1)
    full = True
    write = state.replace_file

    def replace_file(path: Path, data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(state, "replace_file", replace_file)
    host.start()
    listening(("127.0.0.1", free_port()))
    host.wait(lambda: any("listeners.json cannot be written" in message for _, message in host.health))
    full = False
    host.wait(lambda: (host.state / "listeners.json").exists())


def begun(number: int, port: int, *, place: int | None = None, pid: int = 812) -> Begun:
    return Begun(Transition(True, number, 4, "0.0.0.0", port, pid, 1_000), None, place)


def end(number: int, port: int, at: int = 2_000) -> Transition:
    return Transition(False, number, 4, "0.0.0.0", port, 812, at)


def notice(port: int) -> Destroyed:
    return Destroyed("tcp", 4, "0.0.0.0", port, 0, 1)


def test_a_notice_that_comes_after_the_list_is_no_news() -> None:
    first = ListeningSocket("tcp", 4, "0.0.0.0", 80, 4711, cookie=1)
    second = ListeningSocket("udp", 4, "0.0.0.0", 53, 4712, cookie=2)
    cookies = Cookies()
    cookies.listed([first, second])
    cookies.listed([second])
    assert cookies.destroyed(None, 1) == (True, None)
    assert cookies.destroyed(None, 1) == (False, None)
    assert cookies.destroyed(None, 2) == (True, second.identity)
    assert cookies.destroyed(None, 2) == (False, None)
    assert cookies.destroyed(5, 2) == (False, None)


class Clock:
    def __init__(self) -> None:
        self.now = 3_000

    def __call__(self) -> int:
        return self.now


def test_a_listener_is_told_when_its_end_and_its_namespace_are_known() -> None:
    for order in ("end first", "notice first"):
        fleeting = Fleeting(Clock())
        fleeting.begin(begun(1, 80))
        assert not fleeting.take_ended()
        if order == "end first":
            fleeting.end(end(1, 80))
            assert not fleeting.take_ended()
        fleeting.destroyed(5, notice(80))
        fleeting.end(end(1, 80))
        (told,) = fleeting.take_ended()
        assert (told.namespace, told.begun.transition.port) == (5, 80)
        assert not fleeting.take_ended()


def test_a_listed_socket_may_have_ended_since() -> None:
    fleeting = Fleeting(Clock())
    listed = ListeningSocket("tcp", 4, "0.0.0.0", 80, 4711)
    for number, (began, ended) in enumerate([(1_000, 1_100), (1_200, 2_500), (2_600, 2_700)]):
        fleeting.begin(Begun(Transition(True, number, 4, "0.0.0.0", 80, 812, began), None))
        fleeting.end(end(number, 80, at=ended))
    claimed = fleeting.claim(listed, set(), (2_000, 2_400))
    assert claimed is not None
    assert claimed.transition.monotonic_ns == 1_200
    assert fleeting.take_end(listed.identity) == 2_500
    fleeting.destroyed(5, notice(80))
    fleeting.destroyed(5, notice(80))
    assert [each.begun.transition.monotonic_ns for each in fleeting.take_ended()] == [1_000, 2_600]


def test_another_socket_at_the_same_place_is_no_proof() -> None:
    fleeting = Fleeting(Clock())
    fleeting.begin(begun(1, 80, place=6))
    fleeting.end(end(1, 80))
    fleeting.destroyed(5, notice(80))
    assert not fleeting.take_ended()
    fleeting = Fleeting(Clock())
    fleeting.destroyed(5, notice(80))
    fleeting.begin(begun(1, 80))
    fleeting.end(end(1, 80, at=4_000))
    assert not fleeting.take_ended()


def test_what_waits_is_bounded_in_number_and_time() -> None:
    clock = Clock()
    fleeting = Fleeting(clock)
    for number in range(5_000):
        fleeting.begin(begun(number, 80))
    assert len(fleeting.waiting()) == 4096
    assert fleeting.dropped == 5_000 - 4096
    for number in range(5_000):
        fleeting.end(end(number, 80))
        fleeting.destroyed(5, notice(81))
    clock.now += 60_000_000_000
    fleeting.take_ended()
    fleeting.destroyed(5, notice(80))
    assert not fleeting.take_ended()


def test_a_listed_socket_takes_what_was_told_of_it() -> None:
    fleeting = Fleeting(Clock())
    fleeting.begin(begun(1, 80, pid=1))
    fleeting.begin(begun(2, 0, pid=2))
    listed = ListeningSocket("tcp", 4, "0.0.0.0", 80, 4711)
    chosen = ListeningSocket("tcp", 4, "0.0.0.0", 40_000, 4712)
    assert fleeting.claim(chosen, {9}, NOW) is None
    claimed, other = fleeting.claim(listed, {1}, NOW), fleeting.claim(chosen, {2}, NOW)
    assert claimed is not None
    assert other is not None
    assert (claimed.transition.pid, other.transition.pid) == (1, 2)
    assert fleeting.claim(listed, {1}, NOW) is None
    assert fleeting.end(end(1, 80, at=7))
    assert fleeting.take_end(listed.identity) == 7
    assert not fleeting.waiting()
