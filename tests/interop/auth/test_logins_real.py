"""sshd, su, sudo and the account tools on the private host: each deed gives exactly the records it should, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.interop.auth.agent_inside import Agent
from tests.interop.auth.expected import AUTH, EXPECTED, ONLY_AUDIT_TELLS
from tests.interop.auth.kernel_audit import audit
from tests.interop.auth.login_host import LoginHost
from tests.interop.auth.scenarios import ALL, HOSTILE_USER

pytestmark = [pytest.mark.root, pytest.mark.slow]

NANO = 1_000_000_000
TEXT_LOG = "/var/log/auth.log"
# Who is tried, or was, and has no account when it is over.
STRANGERS = {"mallory", "nobody_here", "oldname", "olaf", HOSTILE_USER}
# Times of the kernel's audit are those of its last clock tick.
TICK = 10_000_000


@dataclass
class Flavour:
    """A host's way to keep its log, and what the agent reads of it."""

    log: str
    sources: list[str]
    traditional: bool = False
    scenarios: tuple[str, ...] = tuple(ALL)

    @property
    def audit(self) -> bool:
        return "audit" in self.sources


FLAVOURS = {
    "text": Flavour("text", ["text"]),
    "journald": Flavour("journald", ["journald"]),
    "everything": Flavour("both", ["journald", "text", "wtmp", "btmp", "utmp", "audit"]),
    "old times": Flavour(
        "text",
        ["text"],
        traditional=True,
        scenarios=("ssh_three_wrong_passwords", "ssh_hostile_user", "ssh_key", "su_refused", "passwd_lock"),
    ),
}
CASES = [(name, scenario) for name, flavour in FLAVOURS.items() for scenario in flavour.scenarios]


@dataclass
class Run:
    """One agent that saw all scenarios of a flavour: what each printed, and the records of its time."""

    printed: dict[str, Any] = field(default_factory=dict)
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def runs(make_host: Any, make_agent: Any) -> Callable[[str], Run]:
    done: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in done:
            flavour = FLAVOURS[name]
            with audit(flavour.audit):
                done[name] = do(flavour, make_host, make_agent)
        return done[name]

    return run


def is_foreign(record: dict[str, Any], own: set[str]) -> bool:
    """Whether only the kernel's audit tells of it, and it is about nobody here: it is the whole machine's."""
    about = {record.get(name) for name in ("user.name", "user.target.name", "group.name")}
    return record.get(AUTH + "sources") == ["audit"] and not about & own


def do(flavour: Flavour, make_host: Any, make_agent: Any) -> Run:
    host: LoginHost = make_host(flavour.log, traditional=flavour.traditional)
    for name in flavour.scenarios:
        ALL[name].prepare(host)
    host.settle()
    agent: Agent = make_agent(host, {"auth": {"sources": flavour.sources, "text_logs": [TEXT_LOG]}})
    run, windows = Run(), {}
    for name in flavour.scenarios:
        if flavour.traditional:
            # Whole seconds: no two deeds may share one.
            time.sleep(1 - time.time() % 1)
        begin = time.time_ns()
        run.printed[name] = ALL[name].act(host)
        host.settle()
        windows[name] = (begin - begin % NANO if flavour.traditional else begin - TICK, time.time_ns())
        time.sleep(2 * TICK / NANO)
    if flavour.traditional:
        time.sleep(1 - time.time() % 1)
    # When this has been told, everything before it has been, whatever source is slow.
    host.run("groupadd", "the-end")
    agent.wait_for(lambda: any(each.get("group.name") == "the-end" for each in agent.records()), "the end")
    own = (
        set(host.run("awk", "-F:", "$3 >= 1000 {print $1}", "/etc/passwd", "/etc/group").split()) | STRANGERS
    )
    for record in agent.stop():
        if is_foreign(record, own):
            continue
        for name, (begin, end) in windows.items():
            if record["event"].startswith("auth.") and begin <= record["time"] <= end:
                run.records.setdefault(name, []).append(record)
                break
        else:
            run.others.append(record)
    return run


@pytest.mark.parametrize(("flavour", "scenario"), CASES)
def test_each_deed_gives_its_records_once(runs: Callable[[str], Run], flavour: str, scenario: str) -> None:
    run = runs(flavour)
    expected = EXPECTED[scenario]
    if FLAVOURS[flavour].audit:
        expected = ONLY_AUDIT_TELLS.get(scenario, expected)
    found = run.records.get(scenario, [])
    # Only what is expected is compared, but of every record.
    seen = [
        {name: record.get(name) for name in wanted}
        for record, wanted in zip(found, expected + [{"event": ""}] * len(found), strict=False)
    ]
    assert seen == expected, found


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_else_is_told(runs: Callable[[str], Run], flavour: str) -> None:
    others = [each for each in runs(flavour).others if each.get("group.name") != "the-end"]
    assert {each["event"] for each in others} == {"stream.started", "agent.started", "agent.stopped"}, others


@pytest.mark.parametrize("flavour", ["text", "journald", "everything"])
def test_a_login_names_its_session_and_its_logout_how_long_it_was(
    runs: Callable[[str], Run], flavour: str
) -> None:
    run = runs(flavour)
    begin, end = run.records["ssh_terminal"]
    session = int(run.printed["ssh_terminal"])
    assert begin["otel_fim.login.session.id"] == end["otel_fim.login.session.id"] == session
    assert begin["source.port"] == end["source.port"] > 0
    assert NANO <= end["event.duration"] < 30 * NANO
    # Of several sources' times one is the record's.
    assert abs(end["time"] - begin["time"] - end["event.duration"]) < NANO
    assert begin[AUTH + "key.type"] == "ED25519"
    assert begin[AUTH + "key.fingerprint"].startswith("SHA256:")


def test_what_several_sources_tell_of_is_one_record_that_names_them_all(runs: Callable[[str], Run]) -> None:
    run = runs("everything")

    def sources(scenario: str) -> list[set[str]]:
        return [set(record[AUTH + "sources"]) for record in run.records[scenario]]

    logs = {"journald", TEXT_LOG}
    assert sources("ssh_terminal") == [logs | {"audit", "wtmp", "utmp"}] * 2
    assert sources("ssh_key") == [logs | {"audit"}] * 2
    assert sources("ssh_wrong_password") == [logs | {"audit", "btmp"}]
    assert sources("ssh_three_wrong_passwords") == [logs | {"audit", "btmp"}] * 3
    assert sources("sudo_allowed") == [logs | {"audit"}]
    assert sources("su_refused") == [logs | {"audit", "btmp"}]
    assert sources("useradd") == [logs | {"audit"}] * 2
    assert sources("passwd_lock") == [logs]
