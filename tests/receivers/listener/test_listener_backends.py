"""Where the kernel tells less: no real time, /proc, psutil, an ordinary user; and other network namespaces."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.component import Health, StartError
from otel_fim.host.table import ProcessTable
from otel_fim.names import events
from otel_fim.receivers.listener.owners import Owners
from otel_fim.receivers.listener.views import namespace_of
from otel_fim.receivers.listener.watching import Watching
from otel_fim.record import Severity

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
BOTH = ["opened", "closed"]


@pytest.mark.parametrize("backend", ["sock_diag", "proc", "psutil"])
def test_every_backend_sees_a_listener_come_and_go(
    host: Any, listening: Any, free_port: Any, backend: str
) -> None:
    host.start(backend=backend, real_time=False)
    tcp, udp = free_port(), free_port()
    made = [listening(("127.0.0.1", tcp)), listening(("::1", udp), socket.AF_INET6, socket.SOCK_DGRAM)]
    host.wait(lambda: host.of(tcp) and host.of(udp))
    for each in made:
        each.close()
    host.wait(lambda: len(host.of(tcp)) == len(host.of(udp)) == 2)
    assert (host.words(tcp), host.words(udp)) == (BOTH, BOTH)
    for record in (*host.of(tcp), *host.of(udp)):
        assert record.attributes[names.OTEL_FIM_LISTENER_BACKEND] == backend
        assert record.attributes[names.PROCESS_PID] == os.getpid()
        assert record.attributes[names.USER_ID] == str(os.geteuid())


@pytest.mark.parametrize("backend", ["proc", "psutil"])
def test_a_backend_that_only_polls_says_so(host: Any, backend: str) -> None:
    host.start(backend=backend)
    (gap,) = [g for g in host.gaps() if g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "backend_limited"]
    assert "shorter than 0.2 s" in str(gap.body)


def test_psutil_describes_the_owner_as_the_table_does(listening: Any) -> None:
    table = ProcessTable()
    told = Owners(table, use_psutil=True).owner({os.getpid()})
    known = Owners(table).owner({os.getpid()})
    assert told is not None
    assert known is not None
    assert told.process is not None
    assert known.process is not None
    assert told.process.executable_path == known.process.executable_path
    assert told.process.effective_user_id == known.process.effective_user_id
    assert abs(told.process.created_unix_nano - known.process.created_unix_nano) < 1_000_000_000


def test_a_start_without_any_backend_names_the_causes(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(StartError, match=r"listener\.backend: .*sock_diag: only on Linux"):
        host.start(backend="sock_diag")


def test_a_failed_look_is_a_gap_until_it_works_again(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.listener.engine._RETRY_SECONDS", 0.1)
    host.start()
    broken = True
    works = Watching.list_all

    def list_all(watching: Watching) -> Any:
        if broken:
            raise OSError(24, "Too many open files")
        return works(watching)

    monkeypatch.setattr(Watching, "list_all", list_all)
    host.wait(lambda: [g for g in host.gaps() if "Too many open files" in str(g.body)])
    assert host.health[-1][0] is Health.RECOVERABLE_ERROR
    broken = False
    host.wait(lambda: [g for g in host.gaps() if g.event_name == events.COVERAGE_RESTORED])
    assert host.health[-1][0] is Health.OK
    assert len([g for g in host.gaps() if "Too many" in str(g.body)]) == 1


_AS_USER = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Host, listening, port_of
host = Host(Path({state!r}))
host.start()
own = listening(("127.0.0.1", 0))
port = port_of(own)
host.wait(lambda: host.of(port))
own.close()
host.wait(lambda: len(host.of(port)) == 2)
host.stop()
print(json.dumps([
    [r.event_name, r.severity_number, r.body, r.attributes] for r in host.records
    if r.event_name.startswith("otel_fim.coverage")
    or r.attributes.get({port!r}) in (port, {theirs!r})
]))
"""


@pytest.mark.root
@needs_root
def test_an_ordinary_user_sees_all_sockets_and_their_own_processes(
    listening: Any, free_port: Any, tmp_path: Path
) -> None:
    theirs = free_port()
    listening(("0.0.0.0", theirs))
    state = tmp_path / "user"
    state.mkdir(mode=0o777)
    script = _AS_USER.format(
        tests=os.path.dirname(__file__), state=str(state), theirs=theirs, port=names.NETWORK_LOCAL_PORT
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-user=1000", "--map-group=1000", sys.executable, "-c", script],
        capture_output=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    gaps = [(r[3][names.OTEL_FIM_COVERAGE_REASON], r[2]) for r in told if r[0] == events.COVERAGE_GAP]
    assert sorted(reason for reason, _ in gaps) == ["backend_limited", "permission_denied"]
    assert "for the agent's own user only" in dict(gaps)["permission_denied"]
    assert "shorter than 0.2 s" in dict(gaps)["backend_limited"]
    (scan,) = [r for r in told if r[3].get(names.NETWORK_LOCAL_PORT) == theirs]
    assert names.PROCESS_PID not in scan[3]
    assert scan[2] == f"an unknown process listens on tcp 0.0.0.0:{theirs}"
    opened, closed = [
        r for r in told if r[0].startswith("otel_fim.listener") and r[3][names.NETWORK_LOCAL_PORT] != theirs
    ]
    assert (opened[0], closed[0]) == (events.LISTENER_OPENED, events.LISTENER_CLOSED)
    assert opened[3][names.PROCESS_EXECUTABLE_PATH] == os.path.realpath(sys.executable)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"otel-fim-{os.getpid()}-{time.monotonic_ns()}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=10)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True, timeout=10)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=False, timeout=10)


@pytest.mark.root
@needs_root
def test_listeners_of_other_network_namespaces(host: Any, spawn: Any, free_port: Any, namespace: str) -> None:
    host.start(network_namespaces="all", namespace_interval="1s")
    port = free_port()
    inside = spawn("ip", "netns", "exec", namespace, "nc", "-l", "-p", str(port))
    host.wait(lambda: host.of(port))
    number = namespace_of(str(inside.pid))
    assert number is not None
    inside.kill()
    inside.wait()
    host.wait(lambda: len(host.of(port)) == 2)
    assert host.words(port) == BOTH
    for record in host.of(port):
        assert record.attributes[names.OTEL_FIM_LISTENER_NETWORK_NAMESPACE] == str(number)
        assert record.attributes[names.PROCESS_PID] == inside.pid
    # The namespace is let go when nobody is in it, and does not live on because the agent looks at it.
    views = host.receiver._engine._watching.views
    host.wait(lambda: number not in views)
    # Where processes are kept from root, as in some containers, that is said; nothing else is.
    assert {gap.attributes[names.OTEL_FIM_COVERAGE_REASON] for gap in host.gaps()} <= {"permission_denied"}


@pytest.mark.root
@needs_root
def test_listeners_of_other_network_namespaces_are_none_of_ours(
    host: Any, spawn: Any, free_port: Any, namespace: str
) -> None:
    host.start()
    port = free_port()
    inside = spawn("ip", "netns", "exec", namespace, "nc", "-l", "-p", str(port))
    entered = namespace_of("self")
    host.wait(lambda: namespace_of(str(inside.pid)) not in (entered, None))
    host.settle()
    inside.kill()
    inside.wait()
    host.settle()
    assert not host.of(port)


@pytest.mark.root
@needs_root
def test_a_namespace_that_vanishes_closes_what_listened_there(
    host: Any, spawn: Any, free_port: Any, namespace: str
) -> None:
    port = free_port()
    inside = spawn("ip", "netns", "exec", namespace, "nc", "-l", "-p", str(port))
    entered = namespace_of("self")
    host.wait(lambda: namespace_of(str(inside.pid)) not in (entered, None))
    host.start(network_namespaces="all", namespace_interval="1s", real_time=False)
    host.wait(lambda: host.of(port))
    subprocess.run(["ip", "netns", "delete", namespace], check=True, timeout=10)
    inside.kill()
    inside.wait()
    host.wait(lambda: len(host.of(port)) == 2)
    host.wait(lambda: list(host.receiver._engine._watching.views) == [None])
    assert host.words(port) == BOTH


@pytest.mark.root
@needs_root
def test_a_flood_of_the_kernels_notices_is_a_gap(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_fim.receivers.listener.sock_diag._BUFFER_BYTES", 2304)
    monkeypatch.setattr("otel_fim.receivers.listener.watching._BREATH_SECONDS", 0.5)
    host.start()

    def flood() -> bool:
        for _ in range(200):
            with socket.socket() as made:
                made.bind(("127.0.0.1", 0))
        return any(g.attributes[names.OTEL_FIM_COVERAGE_REASON] == "queue_overflow" for g in host.gaps())

    host.wait(flood)


def test_multipath_tcp_is_found_with_its_process(host: Any, free_port: Any) -> None:
    host.start()
    port = free_port()
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    except OSError:
        made = socket.socket()
    with made:
        made.bind(("127.0.0.1", port))
        made.listen()
        host.wait(lambda: host.of(port))
        assert host.of(port)[0].attributes[names.PROCESS_PID] == os.getpid()
    host.wait(lambda: len(host.of(port)) == 2)
    host.settle()
    assert host.words(port) == BOTH


def test_ipv6_only_is_told(host: Any, free_port: Any) -> None:
    host.start()
    port = free_port()
    with socket.socket(socket.AF_INET6) as made:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(("::", port))
        made.listen()
        host.wait(lambda: host.of(port))
    assert host.of(port)[0].attributes[names.OTEL_FIM_LISTENER_IPV6_ONLY] is True
    assert host.of(port)[0].severity_number == Severity.WARN
