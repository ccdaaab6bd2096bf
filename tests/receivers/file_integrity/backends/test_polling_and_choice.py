"""Polling, and which backend is taken for which root."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_fim.receivers.file_integrity.backend import Change
from otel_fim.receivers.file_integrity.backends import choice, choose_backend
from otel_fim.receivers.file_integrity.backends.mounts import Mount
from otel_fim.receivers.file_integrity.backends.polling import PollingBackend
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig

LOGGER = logging.getLogger(__name__)


def test_polling_asks_for_every_root_again_and_again(watching: Any, tmp_path: Path) -> None:
    backend = PollingBackend(0.02)
    sink = watching.start(backend, tmp_path, b"/missing")
    sink.wait(lambda: len(sink.of(b"/missing")) >= 3)
    assert sink.changes(tmp_path) == Change.SUBTREE | Change.DIRECTORY
    backend.stop(10)
    seen = len(sink.seen)
    assert len(sink.of(tmp_path)) == len(sink.of(b"/missing"))
    assert len(sink.seen) == seen


def test_polling_survives_a_sink_that_fails(tmp_path: Path, until: Any) -> None:
    calls = []

    class Failing:
        def hints(self, hints: Any) -> None:
            calls.append(hints)
            raise RuntimeError("full")

        def lost(self, reason: str, scope: bytes | None, detail: str) -> None: ...

    class Everything:
        def wants(self, path: bytes, *, directory: bool) -> bool:
            return True

        def descends(self, path: bytes) -> bool:
            return True

    backend = PollingBackend(0.01)
    backend.start([b"/x"], Everything(), Failing())
    until(lambda: len(calls) > 2)
    backend.stop(10)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        PollingBackend(0)


def chosen(backend: str, *roots: bytes, **settings: Any) -> list[tuple[str, list[bytes]]]:
    config = FileIntegrityConfig.model_validate({"paths": ["/etc"], "backend": backend, **settings})
    return [(each.name, paths) for each, paths in choose_backend(config, roots, frozenset, LOGGER)]


def test_what_is_configured_is_taken(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    assert chosen("polling", root) == [("polling", [root])]
    assert chosen("inotify", root) == [("inotify", [root])]


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_root_gets_fanotify(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    assert chosen("auto", root, b"/missing/root") == [("fanotify", [root, b"/missing/root"])]
    assert chosen("fanotify", root) == [("fanotify", [root])]


def test_network_file_systems_are_polled(monkeypatch: Any) -> None:
    table = [
        Mount(1, b"8:1", b"/", b"ext4"),
        Mount(2, b"0:50", b"/srv/share", b"nfs4"),
        Mount(3, b"0:51", b"/etc/remote", b"fuse.sshfs"),
        Mount(4, b"0:52", b"/other", b"cifs"),
    ]
    monkeypatch.setattr(choice, "read_mounts", lambda: table)
    result = chosen("auto", b"/etc", b"/srv/share/data")
    assert result[-1] == ("polling", [b"/srv/share/data", b"/etc/remote"])
    assert [paths for _, paths in result[:-1]] == [[b"/etc"]]
    alone = chosen("auto", b"/etc", b"/srv/share/data", one_file_system=True)
    assert alone[-1] == ("polling", [b"/srv/share/data"])


@pytest.mark.root
@pytest.mark.usefixtures("needs_root")
def test_without_rights(tmp_path: Path) -> None:
    script = f"""
import logging, os
from otel_fim.receivers.file_integrity.backends import choose_backend, inotify
from otel_fim.receivers.file_integrity.backend import BackendUnavailableError
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
roots = [{os.fsencode(tmp_path)!r}]
auto = FileIntegrityConfig(paths=["/etc"])
assert [(b.name, r) for b, r in choose_backend(auto, roots, frozenset, logging.getLogger())] == [("inotify", roots)]
try:
    choose_backend(FileIntegrityConfig(paths=["/etc"], backend="fanotify"), roots, frozenset, logging.getLogger())
except BackendUnavailableError as error:
    assert "CAP_SYS_ADMIN" in str(error), error
else:
    raise AssertionError("fanotify without rights")
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
