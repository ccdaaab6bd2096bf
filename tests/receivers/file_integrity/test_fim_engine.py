"""What is told for what happens, on a real directory; hints stand in for a backend."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.file_integrity.backend import Actor, Change

CREATED = Change.CREATED | Change.CONTENT
DIRECTORY = Change.DIRECTORY


def test_the_first_baseline_is_taken_as_given(host: Any) -> None:
    (host.tree / "a").write_text("a")
    (host.tree / "d").mkdir()
    (host.tree / "d/b").write_text("b")
    host.start()
    assert host.told() == []
    assert host.baseline.count()[0] == 4
    assert host.baseline.roots()[os.fsencode(host.tree)] is not None


def test_created(host: Any) -> None:
    host.start()
    (host.tree / "a.conf").write_bytes(b"hello")
    host.hint("a.conf", CREATED)
    host.wait(lambda: len(host.told()) == 1)
    record = host.only(events.FILE_CREATED, "a.conf")
    told = record.attributes
    assert told[names.FILE_HASH_SHA256] == hashlib.sha256(b"hello").hexdigest()
    assert told[names.FILE_NAME] == "a.conf"
    assert told[names.FILE_DIRECTORY] == str(host.tree)
    assert told[names.FILE_EXTENSION] == "conf"
    assert told[names.FILE_SIZE] == 5
    assert told[names.FILE_TYPE] == "file"
    assert told[names.FILE_OWNER_ID] == str(os.getuid())
    assert told[names.OTEL_FIM_FILE_BACKEND] == "fanotify"
    assert names.OTEL_FIM_FILE_WHILE_DOWN not in told
    assert record.body == f"created {host.tree}/a.conf"
    assert record.severity_text == "INFO"


def test_modified_has_the_values_before_of_exactly_what_changed(host: Any) -> None:
    (host.tree / "a").write_bytes(b"one")
    host.start()
    (host.tree / "a").write_bytes(b"three")
    host.hint("a", Change.CONTENT)
    host.wait(lambda: len(host.told()) == 1)
    told = host.only(events.FILE_MODIFIED, "a").attributes
    assert set(told[names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES]) == {
        names.FILE_SIZE,
        names.FILE_MODIFIED,
        names.FILE_CHANGED,
        names.FILE_HASH_SHA256,
    }
    assert told[names.before(names.FILE_SIZE)] == 3
    assert told[names.before(names.FILE_HASH_SHA256)] == hashlib.sha256(b"one").hexdigest()
    before = {name for name in told if name.startswith(names.BEFORE_PREFIX)}
    assert before == {names.before(name) for name in told[names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES]}
    assert names.OTEL_FIM_FILE_REPLACED not in told


def test_a_burst_of_writes_is_one_record_with_the_final_state(host: Any) -> None:
    (host.tree / "a").write_text("0")
    host.start(settle=0.2)
    for number in range(20):
        (host.tree / "a").write_text(str(number))
        host.hint("a", Change.CONTENT)
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "a")]
    told = host.only(events.FILE_MODIFIED, "a").attributes
    assert told[names.FILE_HASH_SHA256] == hashlib.sha256(b"19").hexdigest()


def test_attributes_changed(host: Any) -> None:
    (host.tree / "a").write_text("a")
    os.chmod(host.tree / "a", 0o644)
    host.start()
    os.chmod(host.tree / "a", 0o4755)
    host.hint("a", Change.ATTRIBUTES)
    host.wait(lambda: len(host.told()) == 1)
    told = host.only(events.FILE_ATTRIBUTES_CHANGED, "a").attributes
    assert told[names.FILE_MODE] == "4755"
    assert told[names.before(names.FILE_MODE)] == "0644"
    assert names.FILE_MODE in told[names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES]


def test_a_hint_without_a_change_tells_nothing(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start()
    host.hint("a", Change.CONTENT)
    host.hint("never-there", Change.CONTENT)
    host.hint("never-there-either", Change.DELETED)
    host.wait()
    assert host.told() == []


def test_deleted_tells_what_it_was(host: Any) -> None:
    (host.tree / "a").write_bytes(b"secret")
    host.start()
    os.remove(host.tree / "a")
    host.hint("a", Change.DELETED)
    host.wait(lambda: len(host.told()) == 1)
    record = host.only(events.FILE_DELETED, "a")
    assert record.attributes[names.before(names.FILE_HASH_SHA256)] == hashlib.sha256(b"secret").hexdigest()
    assert names.FILE_HASH_SHA256 not in record.attributes
    assert record.severity_text == "WARN"


def test_gone_before_it_could_be_looked_at(host: Any) -> None:
    host.start()
    host.hint("ghost", CREATED)
    host.hint("ghost", Change.DELETED)
    host.wait(lambda: len(host.told()) == 2)
    assert host.told() == [("created", "ghost"), ("deleted", "ghost")]
    told = host.only(events.FILE_CREATED, "ghost").attributes
    assert told[names.OTEL_FIM_FILE_NOT_HASHED] == "deleted"
    assert names.FILE_HASH_SHA256 not in told


def test_atomic_replace_is_one_modified(host: Any) -> None:
    (host.tree / "passwd").write_bytes(b"old")
    inode = os.stat(host.tree / "passwd").st_ino
    host.start(settle=0.1)
    (host.tree / "passwd.tmp").write_bytes(b"new")
    host.hint("passwd.tmp", CREATED)
    os.rename(host.tree / "passwd.tmp", host.tree / "passwd")
    host.hint("passwd", Change.MOVED_TO, old="passwd.tmp")
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "passwd")]
    told = host.only(events.FILE_MODIFIED, "passwd").attributes
    assert told[names.OTEL_FIM_FILE_REPLACED] is True
    assert told[names.before(names.FILE_INODE)] == str(inode)
    assert told[names.FILE_INODE] != str(inode)
    assert told[names.before(names.FILE_HASH_SHA256)] == hashlib.sha256(b"old").hexdigest()


def test_an_editor_that_keeps_a_backup_is_one_modified(host: Any) -> None:
    (host.tree / "passwd").write_bytes(b"old")
    host.start(settle=0.1)
    os.rename(host.tree / "passwd", host.tree / "passwd~")
    host.hint("passwd~", Change.MOVED_TO, old="passwd")
    (host.tree / "passwd").write_bytes(b"new")
    host.hint("passwd", CREATED)
    os.remove(host.tree / "passwd~")
    host.hint("passwd~", Change.DELETED)
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("modified", "passwd")]


def test_renamed(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start()
    os.rename(host.tree / "a", host.tree / "b")
    host.hint("b", Change.MOVED_TO, old="a")
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("renamed", "b")]
    record = host.only(events.FILE_RENAMED, "b")
    assert record.attributes[names.before(names.FILE_PATH)] == str(host.tree / "a")
    assert record.body == f"renamed {host.tree}/a to {host.tree}/b"


def test_a_chain_of_renames_is_one(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start(settle=0.1)
    for old, new in (("a", "b"), ("b", "c"), ("c", "d")):
        os.rename(host.tree / old, host.tree / new)
        host.hint(new, Change.MOVED_TO, old=old)
    host.wait(lambda: len(host.told()) >= 1)
    assert host.told() == [("renamed", "d")]
    assert host.only(events.FILE_RENAMED, "d").attributes[names.before(names.FILE_PATH)] == str(
        host.tree / "a"
    )


def test_rotation_is_a_rename_and_a_new_file(host: Any) -> None:
    (host.tree / "log").write_text("old lines")
    host.start(settle=0.1)
    os.rename(host.tree / "log", host.tree / "log.1")
    host.hint("log.1", Change.MOVED_TO, old="log")
    (host.tree / "log").write_text("")
    host.hint("log", CREATED)
    host.wait(lambda: len(host.told()) >= 2)
    assert sorted(host.told()) == [("created", "log"), ("renamed", "log.1")]


def test_a_rename_over_a_known_file_is_modified_and_deleted(host: Any) -> None:
    (host.tree / "a").write_text("a")
    (host.tree / "b").write_text("b")
    host.start()
    os.rename(host.tree / "a", host.tree / "b")
    host.hint("b", Change.MOVED_TO, old="a")
    host.wait(lambda: len(host.told()) >= 2)
    assert sorted(host.told()) == [("deleted", "a"), ("modified", "b")]
    told = host.only(events.FILE_MODIFIED, "b").attributes
    assert told[names.OTEL_FIM_FILE_REPLACED] is True
    assert told[names.before(names.FILE_PATH)] == str(host.tree / "a")


def test_renamed_and_written_to(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start(settle=0.1)
    os.rename(host.tree / "a", host.tree / "b")
    host.hint("b", Change.MOVED_TO, old="a")
    (host.tree / "b").write_text("more")
    host.hint("b", Change.CONTENT)
    host.wait(lambda: len(host.told()) >= 2)
    assert host.told() == [("renamed", "b"), ("modified", "b")]


def test_a_renamed_directory_takes_its_children_along(host: Any) -> None:
    (host.tree / "d/sub").mkdir(parents=True)
    (host.tree / "d/f").write_text("f")
    (host.tree / "d/sub/g").write_text("g")
    host.start()
    os.rename(host.tree / "d", host.tree / "e")
    host.hint("e", Change.MOVED_TO | DIRECTORY, old="d")
    host.wait(lambda: len(host.told()) >= 4)
    assert sorted(host.told()) == [
        ("renamed", "e"),
        ("renamed", "e/f"),
        ("renamed", "e/sub"),
        ("renamed", "e/sub/g"),
    ]
    host.restart()
    assert host.told() == []


def test_a_directory_moved_in_and_out(host: Any, tmp_path: Any) -> None:
    (tmp_path / "outside/sub").mkdir(parents=True)
    (tmp_path / "outside/sub/f").write_text("f")
    host.start()
    os.rename(tmp_path / "outside", host.tree / "in")
    host.hint("in", Change.MOVED_TO | DIRECTORY | Change.SUBTREE)
    host.wait(lambda: len(host.told()) >= 3)
    assert host.told() == [("created", "in"), ("created", "in/sub"), ("created", "in/sub/f")]
    host.pipeline.records.clear()
    os.rename(host.tree / "in", tmp_path / "outside")
    host.hint("in", Change.MOVED_FROM | DIRECTORY)
    host.wait(lambda: len(host.told()) >= 3)
    assert host.told() == [("deleted", "in/sub/f"), ("deleted", "in/sub"), ("deleted", "in")]


def test_a_new_directory_is_filled_without_further_events(host: Any) -> None:
    host.start()
    (host.tree / "d/e").mkdir(parents=True)
    (host.tree / "d/e/f").write_text("f")
    host.hint("d", Change.CREATED | DIRECTORY)
    host.wait(lambda: len(host.told()) >= 3)
    assert host.told() == [("created", "d"), ("created", "d/e"), ("created", "d/e/f")]


def test_a_file_in_a_new_directory_whose_own_event_is_missing(host: Any) -> None:
    host.start()
    (host.tree / "d").mkdir()
    (host.tree / "d/f").write_text("f")
    host.hint("d/f", CREATED)
    host.wait(lambda: len(host.told()) >= 2)
    assert sorted(host.told()) == [("created", "d"), ("created", "d/f")]


def test_a_tree_removed(host: Any) -> None:
    (host.tree / "d/e").mkdir(parents=True)
    for name in ("d/1", "d/2", "d/e/3"):
        (host.tree / name).write_text(name)
    host.start()
    shutil.rmtree(host.tree / "d")
    host.hint("d", Change.DELETED | DIRECTORY)
    host.wait(lambda: len(host.told()) >= 5)
    assert sorted(host.told()) == [
        ("deleted", "d"),
        ("deleted", "d/1"),
        ("deleted", "d/2"),
        ("deleted", "d/e"),
        ("deleted", "d/e/3"),
    ]
    assert host.told()[-1] == ("deleted", "d")
    host.stop()
    host.start()
    assert host.baseline.count() == (1, 2)


def test_a_directory_replaced_by_a_file(host: Any) -> None:
    (host.tree / "x").mkdir()
    (host.tree / "x/f").write_text("f")
    host.start()
    shutil.rmtree(host.tree / "x")
    (host.tree / "x").write_text("now a file")
    host.hint("x", CREATED)
    host.wait(lambda: len(host.told()) >= 2)
    assert host.told() == [("deleted", "x/f"), ("modified", "x")]
    told = host.only(events.FILE_MODIFIED, "x").attributes
    assert told[names.before(names.FILE_TYPE)] == "dir"
    assert told[names.FILE_TYPE] == "file"


def test_symbolic_links_are_told_by_their_target(host: Any) -> None:
    os.symlink("/etc/passwd", host.tree / "link")
    host.start()
    os.remove(host.tree / "link")
    os.symlink("/etc/shadow", host.tree / "link")
    host.hint("link", Change.CREATED)
    host.wait(lambda: len(host.told()) >= 1)
    told = host.only(events.FILE_MODIFIED, "link").attributes
    assert told[names.FILE_SYMBOLIC_LINK_TARGET_PATH] == "/etc/shadow"
    assert told[names.before(names.FILE_SYMBOLIC_LINK_TARGET_PATH)] == "/etc/passwd"
    assert told[names.FILE_TYPE] == "symlink"
    assert names.FILE_HASH_SHA256 not in told


def test_a_file_outside_the_rules_is_not_told(host: Any) -> None:
    host.start(exclude=["*.log"])
    for name in (".hidden", "x.log"):
        (host.tree / name).write_text("x")
        host.hint(name, CREATED)
    host.engine.sink("fanotify").hints([])
    host.wait()
    assert host.told() == []


def test_names_that_are_not_utf8_and_names_that_forge(host: Any) -> None:
    host.start()
    odd = b"caf\xe9"
    forged = "a\nmodified passwd\x1b[2J"
    for name in (odd, forged.encode()):
        with open(host.path(name), "wb"):
            pass
        host.hint(name, CREATED)
    host.wait(lambda: len(host.told()) >= 2)
    first, second = sorted(
        host.pipeline.files(), key=lambda r: names.OTEL_FIM_FILE_PATH_BYTES in r.attributes
    )
    assert first.attributes[names.FILE_NAME] == forged
    assert "\n" not in first.body
    assert "\x1b" not in first.body
    assert r"a\nmodified passwd\x1b[2J" in first.body
    assert second.attributes[names.FILE_NAME] == r"caf\xe9"
    assert second.attributes[names.OTEL_FIM_FILE_PATH_BYTES] == host.path(odd)


ALICE = Actor(
    pid=100,
    executable_path="/usr/bin/vim.basic",
    command="vim",
    effective_user_id=0,
    real_user_id=0,
    parent_pid=99,
    parent_executable_path="/usr/bin/bash",
    parent_command="bash",
    creation_time_unix_nano=1_700_000_000_000_000_000,
    session_id=3,
)


def test_who_did_it(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start()
    (host.tree / "a").write_text("b")
    host.hint("a", Change.CONTENT, actor=ALICE)
    host.wait(lambda: len(host.told()) >= 1)
    told = host.only(events.FILE_MODIFIED, "a").attributes
    assert told[names.PROCESS_PID] == 100
    assert told[names.PROCESS_EXECUTABLE_PATH] == "/usr/bin/vim.basic"
    assert told[names.PROCESS_EXECUTABLE_NAME] == "vim.basic"
    assert told[names.USER_NAME] == "root"
    assert told[names.USER_ID] == "0"
    assert told[names.OTEL_FIM_LOGIN_SESSION_ID] == 3
    assert told[names.OTEL_FIM_ACTOR_STATE] == "running"
    assert names.OTEL_FIM_LOGIN_USER_ID not in told
    assert names.OTEL_FIM_ACTOR_OTHERS not in told


def test_the_last_writer_is_named_and_the_others_are_listed(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start(settle=0.1)
    (host.tree / "a").write_text("b")
    host.hint("a", Change.CONTENT, actor=ALICE)
    host.hint("a", Change.CONTENT, actor=Actor(pid=200, executable_path="/usr/bin/sed"))
    host.hint("a", Change.ATTRIBUTES, actor=Actor(pid=300, executable_path="/usr/bin/touch"))
    host.hint("a", Change.CONTENT, actor=Actor(pid=200, exited=True))
    host.wait(lambda: len(host.told()) >= 1)
    told = host.only(events.FILE_MODIFIED, "a").attributes
    assert told[names.PROCESS_EXECUTABLE_PATH] == "/usr/bin/sed"
    assert told[names.OTEL_FIM_ACTOR_STATE] == "running"
    assert told[names.OTEL_FIM_ACTOR_OTHERS] == ["100 /usr/bin/vim.basic", "300 /usr/bin/touch"]


def test_an_exited_writer_is_not_replaced_by_a_guess(host: Any) -> None:
    (host.tree / "a").write_text("a")
    host.start()
    (host.tree / "a").write_text("b")
    host.hint("a", Change.CONTENT, actor=Actor(pid=200, exited=True))
    host.wait(lambda: len(host.told()) >= 1)
    told = host.only(events.FILE_MODIFIED, "a").attributes
    assert told[names.PROCESS_PID] == 200
    assert told[names.OTEL_FIM_ACTOR_STATE] == "exited"
    assert names.PROCESS_EXECUTABLE_PATH not in told
    assert names.USER_ID not in told


@pytest.mark.parametrize("make", ["fifo", "socket", "device"])
def test_special_files_are_told_and_never_opened(host: Any, make: str) -> None:
    import socket
    import stat

    host.start()
    path = str(host.tree / "s")
    if make == "fifo":
        os.mkfifo(path)
    elif make == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            # The path may be too long for an address: bind where we stand.
            here = os.open(".", os.O_RDONLY)
            try:
                os.chdir(host.tree)
                server.bind("s")
            finally:
                os.fchdir(here)
                os.close(here)
    else:
        if os.geteuid() != 0:
            pytest.skip("needs root")
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    host.hint("s", Change.CREATED)
    host.wait(lambda: len(host.told()) >= 1)
    told = host.only(events.FILE_CREATED, "s").attributes
    assert told[names.FILE_TYPE] == {"device": "char_device"}.get(make, make)
    assert names.FILE_HASH_SHA256 not in told


def test_a_path_longer_than_the_kernel_takes(host: Any) -> None:
    def inside() -> int:
        fd = os.open(host.tree, os.O_RDONLY)
        for _ in range(30):
            following = os.open(name, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = following
        return fd

    name = b"d" * 200
    fd = os.open(host.tree, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=fd)
        following = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = following
    deep = b"/".join([name] * 30 + [b"f"])
    with os.fdopen(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "w") as file:
        file.write("one")
    os.close(fd)
    try:
        host.start()
        fd = inside()
        with os.fdopen(os.open("f", os.O_WRONLY, dir_fd=fd), "w") as file:
            file.write("two")
        os.close(fd)
        host.hint(deep, Change.CONTENT)
        host.wait(lambda: len(host.told()) >= 1)
        (record,) = host.pipeline.files()
        assert record.event_name == events.FILE_MODIFIED
        assert record.attributes[names.FILE_PATH] == os.fsdecode(host.path(deep))
        assert record.attributes[names.FILE_HASH_SHA256] == hashlib.sha256(b"two").hexdigest()
        host.restart()
        assert host.told() == []
        fd = inside()
        os.unlink("f", dir_fd=fd)
        os.close(fd)
        host.restart()
        assert [event for event, _ in host.told()] == ["deleted"]
        host.stop()
    finally:
        subprocess.run(["rm", "-rf", str(host.tree)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("one_file_system", [True, False])
def test_another_file_system_below(host: Any, one_file_system: bool) -> None:
    (host.tree / "mount").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(host.tree / "mount")], check=True)
    try:
        (host.tree / "mount/a").write_text("a")
        host.start(one_file_system=one_file_system)
        (host.tree / "mount/a").write_text("b")
        host.hint("mount/a", Change.CONTENT)
        (host.tree / "b").write_text("b")
        host.hint("b", CREATED)
        host.wait(lambda: ("created", "b") in host.told())
        host.wait()
        assert (("modified", "mount/a") in host.told()) is not one_file_system
        host.stop()
    finally:
        subprocess.run(["umount", str(host.tree / "mount")], check=True)
