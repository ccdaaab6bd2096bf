"""Links of ordinary users: what is opened behind one is what its owner may read, however fast it is exchanged."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from otel_fim.receivers.persistence.reader import Reader
from otel_fim.receivers.persistence.trusting import NotFollowedError, RefusedError, open_trusting

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give links away"),
]
_USER = 1000


def _read(root: Path, path: bytes) -> bytes:
    with open(open_trusting(os.fsencode(root), path), "rb") as file:
        return file.read()


def _link(link: Path, target: str | Path, uid: int = _USER) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    os.chown(link, uid, uid, follow_symlinks=False)


@pytest.fixture
def root(open_directory: Path) -> Path:
    (open_directory / "root").mkdir(mode=0o700)
    (open_directory / "root/notes").write_text("nobody else's")
    (open_directory / "root/notes").chmod(0o644)
    (open_directory / "pub").mkdir()
    (open_directory / "pub/all").write_text("for all")
    (open_directory / "pub/shadow").write_text("secret")
    (open_directory / "pub/shadow").chmod(0o600)
    return open_directory


@pytest.mark.parametrize("own", [False, True])
def test_a_readable_file_in_a_closed_directory_is_not_read_out(root: Path, own: bool) -> None:
    watched, above = (Path("/"), str(root)) if own else (root, "")
    path = f"{above}/home/.gitconfig".encode()
    link = root / "home/.gitconfig"
    _link(link, f"{above}/root/notes")
    with pytest.raises(NotFollowedError):
        _read(watched, path)
    _link(link, "../pub/shadow")
    with pytest.raises(NotFollowedError):
        _read(watched, path)
    _link(link, f"{above}/pub/all")
    assert _read(watched, path) == b"for all"
    # Whoever runs the host may lead the agent anywhere in it.
    _link(link, "../pub/shadow", 0)
    assert _read(watched, path) == b"secret"
    # A link of root's behind one of a user's does not make it root's.
    _link(root / "home/second", f"{above}/home/.gitconfig")
    with pytest.raises(NotFollowedError):
        _read(watched, f"{above}/home/second".encode())


def test_a_directory_behind_a_users_link_is_not_listed(root: Path) -> None:
    _link(root / "home/.config/autostart", root / "root")
    own = Reader(b"/")
    directory = os.fsencode(root / "home/.config/autostart")
    assert own.entries(directory) == []
    assert own.problems == {directory: "not_followed"}
    own.problems.clear()
    assert own.file(directory + b"/notes") is None
    assert own.problems == {directory + b"/notes": "not_followed"}


def test_the_agents_own_proc_is_not_read_for_a_user(root: Path) -> None:
    _link(root / "home/.profile", "/proc/self/maps")
    with pytest.raises(NotFollowedError):
        _read(Path("/"), os.fsencode(root / "home/.profile"))
    assert _read(Path("/"), b"/proc/self/comm")


def test_circles_and_devices_are_refused(root: Path) -> None:
    _link(root / "home/a", "b")
    _link(root / "home/b", "a")
    with pytest.raises(RefusedError):
        _read(Path("/"), os.fsencode(root / "home/a"))
    _link(root / "home/a", "/dev/zero")
    with pytest.raises(FileNotFoundError):
        _read(Path("/"), os.fsencode(root / "home/a"))


@pytest.mark.timeout(60)
def test_exchanging_a_file_and_a_link_never_leads_to_the_secret(root: Path) -> None:
    victim = root / "home/.profile"
    _link(root / "home/evil", "../pub/shadow")
    (root / "home/good").write_text("harmless")
    os.chown(root / "home/good", _USER, _USER)
    stop = threading.Event()

    def exchange() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            spare = root / f"home/spare{number % 2}"
            if number % 2:
                os.link(root / "home/good", spare)
            else:
                os.symlink("../pub/shadow", spare)
                os.chown(spare, _USER, _USER, follow_symlinks=False)
            os.rename(spare, victim)

    thread = threading.Thread(target=exchange)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(_read(Path("/"), os.fsencode(victim)))
            except OSError as error:
                seen.add(type(error).__name__.encode())
    finally:
        stop.set()
        thread.join(10)
    assert b"secret" not in seen
    assert len(os.listdir("/proc/self/fd")) < 200


def test_no_descriptor_is_left_open(root: Path) -> None:
    _link(root / "home/.profile", root / "root/notes")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        with pytest.raises(NotFollowedError):
            _read(Path("/"), os.fsencode(root / "home/.profile"))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
