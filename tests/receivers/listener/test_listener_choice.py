"""What is told of and what is not: UDP clients, selectors, wrong settings."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from otel_fim.receivers.listener.config import ListenerConfig, Selector
from otel_fim.receivers.listener.sockets import ListeningSocket, exposure
from otel_fim.receivers.listener.views import client_ports

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def udp_client() -> socket.socket:
    """An unconnected socket with a port of the system's choice."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    assert made.getsockname()[1] in client_ports()
    return made


def test_a_udp_client_is_told_of_when_it_stays(host: Any) -> None:
    host.start(interval="1s")
    with udp_client() as brief:
        passed_by = brief.getsockname()[1]
    with udp_client() as made:
        port = made.getsockname()[1]
        host.wait(lambda: host.of(port))
    host.wait(lambda: len(host.of(port)) == 2)
    assert host.words(port) == ["opened", "closed"]
    assert host.of(port)[0].severity_text == "INFO"
    assert not host.of(passed_by)


def test_udp_none(host: Any, listening: Any, free_port: Any) -> None:
    host.start(udp="none")
    port = free_port()
    listening(("127.0.0.1", port), kind=socket.SOCK_DGRAM)
    host.settle()
    assert not host.of(port)


@pytest.mark.root
@needs_root
def test_a_brief_udp_server_is_told_of_without_a_process(host: Any, listening: Any, free_port: Any) -> None:
    host.start(interval="1h")
    port = free_port()
    listening(("127.0.0.1", port), kind=socket.SOCK_DGRAM).close()
    host.wait(lambda: len(host.of(port)) == 2)
    assert host.words(port) == ["opened", "closed"]
    assert host.of(port)[0].body == f"an unknown process listens on udp 127.0.0.1:{port}"


@pytest.mark.root
@needs_root
def test_udp_all_takes_brief_clients_too(host: Any) -> None:
    host.start(interval="1h", udp="all")
    with udp_client() as made:
        port = made.getsockname()[1]
    host.wait(lambda: len(host.of(port)) == 2)
    assert host.words(port) == ["opened", "closed"]


def test_a_tcp_socket_that_is_only_bound_is_no_listener(host: Any, free_port: Any) -> None:
    host.start()
    port = free_port()
    with socket.socket() as made:
        made.bind(("127.0.0.1", port))
        host.settle()
    host.settle()
    assert not host.of(port)


def test_exclude_and_include(host: Any, listening: Any, free_port: Any) -> None:
    by_port, by_address, told = (free_port() for _ in range(3))
    host.start(exclude=[{"port": by_port}, {"address": "127.0.0.8/31", "transport": "tcp"}])
    listening(("127.0.0.1", by_port))
    listening(("127.0.0.9", by_address))
    listening(("127.0.0.1", told))
    host.settle()
    assert [host.words(port) for port in (by_port, by_address, told)] == [[], [], ["opened"]]


def test_what_is_excluded_from_now_on_is_not_told_to_be_closed(
    host: Any, listening: Any, free_port: Any
) -> None:
    port = free_port()
    listening(("127.0.0.1", port))
    host.start()
    host.stop()
    host.records.clear()
    host.start(exclude=[{"port": port}])
    host.settle()
    assert not host.of(port)


def test_exclude_by_executable(host: Any, spawn: Any, free_port: Any) -> None:
    nobody, told = free_port(), free_port()
    host.start(exclude=[{"executable": "nc.*"}])
    spawn("nc", "-l", "-p", str(nobody))
    with socket.socket() as made:
        made.bind(("127.0.0.1", told))
        made.listen()
        host.wait(lambda: host.of(told))
    host.settle()
    assert not host.of(nobody)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"transport": "tcp"}, True),
        ({"transport": "udp"}, False),
        ({"port": 8080}, True),
        ({"port": "8000-8999"}, True),
        ({"port": "8081-8999"}, False),
        ({"address": "10.0.0.0/8"}, True),
        ({"address": "::/0"}, False),
        ({"executable": "ngin?"}, True),
        ({"executable": "/usr/sbin/*"}, True),
        ({"executable": "sbin/nginx"}, False),
        ({"executable": "nginx", "port": 1}, False),
    ],
)
def test_selectors(selector: dict[str, Any], matches: bool) -> None:
    socket_ = ListeningSocket("tcp", 4, "10.1.2.3", 8080)
    assert Selector(**selector).matches(socket_, "/usr/sbin/nginx") is matches
    assert Selector(**selector).matches(socket_, None) is (matches and "executable" not in selector)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exclude": [{"port": "99999"}]}, "is not a port or a range"),
        ({"exclude": [{"port": "9-8"}]}, "is not a port or a range"),
        ({"include": [{"address": "localhost"}]}, "is not an address or a network"),
        ({"interval": "10ms"}, "interval"),
        ({"udp": "some"}, "udp"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ListenerConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("127.0.0.53", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "any"),
        ("::", "any"),
        ("169.254.1.1", "link_local"),
        ("fe80::1", "link_local"),
        ("224.0.0.251", "link_local"),
        ("ff02::fb", "link_local"),
        ("10.0.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("8.8.8.8", "public"),
        ("2a00:1450:4001:80b::200e", "public"),
        ("ff0e::1", "public"),
    ],
)
def test_exposure(address: str, reach: str) -> None:
    assert exposure(address) == reach
