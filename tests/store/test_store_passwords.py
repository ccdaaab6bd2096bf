"""Passwords: made once, private, and asked for."""

from __future__ import annotations

import stat
import threading
from base64 import b64encode
from pathlib import Path

import pytest

from otel_fim.store.passwords import Credentials, Users, credentials, ensure_password


def test_a_password_is_made_once_and_is_private(tmp_path: Path) -> None:
    made = ensure_password(str(tmp_path), "writer")
    path = tmp_path / "writer.password"
    assert len(made) >= 24
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ensure_password(str(tmp_path), "writer") == made
    assert ensure_password(str(tmp_path), "reader") != made
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reader.password", "writer.password"]


def test_many_at_the_same_time_agree(tmp_path: Path) -> None:
    start = threading.Barrier(8)
    made: list[str] = []

    def make() -> None:
        start.wait(10)
        made.append(ensure_password(str(tmp_path), "writer"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 8
    assert len(set(made)) == 1


def test_a_password_of_ones_own_choice_is_kept(tmp_path: Path) -> None:
    (tmp_path / "writer.password").write_text("péché\n", encoding="utf-8")
    assert ensure_password(str(tmp_path), "writer") == "péché"
    users = Users({"writer": "péché"})
    assert users.authenticate(Credentials("writer", "péché")) == "writer"


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "writer.password").write_text("\n")
    with pytest.raises(ValueError, match=r"writer\.password is empty"):
        ensure_password(str(tmp_path), "writer")


def test_where_credentials_come_from() -> None:
    basic = {"authorization": "Basic " + b64encode(b"a:b:c").decode()}
    assert credentials(basic, {"user": "x"}) == Credentials("a", "b:c")
    assert credentials({"authorization": "basic !!"}, {}) == Credentials("", "")
    assert credentials({"x-clickhouse-user": "a", "x-clickhouse-key": "b"}, {}) == Credentials("a", "b")
    assert credentials({}, {"user": "a", "password": "b"}) == Credentials("a", "b")
    assert credentials({}, {"query": "SELECT 1"}) is None


def test_who_gets_in() -> None:
    users = Users({"writer": "w", "reader": "r"})
    assert users.authenticate(Credentials("writer", "w")) == "writer"
    assert users.authenticate(Credentials("reader", "r")) == "reader"
    for wrong in (None, Credentials("writer", "r"), Credentials("", ""), Credentials("root", "w")):
        assert users.authenticate(wrong) is None
    assert users.authenticate(Credentials("writer", "\udcff")) is None


def test_without_passwords_the_reader_is_still_a_reader() -> None:
    users = Users(None)
    assert users.authenticate(None) == "writer"
    assert users.authenticate(Credentials("default", "")) == "writer"
    assert users.authenticate(Credentials("reader", "whatever")) == "reader"
