"""What a record says of its listener."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.host.process import Process
from otel_fim.names.registry import EVENTS
from otel_fim.receivers.listener.book import Book, Listener, Owner
from otel_fim.receivers.listener.overlaps import Brief, Overlaps
from otel_fim.receivers.listener.records import RecordBuilder
from otel_fim.receivers.listener.sockets import ListeningSocket
from otel_fim.record import Resource, Scope

PROCESS = Process(
    812,
    1_700_000_000_000_000_000,
    "5b1f0c6d9a3e4f27",
    executable_path="/usr/sbin/nginx",
    command="nginx",
    effective_user_id=0,
    login_user_id=0,
    session_id=3,
    systemd_unit="nginx.service",
    container_id="a3bf90e006b2",
)


@pytest.fixture
def builder() -> RecordBuilder:
    context = Context(
        "listener",
        "receiver",
        Path(),
        Path(),
        (),
        Resource(),
        Scope(),
        logging.getLogger("test"),
        lambda *_: None,
        lambda *_, **__: None,
    )
    return RecordBuilder(context, Identities(), range(32768, 61000))


def listener(
    process: Process | None = PROCESS, *, transport: str = "tcp", address: str = "0.0.0.0", port: int = 80
) -> Listener:
    made = ListeningSocket(transport, 6 if ":" in address else 4, address, port, 4711, 33)  # type: ignore[arg-type]
    owner = Owner(812, process, ("812 /usr/sbin/nginx", "813 /usr/sbin/nginx"))
    return Listener(made, owner, "sock_diag", {made.identity})


def test_unit_container_login_and_further_processes(builder: RecordBuilder) -> None:
    record = builder.opened(listener())
    assert record.attributes[names.OTEL_FIM_SYSTEMD_UNIT] == "nginx.service"
    assert record.attributes[names.CONTAINER_ID] == "a3bf90e006b2"
    assert record.attributes[names.OTEL_FIM_LOGIN_SESSION_ID] == 3
    assert record.attributes[names.OTEL_FIM_LOGIN_USER_NAME] == "root"
    assert record.attributes[names.OTEL_FIM_LISTENER_PROCESSES] == [
        "812 /usr/sbin/nginx",
        "813 /usr/sbin/nginx",
    ]
    assert record.body == "nginx listens on tcp 0.0.0.0:80"


def test_attributes_are_those_of_the_event(builder: RecordBuilder) -> None:
    listed = {*EVENTS[builder.opened(listener()).event_name].attributes, names.PROCESS_USER_ID}
    told = builder.opened(listener(), while_down=True).attributes
    assert set(told) <= {*listed, names.PROCESS_USER_NAME}


@pytest.mark.parametrize(
    ("address", "transport", "port", "first", "severity"),
    [
        ("0.0.0.0", "tcp", 40000, False, "WARN"),
        ("8.8.8.8", "udp", 53, False, "WARN"),
        ("0.0.0.0", "udp", 40000, False, "INFO"),
        ("10.0.0.1", "tcp", 80, False, "INFO"),
        ("::1", "tcp", 80, False, "INFO"),
        ("::", "tcp", 80, True, "INFO"),
    ],
)
def test_severity(
    builder: RecordBuilder, address: str, transport: str, port: int, first: bool, severity: str
) -> None:
    made = listener(address=address, transport=transport, port=port)
    assert builder.opened(made, first=first).severity_text == severity
    assert builder.closed(made).severity_text == "INFO"


def test_a_hostile_name_stays_on_its_line(builder: RecordBuilder) -> None:
    hostile = Process(1, 1, "x", executable_path="/tmp/a\nb\x1b[31m\u202e")
    body = str(builder.opened(listener(hostile)).body)
    assert body.isprintable()
    assert body == "a\\x0ab\\x1b[31m\\x202e listens on tcp 0.0.0.0:80"


def test_an_owner_of_whom_only_the_pid_is_known(builder: RecordBuilder) -> None:
    record = builder.opened(listener(None))
    assert record.attributes[names.PROCESS_PID] == 812
    assert record.attributes[names.USER_ID] == "33"
    assert record.attributes[names.OTEL_FIM_ACTOR_STATE] == "exited"
    assert record.body == "an unknown process listens on tcp 0.0.0.0:80"


def test_a_book_has_one_entry_for_each_place_and_owner() -> None:
    book = Book()
    first, second = listener(), listener()
    second.sockets = {(None, "tcp", 4712, "0.0.0.0", 80)}
    assert book.opened(first)
    assert not book.opened(second)
    assert book.opened(listener(port=81))
    assert book.closed((None, "tcp", 4711, "0.0.0.0", 80)) is None
    assert book.closed((None, "tcp", 4712, "0.0.0.0", 80)) is first
    assert book.closed((None, "tcp", 4712, "0.0.0.0", 80)) is None
    assert [each.socket.port for each in book.listeners()] == [81]


def test_brief_listeners_at_the_same_time_are_one() -> None:
    book, overlaps = Book(), Overlaps()
    briefs = [
        Brief(listener(), 10, 20),
        Brief(listener(port=81), 12, 14),
        Brief(listener(), 15, 30),
        Brief(listener(), 31, 40),
    ]
    told = [
        (each.listener.socket.port, each.begin, each.end) for each in overlaps.untold(reversed(briefs), book)
    ]
    assert told == [(80, 10, 30), (81, 12, 14), (80, 31, 40)]


def test_a_brief_listener_that_was_a_part_of_another_is_not_told() -> None:
    book, overlaps = Book(), Overlaps()
    going_on = listener()
    going_on.since = 50
    book.opened(going_on)
    ended = listener(port=81)
    ended.since = 50
    overlaps.closed(ended, 60)
    untold = [Brief(listener(), 10, 40), Brief(listener(port=81), 10, 40), Brief(listener(port=81), 61, 70)]
    parts = [Brief(listener(), 41, 55), Brief(listener(port=81), 55, 58), Brief(listener(port=81), 60, 65)]
    assert [each.begin for each in overlaps.untold([*untold[:2], *parts], book)] == [10, 10]
    assert [each.begin for each in overlaps.untold(untold[2:], book)] == [61]
