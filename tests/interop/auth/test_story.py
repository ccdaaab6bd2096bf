"""Alice logs in with her key, uses sudo and edits /etc/hosts: one query by her session tells all of it, in order."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from typing import Any

import pytest

from tests.interop.auth.agent_inside import Agent
from tests.interop.auth.login_host import PASSWORDS, LoginHost

pytestmark = [pytest.mark.root, pytest.mark.slow]

PROGRAMS = {"/usr/bin/ed": "ed"}
# Someone types into the editor for a while, and stays when it is done.
TYPED = r'printf "a\n10.0.0.9 evil.example\n.\n"; sleep 0.5; printf "w\nq\n"'
EDIT = f"sudo -S sh -c '({TYPED}) | ed -s /etc/hosts'; sleep 1"
SESSION = """
SELECT toUnixTimestamp64Nano(Timestamp) AS time, EventName AS event, Body AS text, LogAttributes AS attributes
FROM otel_logs
WHERE LogAttributes['otel_fim.login.session.id'] = {session:String}
ORDER BY Timestamp
"""
LOGIN = {
    "otel_fim.login.user.name": "alice",
    "otel_fim.login.source.address": "127.0.0.1",
    "otel_fim.login.method": "publickey",
    "otel_fim.login.service": "sshd",
}
STORY: list[tuple[str, dict[str, str]]] = [
    ("auth.login", {"event.outcome": "success", "user.name": "alice"}),
    ("process.started", {"process.executable.path": "/usr/bin/sudo", "event.action": "exec"}),
    ("auth.privilege", {"event.action": "sudo", "user.name": "alice", "user.effective.name": "root"}),
    ("process.started", {"process.executable.path": "/usr/bin/ed", "event.action": "exec"}),
    ("file.modified", {"file.path": "/etc/hosts"}),
    ("auth.logout", {"user.name": "alice"}),
]


def places(rows: list[dict[str, Any]]) -> list[list[int]]:
    """Where the rows of each part of the story stand."""
    return [
        [
            number
            for number, row in enumerate(rows)
            if row["event"] == "otel_fim." + event and wanted.items() <= row["attributes"].items()
        ]
        for event, wanted in STORY
    ]


def start(host: LoginHost, make_agent: Any) -> tuple[Agent, int]:
    """An agent that writes to a store of its own, and the store's port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    agent = make_agent(
        host,
        {"file_integrity": {"paths": ["/etc"], "settle": "20ms"}, "process": None, "auth": None},
        processors={"identity": None, "attack": None, "chain": None},
        extensions={"embedded_store": {"listen": f"127.0.0.1:{port}"}},
        exporters={
            "clickhouse": {
                "endpoint": f"http://127.0.0.1:{port}",
                "username": "writer",
                "password_file": "store/writer.password",
                "retry_on_failure": {"initial_interval": "100ms", "max_interval": "500ms"},
            }
        },
    )
    return agent, port


def query(agent: Agent, port: int, sql: str, **parameters: str) -> list[dict[str, Any]]:
    """Rows of the store; none while it is not there yet."""
    options = {"default_format": "JSONEachRow"} | {
        f"param_{name}": value for name, value in parameters.items()
    }
    try:
        password = (agent.directory / "state/store/reader.password").read_text().strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/?" + urllib.parse.urlencode(options),
            data=sql.encode(),
            headers={"Authorization": "Basic " + b64encode(f"reader:{password}".encode()).decode()},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from None
    except OSError:
        return []


@pytest.mark.parametrize("log", ["text", "both"])
def test_one_query_by_session_tells_of_login_sudo_editor_and_file(
    make_host: Any, make_agent: Any, log: str
) -> None:
    host: LoginHost = make_host(log, more=PROGRAMS)
    agent, port = start(host, make_agent)
    # ed is gone when its write is told: which process had its pid is proven only when the agent knows of all that
    # happened in the three seconds before. And a file's record has the time at which the kernel's notice of it was
    # read: nobody logs out within milliseconds of a write.
    session = host.ssh(
        "alice",
        "cat /proc/self/sessionid; echo; sleep 3; " + EDIT,
        key="/root/alice.key",
        text=PASSWORDS["alice"] + "\n",
    ).split()[0]
    assert "evil.example" in host.path("/etc/hosts").read_text()

    rows: list[dict[str, Any]] = []

    def is_told() -> bool:
        rows[:] = query(agent, port, SESSION, session=session)
        return all(places(rows))

    # They come in any order: the logs' records wait for each other, and a busy process receiver is behind.
    agent.wait_for(is_told, f"the story of session {session} in the store")
    seen = places(rows)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert [len(numbers) for numbers in seen] == [1] * len(STORY), (seen, [row["text"] for row in rows])
    told = [number for numbers in seen for number in numbers]
    assert told == sorted(told), [(row["event"], row["text"]) for row in rows]

    editor, file = rows[told[3]]["attributes"], rows[told[4]]["attributes"]
    assert LOGIN.items() <= file.items()
    assert file["process.executable.path"] == "/usr/bin/ed"
    assert (file["process.user.name"], file["user.name"]) == ("root", "root")
    assert file["process.entity_id"] == editor["process.entity_id"]
    assert LOGIN.items() <= editor.items()
    # All of it came out of the one login: nobody else's deed has its number.
    assert {row["attributes"]["otel_fim.login.user.name"] for row in rows} == {"alice"}
    # The file's record names sudo among those before the editor.
    assert any(each.endswith("/usr/bin/sudo") for each in json.loads(file["otel_fim.process.ancestors"]))
