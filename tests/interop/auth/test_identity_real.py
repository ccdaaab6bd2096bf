"""A login over ssh, sudo, a file that root's shell writes: all of it is told as one login's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from tests.interop.auth.login_host import PASSWORDS, LoginHost
from tests.interop.auth.scenarios import KEY

pytestmark = pytest.mark.root
RECEIVERS: dict[str, Any] = {
    "auth": None,
    "process": None,
    "file_integrity": {"paths": ["/etc"], "exclude": [], "settle": "50ms"},
}
PROCESSORS = {"identity": None, "chain": None}
LOGIN_UID = Path("/proc/self/loginuid")
UNSET = "4294967295"


@pytest.fixture(autouse=True)
def _no_login_of_our_own() -> Iterator[None]:
    """What the host runs must not come out of the login of whoever runs the tests."""
    before = LOGIN_UID.read_text()
    if before != UNSET:
        LOGIN_UID.write_text(UNSET)
    yield
    if before != UNSET:
        LOGIN_UID.write_text(before)


def _change(host: LoginHost, agent: Any, number: int) -> dict[str, Any]:
    """alice logs in and has root's shell add a line to /etc/hosts; the record of that."""

    def told() -> dict[str, Any] | None:
        for record in agent.records():
            hit = record.get(names.FILE_PATH) == "/etc/hosts" and record["event"] == "file.modified"
            if hit and record["time"] > since:
                return dict(record)
        return None

    # A pid and a time prove something once all processes of the last seconds are known.
    time.sleep(4)
    since = max([record["time"] for record in agent.records()], default=0)
    command = f"sleep 3; sudo -S sh -c 'echo 192.0.2.{number} made.example >> /etc/hosts'; sleep 1"
    host.ssh("alice", command, key=KEY, text=PASSWORDS["alice"] + "\n")
    found = agent.wait_for(told, "the change of /etc/hosts")
    return dict(found)


def test_a_file_written_by_root_after_sudo_names_who_logged_in(make_host: Any, make_agent: Any) -> None:
    host = make_host("text")
    agent = make_agent(host, RECEIVERS, processors=PROCESSORS)
    changed = _change(host, agent, 1)
    assert changed[names.USER_NAME] == "root"
    assert changed[names.PROCESS_EXECUTABLE_NAME] == "dash"
    assert changed[names.OTEL_FIM_LOGIN_USER_NAME] == "alice"
    assert changed[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] == "127.0.0.1"
    assert changed[names.OTEL_FIM_LOGIN_METHOD] == "publickey"
    assert changed[names.OTEL_FIM_LOGIN_SERVICE] == "sshd"
    assert names.OTEL_FIM_LOGIN_BASIS not in changed
    ancestors = [each.rpartition("/")[2] for each in changed[names.OTEL_FIM_PROCESS_ANCESTORS]]
    assert ancestors[0] == "sudo"
    assert any(each.startswith("sshd") for each in ancestors)
    session = changed[names.OTEL_FIM_LOGIN_SESSION_ID]

    def of_session() -> list[dict[str, Any]]:
        return sorted(
            (each for each in agent.records() if each.get(names.OTEL_FIM_LOGIN_SESSION_ID) == session),
            key=lambda each: each["time"],
        )

    wanted = {"auth.login", "auth.privilege", "auth.logout"}
    agent.wait_for(lambda: wanted <= {each["event"] for each in of_session()}, "the whole story")
    story = [each["event"] for each in of_session() if each["event"].startswith(("auth.", "file."))]
    assert [each for each in story if each.startswith("auth.")] == [
        "auth.login",
        "auth.privilege",
        "auth.logout",
    ]
    assert story.index("auth.privilege") < story.index("file.modified") < story.index("auth.logout")
    for each in of_session():
        if each["event"] != "auth.login":
            assert each[names.OTEL_FIM_LOGIN_USER_NAME] == "alice", each


def test_without_sessions_of_the_kernel_the_login_is_found_through_its_sshd(
    make_host: Any, make_agent: Any
) -> None:
    host = make_host("text")
    for service in ("sshd", "login", "su", "sudo"):
        with contextlib.suppress(FileNotFoundError):
            file = host.path(f"/etc/pam.d/{service}")
            lines = [line for line in file.read_text().splitlines() if "pam_loginuid" not in line]
            file.write_text("\n".join(lines) + "\n")
    agent = make_agent(host, RECEIVERS, processors=PROCESSORS)
    changed = _change(host, agent, 2)
    assert changed[names.USER_NAME] == "root"
    assert names.OTEL_FIM_LOGIN_SESSION_ID not in changed
    assert changed[names.OTEL_FIM_LOGIN_USER_NAME] == "alice"
    assert changed[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] == "127.0.0.1"
    assert changed[names.OTEL_FIM_LOGIN_METHOD] == "publickey"
    assert changed[names.OTEL_FIM_LOGIN_BASIS] == "ancestor"
