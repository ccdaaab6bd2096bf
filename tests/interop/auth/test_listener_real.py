"""netcat on the private host: one record when it begins to listen, one when it has ended."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from tests.interop.auth.login_host import LoginHost

pytestmark = pytest.mark.root
NC = {"/usr/bin/nc": "netcat-openbsd"}


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def host(make_host: Any) -> LoginHost:
    return make_host("text", more=NC)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_netcat_is_opened_and_closed_once(host: LoginHost, make_agent: Any, transport: str) -> None:
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    port = free_port(kind)
    agent = make_agent(host, {f"listener/{transport}": {"interval": "200ms", "udp": "all"}})

    def told() -> list[dict[str, Any]]:
        found = [record for record in agent.records() if record.get("network.local.port") == port]
        return [record for record in found if record["network.transport"] == transport]

    datagrams = ["-u"] if transport == "udp" else []
    netcat = host.daemon("/usr/bin/nc", "-l", *datagrams, "127.0.0.1", str(port), user="bob")
    agent.wait_for(told, "the opening")
    netcat.terminate()
    netcat.wait(20)
    agent.wait_for(lambda: len(told()) > 1, "the closing")
    agent.stop()
    opened, closed = told()
    assert (opened["event"], closed["event"]) == ("listener.opened", "listener.closed")
    for record in (opened, closed):
        assert record["network.local.address"] == "127.0.0.1"
        assert record["otel_fim.listener.exposure"] == "loopback"
        assert record["process.pid"] == netcat.pid
        assert record["process.executable.path"] == os.path.realpath("/usr/bin/nc")
        assert record["user.name"] == "bob"
        assert record["event.action"] == record["event"].rpartition(".")[2]
    assert opened["time"] < closed["time"]
