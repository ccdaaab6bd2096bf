"""Real programs that listen: each gives exactly the records it should, once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from otel_fim import names
from otel_fim.names import events
from otel_fim.record import Severity


def test_netcat_opens_and_closes(host: Any, spawn: Any, free_port: Callable[[], int]) -> None:
    host.start()
    port = free_port()
    netcat = spawn("nc", "-l", "-p", str(port))
    host.wait(lambda: host.of(port))
    netcat.kill()
    netcat.wait()
    host.wait(lambda: len(host.of(port)) == 2)
    host.settle()
    opened, closed = host.of(port)
    assert (opened.event_name, closed.event_name) == (events.LISTENER_OPENED, events.LISTENER_CLOSED)
    assert opened.attributes[names.PROCESS_PID] == closed.attributes[names.PROCESS_PID] == netcat.pid
    assert opened.attributes[names.PROCESS_EXECUTABLE_PATH] == os.path.realpath("/usr/bin/nc")
    assert opened.attributes[names.NETWORK_LOCAL_ADDRESS] == "0.0.0.0"
    assert opened.attributes[names.OTEL_FIM_LISTENER_EXPOSURE] == "any"
    assert opened.attributes[names.EVENT_ACTION] == "opened"
    assert opened.severity_number == Severity.WARN
    assert opened.body == f"{opened.attributes[names.PROCESS_EXECUTABLE_NAME]} listens on tcp 0.0.0.0:{port}"
    assert closed.body.endswith(f"no longer listens on tcp 0.0.0.0:{port}")
    assert closed.severity_number == Severity.INFO
    assert closed.attributes[names.OTEL_FIM_ACTOR_STATE] == "recorded"
    assert opened.attributes[names.USER_ID] == str(os.geteuid())
    assert opened.attributes[names.PROCESS_PARENT_PID] == os.getpid()


def test_every_family_and_transport(host: Any, listening: Any, free_port: Callable[[], int]) -> None:
    host.start()
    tcp4, tcp6, udp4, udp6 = (free_port() for _ in range(4))
    sockets = [
        listening(("127.0.0.1", tcp4)),
        listening(("::", tcp6), socket.AF_INET6),
        listening(("0.0.0.0", udp4), kind=socket.SOCK_DGRAM),
        listening(("::1", udp6), socket.AF_INET6, socket.SOCK_DGRAM),
    ]
    for each in sockets:
        port = each.getsockname()[1]
        host.wait(lambda port=port: host.of(port))
    for each in sockets:
        each.close()
    for port in (tcp4, tcp6, udp4, udp6):
        host.wait(lambda port=port: len(host.of(port)) == 2)
    host.settle()
    told = {
        port: (
            host.words(port),
            host.of(port)[0].attributes[names.NETWORK_TRANSPORT],
            host.of(port)[0].attributes[names.NETWORK_TYPE],
            host.of(port)[0].attributes[names.OTEL_FIM_LISTENER_EXPOSURE],
            host.of(port)[0].severity_text,
        )
        for port in (tcp4, tcp6, udp4, udp6)
    }
    both = ["opened", "closed"]
    assert told == {
        tcp4: (both, "tcp", "ipv4", "loopback", "INFO"),
        tcp6: (both, "tcp", "ipv6", "any", "WARN"),
        udp4: (both, "udp", "ipv4", "any", "WARN"),
        udp6: (both, "udp", "ipv6", "loopback", "INFO"),
    }
    assert host.of(tcp6)[0].attributes[names.OTEL_FIM_LISTENER_IPV6_ONLY] is False
    assert host.of(tcp6)[0].body.endswith(f"tcp [::]:{tcp6}")


def test_sockets_that_share_a_port_are_one_listener(host: Any, listening: Any, free_port: Any) -> None:
    host.start()
    port = free_port()
    shared = [listening(("127.0.0.1", port), reuse=True) for _ in range(4)]
    host.wait(lambda: host.of(port))
    for each in shared[:3]:
        each.close()
    host.settle()
    assert host.words(port) == ["opened"]
    shared[3].close()
    host.wait(lambda: len(host.of(port)) == 2)
    host.settle()
    assert host.words(port) == ["opened", "closed"]


_PREFORK = """
import os, socket, sys, time
made = socket.socket(); made.bind(("127.0.0.1", int(sys.argv[1]))); made.listen()
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        sys.stdin.read(); os._exit(0)
    children.append(pid)
print(*children, flush=True)
if sys.argv[2] == "leave":
    sys.stdout.close(); os._exit(0)
sys.stdin.read()
"""


def test_prefork_is_one_listener_of_the_parent(host: Any, spawn: Any, free_port: Any) -> None:
    port = free_port()
    parent = spawn(sys.executable, "-c", _PREFORK, str(port), "stay", stdin=-1, stdout=-1)
    children = [int(word) for word in parent.stdout.readline().split()]
    host.start()
    assert host.words(port) == ["opened"]
    (opened,) = host.of(port)
    assert opened.attributes[names.EVENT_ACTION] == "scan"
    assert opened.severity_number == Severity.INFO
    assert opened.attributes[names.PROCESS_PID] == parent.pid
    held = opened.attributes[names.OTEL_FIM_LISTENER_PROCESSES]
    assert {int(each.split()[0]) for each in held} == {parent.pid, *children}
    parent.stdin.close()
    host.wait(lambda: len(host.of(port)) == 2)
    host.settle()
    assert host.words(port) == ["opened", "closed"]


def test_a_child_that_inherits_goes_on_with_the_listener(host: Any, spawn: Any, free_port: Any) -> None:
    host.start()
    port = free_port()
    parent = spawn(sys.executable, "-c", _PREFORK, str(port), "leave", stdin=-1, stdout=-1)
    parent.stdout.readline()
    parent.wait()
    host.wait(lambda: host.of(port))
    host.settle()
    assert host.words(port) == ["opened"]
    parent.stdin.close()
    host.wait(lambda: len(host.of(port)) == 2)
    host.settle()
    assert host.words(port) == ["opened", "closed"]
    assert "python" in host.of(port)[1].body


def test_changes_while_down(host: Any, listening: Any, free_port: Any) -> None:
    stays, ends, begins = (free_port() for _ in range(3))
    listening(("127.0.0.1", stays))
    ending = listening(("127.0.0.1", ends))
    host.start()
    assert [host.words(port) for port in (stays, ends)] == [["opened"], ["opened"]]
    host.stop()
    host.records.clear()
    ending.close()
    listening(("127.0.0.1", begins))
    host.start()
    host.settle()
    assert [host.words(port) for port in (stays, ends, begins)] == [[], ["closed"], ["opened"]]
    for port in (ends, begins):
        assert host.of(port)[0].attributes[names.OTEL_FIM_LISTENER_WHILE_DOWN] is True
    assert host.of(begins)[0].attributes[names.EVENT_ACTION] == "opened"
    assert host.of(ends)[0].attributes[names.PROCESS_PID] == os.getpid()
    host.stop()
    host.records.clear()
    host.start()
    host.settle()
    assert [host.words(port) for port in (stays, ends, begins)] == [[], [], []]


def test_what_was_not_durable_is_told_again(host: Any, listening: Any, free_port: Any) -> None:
    host.start()
    host.durable = False
    port = free_port()
    listening(("127.0.0.1", port))
    host.wait(lambda: host.of(port))
    host.stop(0.5)
    host.records.clear()
    host.durable = True
    host.start()
    assert host.words(port) == ["opened"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_listener_too_short_for_any_list_is_told_with_its_process(host: Any, free_port: Any) -> None:
    host.start(interval="1h")
    port = free_port()
    for _ in range(20):
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen()
        made.close()
    host.wait(lambda: len(host.of(port)) >= 40)
    told = sorted(host.of(port), key=lambda record: record.time_unix_nano)
    assert [record.event_name for record in told] == [events.LISTENER_OPENED, events.LISTENER_CLOSED] * 20
    assert {r.attributes[names.PROCESS_PID] for r in host.of(port)} == {os.getpid()}
    assert len({record.time_unix_nano for record in told}) == 40
