"""`otel-fim store` from the outside: options, locks, ports, signals."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from otel_fim.store import command
from otel_fim.store.address import AddressError, address_text, is_loopback, parse_listen
from otel_fim.store.sandbox import confine

RUN = [sys.executable, "-m", "otel_fim.store"]


def refused(*arguments: str) -> str:
    """What the command says when it does not start."""
    done = subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("otel-fim store: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_addresses() -> None:
    assert parse_listen("127.0.0.1:8123") == ("127.0.0.1", 8123)
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert parse_listen("localhost:80") == ("127.0.0.1", 80)
    for wrong in (
        "8123",
        "127.0.0.1",
        "127.0.0.1:x",
        "::1:8123",
        "a.example:80",
        "1.2.3.4:70000",
        "[::1]",
        "[x]:1",
    ):
        with pytest.raises(AddressError):
            parse_listen(wrong)
    assert address_text("::1", 5) == "[::1]:5"
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")


def test_the_interface_of_a_command() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--data", "/x"])
    assert (args.listen, args.no_auth, args.memory) == ("127.0.0.1:8123", False, "2GiB")
    assert command.HELP


def test_what_is_refused_and_why(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    assert "anybody who reaches this address" in refused("--data", data, "--no-auth", "--listen", "0.0.0.0:0")
    assert "anybody who reaches this address" in refused("--data", data, "--no-auth", "--listen", "[::]:0")
    assert "--listen" in refused("--data", data, "--listen", "nonsense")
    assert "--memory" in refused("--data", data, "--memory", "lots")
    assert "at least 256MiB" in refused("--data", data, "--memory", "1MiB")
    assert "--concurrency" in refused("--data", data, "--concurrency", "0")
    (tmp_path / "file").write_text("")
    assert "--data" in refused("--data", str(tmp_path / "file"), "--listen", "127.0.0.1:0")


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{port}")
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert "--listen" in said


def test_a_directory_in_use_is_said(store: Any) -> None:
    said = refused("--data", str(store.directory), "--listen", "127.0.0.1:0")
    assert f"process {store.process.pid}" in said
    assert store.query("SELECT 1") == "1\n"


def test_a_parent_that_is_gone_is_said(tmp_path: Path) -> None:
    assert "is gone" in refused("--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", "--parent", "1")


def test_what_a_start_leaves_behind(store: Any) -> None:
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    names = {path.name for path in store.directory.iterdir()}
    assert names == {"address", "config", "data", "lock", "reader.password", "tmp", "writer.password"}
    said = store.log.read_text()
    host, port = store.address
    assert f"listening on http://{host}:{port}" in said
    assert str(store.directory / "writer.password") in said
    assert store.password() not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_running_statements_end(own_store: Any, number: int) -> None:
    own_store.start()
    own_store.query("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    host, port = own_store.address
    slow = subprocess.Popen(
        [
            "curl",
            "-sS",
            "-u",
            f"writer:{own_store.password()}",
            f"http://{host}:{port}/",
            "-d",
            "SELECT sleep(1)",
        ],
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while own_store.query("SELECT count() FROM system.processes WHERE query = 'SELECT sleep(1)'") != "1\n":
        assert time.monotonic() < deadline
    own_store.query("INSERT INTO t VALUES (1)")
    assert own_store.end(number) == 0
    assert slow.communicate(timeout=20)[0] == b"0\n"
    assert own_store.log.read_text().count("\n") == 1, own_store.log.read_text()
    own_store.start()
    assert own_store.query("SELECT * FROM t") == "1\n"


def test_ipv6_and_no_passwords(own_store: Any) -> None:
    own_store.arguments = ("--listen", "[::1]:0", "--no-auth", "--no-sandbox")
    own_store.start()
    assert own_store.address[0] == "::1"
    assert own_store.request("SELECT 1", user=None).body == b"1\n"
    headers = {"X-ClickHouse-User": "default"}
    assert own_store.request("CREATE DATABASE d", user=None, headers=headers).status == 200
    reader = {"X-ClickHouse-User": "reader"}
    assert own_store.request("DROP DATABASE d", user=None, headers=reader).code == 164
    for page in ({"Origin": "http://example.com"}, {"Host": "example.com:8123"}, {"Host": ""}):
        assert own_store.request("SELECT 1", user=None, headers=page).code == 497
    assert own_store.request("SELECT 1", user=None, headers={"Host": "localhost:8123"}).status == 200
    assert "no passwords" in own_store.log.read_text()
    assert "--no-sandbox" in own_store.log.read_text()
    # The guard is there without the sandbox.
    assert own_store.request("SELECT file('/etc/hostname')", user=None).code == 497


def test_the_sandbox_takes_what_is_not_the_store_s(tmp_path: Path) -> None:
    """In a process of its own: there is no way back."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for directory in (inside, outside):
        directory.mkdir()
        (directory / "file").write_text("x")
    script = f"""
import os, socket, sys
from otel_fim.store.sandbox import confine
listener = socket.create_server(("127.0.0.1", 0))
reason = confine({str(inside)!r})
if reason is not None:
    print("FREE", reason); sys.exit(0)
def denied(what):
    try:
        what()
    except PermissionError:
        return True
    return False
open({str(inside / "file")!r}, "a").write("y")
os.rename({str(inside / "file")!r}, {str(inside / "moved")!r})
os.mkdir({str(inside / "sub")!r}); os.rename({str(inside / "moved")!r}, {str(inside / "sub" / "m")!r})
open("/proc/self/status").read(); open("/dev/null", "w").write("x")
import wave
checks = [lambda: open({str(outside / "file")!r}), lambda: open("/etc/passwd"), lambda: os.listdir("/root"),
          lambda: open("/proc/1/environ"), lambda: open({str(outside / "new")!r}, "w")]
print(*[denied(check) for check in checks])
print(denied(lambda: socket.create_connection(listener.getsockname(), timeout=5)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("FREE"):
        # A kernel without Landlock: then the reason is given, which is all that can be asked for.
        assert "Landlock" in done.stdout
        return
    files, network = done.stdout.splitlines()
    assert files == "True True True True True"
    release = tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdigit())
    assert network == str(release >= (6, 7))
    assert confine.__doc__


def test_the_store_says_whether_it_is_confined(store: Any) -> None:
    said = store.log.read_text()
    assert "confined to its directory" in said
