"""What real programs wrote (testdata/real, see tests/interop/auth/sample.py) as entries, and the way to records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from pathlib import Path

import pytest

from otel_fim.host.identities import Identities
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.auth.accounts import Accounts
from otel_fim.receivers.auth.event import AuthEvent, Entry
from otel_fim.receivers.auth.merge import Merger
from otel_fim.receivers.auth.parse import RejectedError
from otel_fim.receivers.auth.sessions import Sessions
from otel_fim.receivers.auth.sources.audit import parse_message
from otel_fim.receivers.auth.sources.journal_entry import JournalEntry, parse_line
from otel_fim.receivers.auth.sources.syslog_line import parse_line as parse_syslog
from otel_fim.receivers.auth.sources.syslog_time import Clock
from otel_fim.receivers.auth.sources.utmp_record import NARROW, entry, parse
from otel_fim.receivers.auth.understand import Understanding

REAL = Path(__file__).parent / "testdata" / "real"
AUTH_LOG = "/var/log/auth.log"
LATEST = 1_795_300_000 * 10**9
USERS = {0: "root", 1001: "alice", 1002: "bob", 1024: "carol"}


class RecordedSessions(Sessions):
    """Logins whose processes ended long ago: nobody is asked about a pid that may be someone else's by now."""

    def login_of(self, pid: int, at_unix_nano: int) -> tuple[int | None, int | None]:
        return None, None

    def program_of(self, pid: int, at_unix_nano: int) -> str | None:
        return None


class Desk:
    """Entries in, events out, without a thread and without a clock of its own."""

    def __init__(self, directory: Path, window: float = 2.0) -> None:
        self.users = dict(USERS)
        identities = Identities(lambda number: self.users[number], lambda number: {}[number])
        self.table = ProcessTable()
        self.sessions = RecordedSessions(self.table, identities.user)
        shadow, group = directory / "shadow", directory / "group"
        for file in (shadow, group):
            file.touch()
        self.understanding = Understanding(identities, self.sessions, Accounts(str(shadow), str(group)))
        self.merger = Merger(window)
        self.rejected: list[str] = []
        self.now = 0.0

    def take(self, entries: Iterable[Entry]) -> None:
        for each in entries:
            try:
                for event in self.understanding.events(each):
                    if not self.merger.add(event, self.now):
                        self.rejected.append("forged")
            except RejectedError as error:
                self.rejected.append(str(error))
                if str(error) == "forged":
                    self.merger.poison(each.identifier, each.message, each.time_unix_nano, self.now)

    def told(self, *, flush: bool = True) -> list[AuthEvent]:
        events = self.merger.flush(self.now) if flush else self.merger.due(self.now)
        return [self.sessions.told(event) for event in events]

    def records(self, *sources: Sequence[Entry]) -> list[AuthEvent]:
        """What becomes of whole sources, one after the other."""
        for entries in sources:
            self.take(entries)
        return self.told()


@pytest.fixture
def desk(tmp_path: Path) -> Callable[[], Desk]:
    """Makes a desk; each starts from nothing."""
    return lambda: Desk(tmp_path)


def read_real(scenario: str, flavour: str) -> list[Entry]:
    """The entries of one file of a scenario. Every line must be understood by its source."""
    path = REAL / scenario / flavour
    if not path.exists():
        return []
    data = path.read_bytes()
    found: list[Entry | str | None] = []
    if flavour.startswith("auth.log"):
        clock = Clock(UTC)
        found += [parse_syslog(line, AUTH_LOG, clock, LATEST) for line in data.splitlines() if line.strip()]
    elif flavour == "journal.json":
        for line in data.splitlines():
            journal = parse_line(line)
            found.append(journal.entry if isinstance(journal, JournalEntry) else journal)
    elif flavour == "audit.json":
        for line in data.splitlines():
            message = json.loads(line)
            found.append(parse_message(message["type"], message["text"].encode()))
    else:
        for at in range(0, len(data), NARROW.size):
            row = parse(data[at : at + NARROW.size], NARROW)
            found.append(entry(flavour, row) if not isinstance(row, str) else row)
    assert not [each for each in found if isinstance(each, str)], path
    return [each for each in found if isinstance(each, Entry)]


@pytest.fixture
def real() -> Callable[[str, str], list[Entry]]:
    return read_real
