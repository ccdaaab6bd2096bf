"""Setuid and setgid files and file capabilities: found by the walk, by file events, and gone when they are gone."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.persistence import PersistenceReceiver
from otel_fim.receivers.persistence.engine import Engine
from otel_fim.receivers.persistence.formats.capabilities import capability_text
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.kinds.special_bits import SpecialBits
from otel_fim.receivers.persistence.mounts import local, mount_of, parse_mounts
from otel_fim.receivers.persistence.reader import Reader
from otel_fim.receivers.persistence.sweep import walk

_root = pytest.mark.root
_needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _capability(revision: int, permitted: int, inheritable: int, effective: bool, root: int = 0) -> bytes:
    magic = (revision << 24) | effective
    pairs = struct.pack("<II", permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF)
    if revision > 1:
        pairs += struct.pack("<II", permitted >> 32, inheritable >> 32)
    return struct.pack("<I", magic) + pairs + (struct.pack("<I", root) if revision == 3 else b"")


def test_capabilities_read_as_getcap_shows_them() -> None:
    net_raw, bpf = 1 << 13, 1 << 39
    assert capability_text(_capability(1, net_raw, 0, True)) == "cap_net_raw=ep"
    assert capability_text(_capability(2, net_raw | bpf, 0, True)) == "cap_net_raw,cap_bpf=ep"
    assert capability_text(_capability(2, net_raw, bpf, False)) == "cap_net_raw=p cap_bpf=i"
    assert capability_text(_capability(3, net_raw, net_raw, True, 1000)) == "cap_net_raw=eip [root 1000]"
    assert capability_text(_capability(2, 0, 0, True)) == ""
    assert capability_text(_capability(2, 1 << 62, 0, False)) == "cap_62=p"
    assert capability_text(_capability(2, net_raw, 0, True)[:-1]) is None
    assert capability_text(b"\x00\x00\x00\x09" + b"\x00" * 16) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_capabilities_or_none(value: bytes) -> None:
    text = capability_text(value)
    assert text is None or text.isascii()


@_root
@_needs_root
def test_real_capabilities_are_found(tmp_path: Path) -> None:
    program = tmp_path / "ping"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o755)
    try:
        os.setxattr(program, "security.capability", _capability(2, 1 << 13, 0, True))
    except OSError as error:
        pytest.skip(f"this file system keeps no capabilities: {error}")
    (item,) = SpecialBits(patience=30).read(Host(os.fsencode(tmp_path)), Reader(os.fsencode(tmp_path)))
    assert (item.kind, item.path, item.trigger) == ("file_capability", b"/ping", "start, with cap_net_raw=ep")


_MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 254:0 /srv/data /mnt/a\040b rw,nosuid - ext4 /dev/vda rw
31 27 254:16 / /usr/local ro,nosuid,nodev - ext4 /dev/vdb ro
32 27 254:16 / /opt rw - ext4 /dev/vdb rw
33 27 0:50 / /home rw - nfs4 server:/home rw
34 27 0:51 / /tmp rw,nosuid - tmpfs tmpfs rw
broken line
"""


def test_each_local_file_system_is_walked_once() -> None:
    mounts = parse_mounts(_MOUNTINFO)
    assert [mount.point for mount in local(mounts)] == [b"/", b"/opt", b"/tmp"]
    by_point = {mount.point: mount for mount in mounts}
    inside = mount_of(b"/mnt/a b/x", by_point)
    assert inside is not None
    assert inside.nosuid
    outside = mount_of(b"/usr/bin/su", by_point)
    assert outside is not None
    assert not outside.nosuid


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([b"1 2 3:4 ", b"/", b" - ", b"ext4", b"\\040", b"\n", b" "])).map(b"".join),
    )
)
def test_any_bytes_are_a_mount_table(data: bytes) -> None:
    mounts = parse_mounts(data)
    assert len(local(mounts)) <= len(mounts)


def test_the_walk_is_paced_stopped_and_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "barred").mkdir()
    (tmp_path / "barred" / "file").touch()
    root = os.fsencode(tmp_path)
    sweep = walk(
        [root], frozenset((root + b"/barred",)), lambda _: True, per_second=1e6, stopped=lambda: False
    )
    assert sweep is not None
    assert sweep.found == {root + b"/in/deep/file"}
    for number in range(300):
        (tmp_path / f"{number}").touch()
    assert walk([root], frozenset(), lambda _: True, per_second=1000, stopped=lambda: True) is None


def test_what_cannot_be_entered_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.fsencode(tmp_path)
    scan = os.scandir

    def refuse(path: bytes) -> Any:
        if path.endswith(b"closed"):
            raise PermissionError(13, "closed")
        return scan(path)

    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    sweep = walk([root], frozenset(), lambda _: True, per_second=1e6, stopped=lambda: False)
    assert sweep is not None
    assert sweep.problems == {root + b"/closed": "permission_denied"}


def _told(records: list[Any]) -> list[tuple[str, object, object]]:
    return [
        (
            record.event_name.rsplit(".", 1)[1],
            record.attributes[names.OTEL_FIM_PERSISTENCE_KIND],
            record.attributes[names.OTEL_FIM_PERSISTENCE_ID],
        )
        for record in records
    ]


def test_a_file_event_of_a_new_setuid_file_is_enough(bench: Any) -> None:
    bench.write("/usr/bin/su", b"su", 0o4755)
    engine = bench.start(kinds=["special_bits"])
    assert bench.look() == []
    bench.write("/home/x/.cache/sh", b"shell", 0o4755)
    assert bench.look() == []  # a scan alone does not walk again
    engine.heard([bench.file_event("/home/x/.cache/sh", events.FILE_CREATED)])
    engine.look_at_what_waits()
    (record,) = bench.pipeline.take()
    assert _told([record]) == [("added", "setuid", "/home/x/.cache/sh")]
    # The bit goes: a scan sees it, as it looks again at what is known.
    (bench.root / "home/x/.cache/sh").chmod(0o755)
    assert _told(bench.look()) == [("removed", "setuid", "/home/x/.cache/sh")]
    # Another program in the place of a known one.
    bench.write("/usr/bin/su", b"not su", 0o4755)
    assert _told(bench.look()) == [("changed", "setuid", "/usr/bin/su")]


def test_setuid_files_made_while_the_agent_was_down_are_told(bench: Any) -> None:
    bench.write("/usr/bin/su", b"su", 0o4755)
    bench.write("/usr/bin/wall", b"wall", 0o2755)
    bench.start(kinds=["special_bits"])
    bench.stop()
    bench.write("/usr/bin/door", b"door", 0o6755)
    (bench.root / "usr/bin/wall").unlink()
    bench.start(kinds=["special_bits"])
    records = bench.pipeline.take()
    assert sorted(_told(records)) == [
        ("added", "setgid", "/usr/bin/door"),
        ("added", "setuid", "/usr/bin/door"),
        ("removed", "setgid", "/usr/bin/wall"),
    ]
    assert all(record.attributes[names.OTEL_FIM_PERSISTENCE_WHILE_DOWN] for record in records)


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Walks wait until it is set."""
    go = threading.Event()
    real_walk = walk

    def slow(*arguments: Any, **settings: Any) -> Any:
        assert go.wait(30)
        return real_walk(*arguments, **settings)

    monkeypatch.setattr("otel_fim.receivers.persistence.kinds.special_bits.walk", slow)
    yield go
    go.set()


def test_until_the_walk_is_over_a_gap_says_so_and_nothing_is_told(bench: Any, go: threading.Event) -> None:
    bench.write("/usr/bin/su", b"su", 0o4755)
    engine = bench.start(kinds=["special_bits"])
    gaps = [record for record in bench.pipeline.records if record.event_name == events.COVERAGE_GAP]
    assert len(gaps) == 1
    assert "setuid" in gaps[0].attributes[names.OTEL_FIM_COVERAGE_DETAIL]
    assert bench.look() == []
    go.set()
    (kind,) = engine._kinds.values()
    deadline = time.monotonic() + 30
    while kind._sweep is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _told(bench.look()) == []  # what was there before is taken as it is
    assert _told(bench.look()) == []
    [over] = [r for r in bench.pipeline.records if r.event_name == events.COVERAGE_RESTORED]
    assert "looked through" in over.attributes[names.OTEL_FIM_COVERAGE_DETAIL]
    bench.write("/usr/bin/su", b"other", 0o4755)
    assert _told(bench.look()) == [("changed", "setuid", "/usr/bin/su")]


def _ended(bench: Any) -> Callable[[], bool]:
    return lambda: any(r.event_name == events.COVERAGE_RESTORED for r in bench.pipeline.records)


def test_a_bit_that_is_set_during_the_first_walk_is_told_and_once(bench: Any, go: threading.Event) -> None:
    bench.write("/usr/bin/su", b"su", 0o4755)
    bench.write("/usr/bin/true", b"true", 0o755)
    bench.receiver(kinds=["special_bits"], interval="1h")
    [hear] = bench.listeners
    # What was there and is touched is as it was.
    hear([bench.file_event("/usr/bin/su", events.FILE_ATTRIBUTES_CHANGED, **{names.FILE_MODE: "4755"})])
    bench.write("/usr/bin/new", b"new", 0o2755)
    hear([bench.file_event("/usr/bin/new", events.FILE_CREATED, **{names.FILE_MODE: "2755"})])
    (bench.root / "usr/bin/true").chmod(0o4755)
    modes = {names.FILE_MODE: "4755", names.before(names.FILE_MODE): "0755"}
    actor = {names.PROCESS_PID: 7}
    hear([bench.file_event("/usr/bin/true", events.FILE_ATTRIBUTES_CHANGED, actor, **modes)])
    bench.pipeline.wait_for(lambda: len(bench.pipeline.told()) == 2)
    assert sorted(bench.pipeline.told()) == [("added", "/usr/bin/new"), ("added", "/usr/bin/true")]
    assert names.OTEL_FIM_PERSISTENCE_WHILE_DOWN not in bench.pipeline.records[-1].attributes
    go.set()
    # The end of the walk is told when it ends, and not at the next scan.
    bench.pipeline.wait_for(_ended(bench))
    assert len(bench.pipeline.told()) == 2


def test_an_event_that_comes_before_the_first_look_counts(
    bench: Any, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = threading.Event()
    first_scan = Engine.first_scan

    def late(engine: Engine) -> None:
        assert look.wait(30)
        first_scan(engine)

    monkeypatch.setattr(Engine, "first_scan", late)
    receiver = PersistenceReceiver(bench.config(kinds=["special_bits"]), bench.context())
    bench.receivers.append(receiver)
    receiver.start()
    bench.write("/usr/bin/new", b"new", 0o4755)
    bench.listeners[0]([bench.file_event("/usr/bin/new", events.FILE_CREATED)])
    look.set()
    bench.pipeline.wait_for(lambda: bench.pipeline.told() == [("added", "/usr/bin/new")])


@pytest.mark.parametrize(
    ("kind", "path", "content"),
    [
        ("special_bits", "/usr/bin/new", "x"),
        ("web_documents", "/var/www/.user.ini", "auto_prepend_file = /tmp/x\n"),
    ],
)
def test_a_file_event_counts_also_when_all_is_to_be_read_again(
    bench: Any, kind: str, path: str, content: str
) -> None:
    engine = bench.start(kinds=[kind])
    bench.write(path, content, 0o4755)
    engine._dirty.later(kind, 60)
    engine.heard([bench.file_event(path, events.FILE_CREATED, {names.PROCESS_PID: 7})])
    task = engine._dirty.wait(time.monotonic() + 30)
    assert task is not None
    assert task.whole
    engine.look(task)
    [record] = bench.pipeline.take()
    assert record.attributes[names.PROCESS_PID] == 7


def test_the_baseline_has_what_the_walk_finds_later(bench: Any, go: threading.Event) -> None:
    bench.write("/usr/bin/su", b"su", 0o4755)
    bench.receiver(kinds=["special_bits"], interval="1h", baseline_records=True)
    assert bench.pipeline.told() == []
    go.set()
    bench.pipeline.wait_for(_ended(bench))
    [record] = [r for r in bench.pipeline.records if r.event_name == events.PERSISTENCE_ADDED]
    assert (record.attributes[names.EVENT_ACTION], record.severity_text) == ("scan", "INFO")


def test_known_files_are_looked_at_when_a_run_begins_whatever_the_walk_takes(
    bench: Any, go: threading.Event
) -> None:
    for name in ("gone", "other", "same"):
        bench.write(f"/usr/bin/{name}", name, 0o4755)
    go.set()
    bench.start(kinds=["special_bits"])
    bench.stop()
    go.clear()
    (bench.root / "usr/bin/gone").unlink()
    bench.write("/usr/bin/other", "another", 0o4755)
    bench.start(kinds=["special_bits"])
    records = bench.pipeline.take()
    assert sorted(_told(records)) == [
        ("changed", "setuid", "/usr/bin/other"),
        ("removed", "setuid", "/usr/bin/gone"),
    ]
    assert all(record.attributes[names.OTEL_FIM_PERSISTENCE_WHILE_DOWN] for record in records)


def test_who_takes_a_bit_away_is_named(bench: Any) -> None:
    bench.write("/usr/bin/a", b"a", 0o4755)
    bench.write("/usr/bin/b", b"b", 0o4755)
    engine = bench.start(kinds=["special_bits"])
    (bench.root / "usr/bin/a").unlink()
    (bench.root / "usr/bin/b").chmod(0o755)
    actor = {names.PROCESS_PID: 7}
    had = {names.before(names.FILE_MODE): "4755"}
    engine.heard(
        [
            bench.file_event("/usr/bin/a", events.FILE_DELETED, actor, **had),
            bench.file_event("/usr/bin/b", events.FILE_MODIFIED, actor, **had, **{names.FILE_MODE: "0755"}),
        ]
    )
    engine.look_at_what_waits()
    records = bench.pipeline.take()
    assert [record.event_name for record in records] == [events.PERSISTENCE_REMOVED] * 2
    assert all(record.attributes[names.PROCESS_PID] == 7 for record in records)


@pytest.mark.parametrize(
    ("event", "mode", "before", "changed", "new"),
    [
        (events.FILE_CREATED, "4755", None, None, True),
        (events.FILE_RENAMED, "4755", None, None, True),
        (events.FILE_MODIFIED, "4755", None, None, False),
        (events.FILE_ATTRIBUTES_CHANGED, "4755", "0755", None, True),
        (events.FILE_ATTRIBUTES_CHANGED, "4755", "4711", None, False),
        (events.FILE_ATTRIBUTES_CHANGED, "0755", None, [names.FILE_CHANGED], True),
        (events.FILE_ATTRIBUTES_CHANGED, "0755", None, [names.FILE_CHANGED, names.FILE_OWNER_ID], False),
        (events.FILE_DELETED, None, "4755", None, False),
    ],
)
def test_an_event_says_whether_a_bit_is_new(
    bench: Any, event: str, mode: str | None, before: str | None, changed: list[str] | None, new: bool
) -> None:
    told = {
        names.FILE_MODE: mode,
        names.before(names.FILE_MODE): before,
        names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES: changed,
    }
    more = {name: value for name, value in told.items() if value is not None}
    assert SpecialBits().brings(bench.file_event("/x", event, **more)) is new


def test_more_files_than_can_be_held_are_a_gap(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.persistence.kinds.special_bits.MOST_KNOWN", 5)
    for number in range(9):
        bench.write(f"/tmp/{number}", b"x", 0o4755)
    engine = bench.start(kinds=["special_bits"])
    assert len(engine._book.known("special_bits")) == 5
    [gap] = [record for record in bench.pipeline.records if record.event_name == events.COVERAGE_GAP]
    assert "too much" in gap.attributes[names.OTEL_FIM_COVERAGE_DETAIL]
    assert bench.look() == []


def test_directories_that_are_skipped_are_configured(bench: Any) -> None:
    bench.write("/var/lib/docker/layer/su", b"su", 0o4755)
    bench.write("/usr/bin/su", b"su", 0o4755)
    bench.receiver(kinds=["special_bits"], baseline_records=True, setuid_scan_interval="2h")
    assert bench.pipeline.told() == [("added", "/usr/bin/su")]
    (kind,) = bench.receivers[0]._engine._kinds.values()
    assert kind.scan_interval == 7200


@pytest.mark.parametrize(
    ("event", "mode", "concerned"),
    [
        (events.FILE_CREATED, "0644", False),
        (events.FILE_CREATED, "4755", True),
        (events.FILE_MODIFIED, "2711", True),
        (events.FILE_ATTRIBUTES_CHANGED, "0755", True),
        (events.FILE_RENAMED, None, True),
        (events.FILE_DELETED, None, False),
        (events.FILE_CREATED, "odd", True),
    ],
)
def test_most_file_events_are_of_no_concern(
    bench: Any, event: str, mode: str | None, concerned: bool
) -> None:
    more = {} if mode is None else {names.FILE_MODE: mode}
    assert SpecialBits().concerned(bench.file_event("/x", event, **more)) is concerned
