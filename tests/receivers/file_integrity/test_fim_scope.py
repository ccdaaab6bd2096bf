"""Which paths are watched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from otel_fim.receivers.file_integrity import profile
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.scope import Rules, Scope, expand_paths, pseudo_mounts


def scope(*roots: str, forbidden: tuple[str, ...] = (), **settings: object) -> Scope:
    rules = {"include": [], "exclude": [], "hidden_names": [], **settings}
    config = FileIntegrityConfig.model_validate({"paths": ["/"], **rules})
    return Scope([os.fsencode(r) for r in roots], Rules.of(config), [os.fsencode(f) for f in forbidden])


def wants(some: Scope, path: str, *, directory: bool = False) -> bool:
    """`wants`, checked against the walk's way of asking."""
    encoded = os.fsencode(path)
    result = some.wants(encoded, directory=directory)
    parent, name = os.path.split(encoded)
    if some.descends(parent) and not some.is_root(encoded):
        walked = some.child_passes(encoded, name) and some.child_wanted(encoded, name)
        assert walked == result, path
    return result


def test_a_root_is_no_prefix() -> None:
    some = scope("/etc")
    assert wants(some, "/etc")
    assert wants(some, "/etc/passwd")
    assert wants(some, "/etc/ssh/sshd_config")
    assert not wants(some, "/etcfoo")
    assert not wants(some, "/etcfoo/x")
    assert not wants(some, "/")
    assert not some.descends(b"/")
    assert some.descends(b"/etc/ssh")


def test_hidden_files_are_left_out_unless_named() -> None:
    some = scope("/home/a", "/home/b/.config/x", hidden_names=[".ssh", ".bash*"])
    assert wants(some, "/home/a/.ssh/authorized_keys")
    assert wants(some, "/home/a/.bashrc")
    assert not wants(some, "/home/a/.cache/x")
    assert not some.descends(b"/home/a/.cache")
    # A hidden path that stands in `paths` is watched, and what is hidden below it is not.
    assert wants(some, "/home/b/.config/x/y")
    assert not wants(some, "/home/b/.config/x/.y")
    assert wants(scope("/home/a", include_hidden=True), "/home/a/.cache/x")


def test_excludes() -> None:
    some = scope("/srv", exclude=["*.log", "/srv/tmp", "node_modules"])
    assert not wants(some, "/srv/a.log")
    assert not wants(some, "/srv/tmp")
    assert not wants(some, "/srv/tmp/x")
    assert not wants(some, "/srv/a/node_modules/b/c.js")
    assert wants(some, "/srv/tmpx")
    assert not some.descends(b"/srv/tmp/a/b")


def test_includes_are_for_what_is_reported_not_for_where_to_look() -> None:
    some = scope("/srv", include=["*.conf", "/srv/keys/**"])
    assert wants(some, "/srv/a/b.conf")
    assert wants(some, "/srv/keys/x/y")
    assert not wants(some, "/srv/a/b.txt")
    assert not wants(some, "/srv/a", directory=True)
    assert some.descends(b"/srv/a")


def test_not_recursive() -> None:
    some = scope("/srv", recursive=False)
    assert wants(some, "/srv/a")
    assert wants(some, "/srv/d", directory=True)
    assert not wants(some, "/srv/d/x")
    assert not some.descends(b"/srv/d")


def test_the_agents_own_directories_are_never_watched() -> None:
    some = scope("/srv", "/var/lib/otel-fim/x", forbidden=("/srv/state", "/var/lib/otel-fim"))
    assert not wants(some, "/srv/state")
    assert not wants(some, "/srv/state/journal/1")
    assert wants(some, "/srv/statement")
    assert some.roots == [b"/srv"]


def test_roots_within_roots() -> None:
    some = scope("/etc", "/etc/ssh", "/etc/.hidden/x", "/srv/a", "/srv", exclude=["a"])
    assert some.roots == [b"/etc", b"/etc/.hidden/x", b"/srv/a", b"/srv"]
    assert wants(some, "/srv/a/b")
    assert some.roots_above(b"/etc/.hidden/x/y") == [b"/etc/.hidden/x", b"/etc"]
    assert some.roots_below(b"/etc") == [b"/etc", b"/etc/.hidden/x"]
    everything = scope("/")
    assert wants(everything, "/a/b")
    assert everything.roots_above(b"/a") == [b"/"]


def test_paths_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(os.path.realpath(tmp_path))
    for user in ("alice", "bob"):
        (base / user).mkdir()
    (base / "alice/.ssh").mkdir()
    (base / "file").touch()
    os.symlink(base / "alice", base / "link")
    monkeypatch.setenv("HOME", str(base))
    assert (
        expand_paths([f"{base}/*/.ssh"])
        == [
            os.fsencode(base / "alice/.ssh"),
            os.fsencode(base / "bob/.ssh"),
            os.fsencode(base / "alice/.ssh"),
        ][:2]
    )
    assert expand_paths(["~/file", "~/missing"]) == [
        os.fsencode(base / "file"),
        os.fsencode(base / "missing"),
    ]
    assert expand_paths([str(base / "link")]) == [os.fsencode(base / "link"), os.fsencode(base / "alice")]
    assert expand_paths([str(base / "link/x")]) == [os.fsencode(base / "alice/x")]
    assert expand_paths([str(base / "*.none")]) == []


def test_pseudo_file_systems_are_known() -> None:
    assert b"/proc" in pseudo_mounts()


def test_the_default_profile() -> None:
    config = FileIntegrityConfig()
    some = Scope(expand_paths(config.paths), Rules.of(config))
    assert wants(some, "/etc/passwd")
    assert wants(some, "/etc/ssh/sshd_config")
    home = profile.home_directory()
    assert wants(some, f"{home}/.ssh/authorized_keys")
    assert wants(some, f"{home}/.bashrc")
    assert not wants(some, f"{home}/.cache/x")
    assert not wants(some, "/etc/x/__pycache__/y.pyc")
    assert all("/" not in name for name in config.hidden_names)


def test_a_pattern_that_cannot_be_understood_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ValidationError, match="range b-a"):
        FileIntegrityConfig(paths=["/etc"], exclude=["[b-a]"])
