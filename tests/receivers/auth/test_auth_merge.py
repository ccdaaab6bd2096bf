"""Merging: any order in which the sources tell of some deeds gives the same records."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.merge import Merger
from otel_fim.receivers.auth.parse import Parser
from otel_fim.receivers.auth.sources.audit_message import parse_fields

LOG, JOURNAL = "/var/log/auth.log", "journald"
SECOND = 10**9
START = 1_795_000_000 * SECOND
PARSER = Parser({0: "root", 1001: "alice", 1002: "bob"}.get)


@dataclass(frozen=True)
class Deed:
    """`kind` is what somebody does, `attempts` how often they mistype."""

    kind: str
    user: str
    pid: int
    time: int
    attempts: int
    address: str

    def records(self) -> list[tuple[object, ...]]:
        """What it must become: kind, outcome, action, user, pid."""
        if self.kind == "ssh_fail":
            return [(Kind.LOGIN, "failure", "login", self.user, self.pid)] * self.attempts
        if self.kind == "ssh_login":
            return [(Kind.LOGIN, "success", "login", self.user, self.pid)]
        if self.kind == "su_refused":
            return [(Kind.PRIVILEGE, "failure", "su", self.user, self.pid)]
        if self.kind == "sudo":
            return [(Kind.PRIVILEGE, "success", "sudo", self.user, self.pid)]
        return [
            (Kind.ACCOUNT, "success", "group_created", None, self.pid),
            (Kind.ACCOUNT, "success", "user_created", None, self.pid),
        ]


def lines(deed: Deed) -> list[tuple[int, str, str]]:
    """Milliseconds after the deed's time, program, message."""
    user, peer = deed.user, f"{deed.address} port {30_000 + deed.pid}"
    if deed.kind == "ssh_fail":
        known = user != "mallory"
        invalid = "" if known else "invalid user "
        found = [] if known else [(0, "sshd", f"Invalid user {user} from {peer}")]
        failure = f"logname= uid=0 euid=0 tty=ssh ruser= rhost={deed.address} " + (
            f" user={user}" if known else ""
        )
        found.append((1, "sshd", f"pam_unix(sshd:auth): authentication failure; {failure}"))
        for attempt in range(deed.attempts):
            found.append((2 + 300 * attempt, "sshd", f"Failed password for {invalid}{user} from {peer} ssh2"))
        closed = "authenticating" if known else "invalid"
        found.append((1500, "sshd", f"Connection closed by {closed} user {user} {peer} [preauth]"))
        return found
    if deed.kind == "ssh_login":
        return [
            (0, "sshd", f"Accepted password for {user} from {peer} ssh2"),
            (3, "sshd", f"pam_unix(sshd:session): session opened for user {user}(uid=1001) by (uid=0)"),
        ]
    if deed.kind == "su_refused":
        failure = f"logname= uid=1001 euid=0 tty=/dev/pts/1 ruser={user} rhost=  user=root"
        return [
            (0, "su", f"pam_unix(su:auth): authentication failure; {failure}"),
            (900, "su", f"FAILED SU (to root) {user} on pts/1"),
        ]
    if deed.kind == "sudo":
        return [
            (0, "sudo", f"{user} : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/id {deed.pid}"),
            (4, "sudo", f"pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid=1001)"),
        ]
    return [
        (0, "useradd", f"new group: name=new{deed.pid}, GID={deed.pid}"),
        (
            1,
            "useradd",
            f"new user: name=new{deed.pid}, UID={deed.pid}, GID={deed.pid}, home=/x, shell=/x, from=none",
        ),
    ]


def rows(deed: Deed) -> list[tuple[int, str, dict[str, str]]]:
    """Milliseconds, wtmp or btmp, fields."""
    if deed.kind == "ssh_fail":
        # One more for a name without an account.
        count = deed.attempts + (deed.user == "mallory")
        fields = {"type": "LOGIN_PROCESS", "line": "ssh:notty", "user": deed.user, "address": deed.address}
        return [(300 * attempt, "btmp", fields) for attempt in range(count)]
    if deed.kind == "ssh_login":
        fields = {"type": "USER_PROCESS", "line": "pts/7", "user": deed.user, "address": deed.address}
        return [(40, "wtmp", fields)]
    if deed.kind == "su_refused":
        return [(901, "btmp", {"type": "LOGIN_PROCESS", "user": "root"})]
    return []


def messages(deed: Deed) -> list[tuple[int, str]]:
    """Milliseconds, the text of an audit record."""
    program = {"ssh_fail": "sshd", "ssh_login": "sshd", "su_refused": "su", "sudo": "sudo"}.get(
        deed.kind, "useradd"
    )
    own = f"pid={deed.pid} uid={0 if program in ('sshd', 'useradd') else 1001} auid=4294967295 ses=4294967295 msg='"
    exe = f'exe="/usr/sbin/{program}"'
    from_ = f"hostname={deed.address} addr={deed.address} terminal=ssh"
    if deed.kind == "ssh_fail":
        return [
            (
                300 * attempt,
                f'USER_AUTH {own}op=PAM:authentication acct="{deed.user}" {exe} {from_} res=failed\'',
            )
            for attempt in range(deed.attempts)
        ]
    if deed.kind == "ssh_login":
        return [(1, f'USER_START {own}op=PAM:session_open acct="{deed.user}" {exe} {from_} res=success\'')]
    if deed.kind == "su_refused":
        return [(0, f'USER_AUTH {own}op=PAM:authentication acct="root" {exe} terminal=pts/1 res=failed\'')]
    if deed.kind == "sudo":
        return [(3, f'USER_START {own}op=PAM:session_open acct="root" {exe} terminal=pts/0 res=success\'')]
    return [
        (0, f'ADD_GROUP {own}op=adding group acct="new{deed.pid}" {exe} res=success\''),
        (1, f'ADD_USER {own}op=adding user acct="new{deed.pid}" {exe} res=success\''),
    ]


def entries_of(source: str, deeds: list[Deed]) -> list[Entry]:
    """What a source tells, in its order."""
    found: list[Entry] = []
    for deed in deeds:
        if source in (LOG, JOURNAL):
            trusted = source == JOURNAL
            for late, program, message in lines(deed):
                pid = None if program == "sudo" and not trusted else deed.pid
                user_id = 0 if trusted else None
                found.append(
                    Entry(source, deed.time + late * 10**6, program, message, pid, user_id, trusted=trusted)
                )
        elif source == "audit":
            for late, text in messages(deed):
                kind, _, rest = text.partition(" ")
                fields = {"type": kind, **parse_fields(rest)}
                found.append(
                    Entry(source, deed.time + late * 10**6, "", "", deed.pid, trusted=True, fields=fields)
                )
        else:
            for late, name, row in rows(deed):
                if name == source:
                    time = deed.time + late * 10**6
                    found.append(Entry(source, time, "", "", deed.pid, trusted=True, fields=row))
    found.sort(key=lambda entry: entry.time_unix_nano)
    return [replace(entry, identity=str(number)) for number, entry in enumerate(found)]


@st.composite
def deeds(draw: st.DrawFn) -> list[Deed]:
    kinds = st.sampled_from(("ssh_fail", "ssh_fail", "ssh_login", "su_refused", "sudo", "useradd"))
    found: list[Deed] = []
    time = START
    for number in range(draw(st.integers(1, 5))):
        # sudo's line has no pid in a text log: two at a time by one user would be told apart by nothing.
        kind = draw(kinds.filter(lambda kind: kind != "sudo" or all(deed.kind != "sudo" for deed in found)))
        user = draw(st.sampled_from(("alice", "mallory"))) if kind == "ssh_fail" else "alice"
        attempts = draw(st.integers(1, 3))
        address = draw(st.sampled_from(("192.0.2.1", "2001:db8::7")))
        found.append(Deed(kind, user, 2001 + number, time, attempts, address))
        time += draw(st.integers(0, 1500)) * 10**6
    return found


def interleave(draw: st.DrawFn, sources: list[list[Entry]]) -> list[Entry]:
    """Any order that keeps each source's own."""
    turns = [number for number, entries in enumerate(sources) for _ in entries]
    order = draw(st.permutations(turns))
    places = [iter(entries) for entries in sources]
    return [next(places[number]) for number in order]


def brief(event: AuthEvent) -> tuple[object, ...]:
    return (event.kind, event.outcome, event.action, event.user, event.pid)


def without_actor(counted: Counter[tuple[object, ...]]) -> Counter[tuple[object, ...]]:
    """Account records without who did it."""
    return Counter(
        {(*key[:3], None if key[0] is Kind.ACCOUNT else key[3], key[4]): n for key, n in counted.items()}
    )


def merged(entries: list[Entry], restart_at: int | None = None) -> list[AuthEvent]:
    merger = Merger(2.0)
    for number, entry in enumerate(entries):
        if number == restart_at:
            kept = json.loads(json.dumps(merger.dump(0.0)))
            merger = Merger(2.0)
            merger.load(kept, 0.0)
        for event in PARSER.parse(entry):
            user = event.user or {0: "root", 1001: "alice"}.get(
                -1 if event.user_id is None else event.user_id
            )
            merger.add(replace(event, user=user) if event.kind is Kind.PRIVILEGE else event, 0.0)
    return merger.flush(0.0)


@given(data=st.data(), done=deeds(), more=st.sets(st.sampled_from(("audit", "btmp", "wtmp"))))
@settings(max_examples=300)
def test_any_order_of_the_sightings_gives_the_same_records(
    data: Any, done: list[Deed], more: set[str]
) -> None:
    logs = data.draw(st.sampled_from(([LOG], [JOURNAL], [LOG, JOURNAL])))
    sources = [entries_of(source, done) for source in [*logs, *sorted(more)]]
    entries = interleave(data.draw, sources)
    told = merged(entries, data.draw(st.none() | st.integers(0, len(entries))))
    expected = Counter(record for deed in done for record in deed.records())
    found = Counter(map(brief, told))
    if JOURNAL not in logs and "audit" not in more:
        # Only they know the pid of sudo.
        expected = Counter(
            {(*key[:4], None if key[2] == "sudo" else key[4]): n for key, n in expected.items()}
        )
    if "audit" in more:
        # The audit knows who ran useradd.
        expected, found = without_actor(expected), without_actor(found)
    assert found == expected


@given(data=st.data(), done=deeds())
def test_each_record_names_every_source_that_told_of_it(data: Any, done: list[Deed]) -> None:
    names = [LOG, JOURNAL, "audit", "btmp", "wtmp"]
    told = merged(interleave(data.draw, [entries_of(source, done) for source in names]))
    for event in told:
        assert {LOG, JOURNAL, "audit"} <= set(event.sources), event
        if event.kind is Kind.LOGIN:
            assert ("btmp" if event.outcome == "failure" else "wtmp") in event.sources


def entry(message: str, source: str = LOG, *, at: float = 0.0, program: str = "sshd", pid: int = 7) -> Entry:
    return Entry(source, START + int(at * SECOND), program, message, pid, identity=f"{source}{at}{message}")


def add(merger: Merger, one: Entry, now: float) -> bool:
    return all(merger.add(event, now) for event in PARSER.parse(one))


ACCEPTED = "Accepted password for alice from 192.0.2.1 port 5 ssh2"
FAILED = "Failed password for alice from 192.0.2.1 port 5 ssh2"


def test_two_logins_within_the_window_stay_two() -> None:
    merger = Merger(2.0)
    for pid in (7, 8):
        for source in (LOG, JOURNAL):
            add(merger, entry(ACCEPTED, source, pid=pid, at=pid / 100), 0.0)
    assert [event.pid for event in merger.flush(0.0)] == [7, 8]


def test_a_record_is_told_when_the_window_has_passed() -> None:
    merger = Merger(2.0)
    add(merger, entry(ACCEPTED), 10.0)
    assert merger.next_due() == 12.0
    assert merger.due(11.9) == []
    assert len(merger.due(12.0)) == 1
    assert merger.next_due() is None


def test_a_logout_is_not_told_before_its_login() -> None:
    merger = Merger(2.0)
    add(merger, entry("pam_unix(sshd:session): session closed for user alice", JOURNAL, at=0.5), 10.0)
    add(merger, entry(ACCEPTED, at=0.1), 10.5)
    assert merger.due(12.1) == []
    assert [event.kind for event in merger.due(12.5)] == [Kind.LOGIN, Kind.LOGOUT]


def test_a_connection_without_a_password_is_told_when_it_ends() -> None:
    merger = Merger(2.0)
    add(merger, entry("Invalid user mallory from 192.0.2.1 port 5"), 0.0)
    assert merger.due(60.0) == []
    add(merger, entry("Connection closed by invalid user mallory 192.0.2.1 port 5 [preauth]", at=60), 60.0)
    (event,) = merger.due(62.0)
    assert (event.user, event.reason, event.outcome) == ("mallory", "unknown_user", "failure")


def test_a_connection_whose_end_is_never_told_is_told_all_the_same() -> None:
    merger = Merger(2.0)
    add(merger, entry("Invalid user mallory from 192.0.2.1 port 5"), 0.0)
    assert len(merger.due(131.0)) == 1


def test_the_end_of_a_connection_is_no_attempt_of_its_own() -> None:
    merger = Merger(2.0)
    add(merger, entry(FAILED), 0.0)
    assert len(merger.due(2.0)) == 1
    add(
        merger,
        entry("Connection closed by authenticating user alice 192.0.2.1 port 5 [preauth]", at=90),
        90.0,
    )
    assert merger.flush(100.0) == []


def test_a_repeated_line_counts() -> None:
    merger = Merger(2.0)
    add(merger, entry(f"message repeated 2 times: [ {FAILED}]"), 0.0)
    (event,) = merger.flush(0.0)
    assert event.count == 2


def test_the_rows_of_a_repeated_line_are_part_of_it() -> None:
    merger = Merger(2.0)
    fields = {"type": "LOGIN_PROCESS", "line": "ssh:notty", "user": "alice", "address": "192.0.2.1"}
    add(merger, entry(FAILED), 0.0)
    add(merger, entry(f"message repeated 2 times: [ {FAILED}]", at=1), 0.0)
    for number in range(3):
        row = Entry("btmp", START, "", "", 7, trusted=True, fields=fields, identity=str(number))
        add(merger, row, 0.0)
    assert sum(event.count for event in merger.flush(0.0)) == 3


def test_a_refusal_holds_for_all_attempts_of_its_connection() -> None:
    merger = Merger(2.0)
    add(merger, entry("User bob from 192.0.2.1 not allowed because not listed in AllowUsers"), 0.0)
    for attempt in (1, 2):
        add(merger, entry("Failed password for invalid user bob from 192.0.2.1 port 5 ssh2", at=attempt), 0.0)
    assert [(event.reason, event.user_known) for event in merger.flush(0.0)] == [("not_allowed", True)] * 2


def test_what_a_trusted_source_saw_forged_does_not_count_in_a_log_either() -> None:
    for first in (True, False):
        merger = Merger(2.0)
        if not first:
            assert add(merger, entry(ACCEPTED), 0.0)
        merger.poison("sshd", ACCEPTED, START, 0.0)
        if first:
            assert not add(merger, entry(ACCEPTED), 0.0)
        assert merger.flush(0.0) == []
        # The same words from the true sshd do.
        true = Entry(JOURNAL, START, "sshd", ACCEPTED, 8, 0, trusted=True, identity="x")
        assert add(merger, true, 0.0)
        assert [event.sources for event in merger.flush(0.0)] == [(JOURNAL,)]


def test_the_memory_is_bounded() -> None:
    merger = Merger(2.0, limit=50)
    told = 0
    for number in range(1000):
        add(merger, entry(FAILED, at=number / 1000, pid=number + 1), 0.0)
        told += len(merger.due(0.0))
    told += len(merger.flush(0.0))
    assert told == 1000
    assert len(merger.dump(0.0)) <= 256
    merger.due(10_000.0)
    assert merger.dump(0.0) == []
    # Nothing else is left behind.
    assert not merger._index
    assert not merger._seen


def test_a_flood_is_told_at_once_and_what_waits_for_its_decision_last() -> None:
    merger = Merger(2.0, limit=50)
    waiting = entry("Invalid user mallory from 192.0.2.1 port 5", pid=5)
    add(merger, waiting, 0.0)
    for number in range(60):
        assert not merger.due(0.0)
        add(merger, entry(FAILED, at=number / 1000, pid=number + 10), 0.0)
        if merger.is_flooded:
            break
    assert len(merger.due(0.0)) == 50
    assert not merger.is_flooded
    (event,) = merger.flush(0.0)
    assert event.user == "mallory"


@pytest.mark.parametrize(
    "kept", [None, 5, "x", [1], [{}], [{"sightings": 3}], [{"sightings": [{"kind": "?"}]}]]
)
def test_a_damaged_memory_is_left_out(kept: object) -> None:
    merger = Merger(2.0)
    merger.load(kept, 0.0)
    assert merger.flush(0.0) == []


def test_a_flood_of_one_attacker_is_merged_in_reasonable_time() -> None:
    merger = Merger(2.0)
    told: list[AuthEvent] = []
    for number in range(3000):
        pid = 10 + number // 3
        for source in (LOG, JOURNAL):
            add(merger, entry(FAILED, source, at=number / 1000, pid=pid), number / 1000)
        told += merger.due(number / 1000)
    told += merger.flush(10.0)
    assert len(told) == 3000


def test_guesses_at_once_by_several_processes_stay_apart() -> None:
    """btmp has one row too many for names without an account, and the audit does not know the exact process."""
    later = START + 3 * 10**8
    done = [
        Deed("ssh_fail", "mallory", 2001, START, 1, "192.0.2.1"),
        *(
            Deed("ssh_fail", user, pid, later, 1, "192.0.2.1")
            for user, pid in (("mallory", 2002), ("alice", 2003))
        ),
    ]
    sources = [entries_of(source, done) for source in (LOG, JOURNAL, "audit", "btmp")]
    for seed in range(200):
        turns = [number for number, entries in enumerate(sources) for _ in entries]
        random.Random(seed).shuffle(turns)
        places = [iter(entries) for entries in sources]
        told = merged([next(places[number]) for number in turns])
        assert sorted((event.user, event.pid) for event in told) == [
            ("alice", 2003),
            ("mallory", 2001),
            ("mallory", 2002),
        ], seed
