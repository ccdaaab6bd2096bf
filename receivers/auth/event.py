"""What lies between a source (which reads), a parser (which understands) and the merger (which joins).

A source yields `Entry` values, a parser turns one into `AuthEvent` values, the merger makes one of several that tell
of the same thing, and `records` turns what is left into records.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final


@dataclass(slots=True, frozen=True)
class Entry:
    """One line, journal entry, binary record or audit message, as its source gave it.

    `source` is journald, audit, wtmp, btmp, utmp, or a log file's path. `identifier` is the program's name as
    syslog has it (sshd, sudo); `pid` and `user_id` are trusted only when `trusted` is True: journald and the
    kernel's audit state them of the sender themselves, a text log only repeats what the sender wrote.
    `message` is untrusted text without control characters decoded. `fields` holds what the source has beside it
    (journal fields, audit key-value pairs), names as in the source. `identity` is the same when the source gives
    the same entry again after a crash, and differs between entries of one source.
    """

    source: str
    time_unix_nano: int
    identifier: str
    message: str
    pid: int | None = None
    user_id: int | None = None
    trusted: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None


class Kind(enum.Enum):
    """Which record an event becomes."""

    LOGIN = "login"
    LOGOUT = "logout"
    PRIVILEGE = "privilege"
    ACCOUNT = "account"


class Weight(enum.IntEnum):
    """What a line is worth for the record.

    A decision is the event itself (`Accepted password for …`). A hint tells of it and stands for it when no decision
    comes (`session opened`, `Invalid user`). Support adds to it and never makes a record (`New session 5`).
    """

    SUPPORT = 0
    HINT = 1
    DECISION = 2


@dataclass(slots=True, frozen=True)
class AuthEvent:
    """Something that happened, as one source tells it. None means that this source does not say.

    `outcome` is success or failure. `action` is `event.action`: login, logout, sudo, su, doas, pkexec, or one of
    the account actions of `events.AUTH_ACCOUNT`. `user` is who logs in, or who acts; `effective_user` whom they
    become; `target_user` and `group` the account that changes. `pid` is the process that decided (sshd's, sudo's).
    `session_id` is the kernel's audit session. Ids are the kernel's numbers. `sources` grows when events are merged.
    """

    kind: Kind
    time_unix_nano: int
    sources: tuple[str, ...]
    action: str
    outcome: str = "success"
    service: str | None = None
    user: str | None = None
    user_id: int | None = None
    user_known: bool | None = None
    effective_user: str | None = None
    effective_user_id: int | None = None
    target_user: str | None = None
    target_user_id: int | None = None
    group: str | None = None
    group_id: int | None = None
    method: str | None = None
    reason: str | None = None
    source_address: str | None = None
    source_port: int | None = None
    terminal: str | None = None
    command: str | None = None
    working_directory: str | None = None
    key_type: str | None = None
    key_fingerprint: str | None = None
    pid: int | None = None
    login_user_id: int | None = None
    session_id: int | None = None
    duration_nanoseconds: int | None = None
    count: int = 1
    original: str | None = None
    changes: tuple[str, ...] = ()
    """What changed of an account, such as `home: /home/bob -> /srv/bob`."""
    host_session: str | None = None
    """The session's name with systemd-logind."""
    login_key: str | None = None
    """The login that a logout ends, as `sessions` names it."""
    login_time_unix_nano: int | None = None
    part: str = "decision"
    """Which line of the story this is: two events of one source with the same part are two stories."""
    weight: Weight = Weight.DECISION
    patience: float | None = None
    """Seconds that a hint waits for its decision; None: the merge window."""
    exact_pid: bool = True
    """False when `pid` is a helper of the process that decides."""
    trusted: bool = False
    identity: str | None = None
    """The entry's `identity`."""
    identifier: str | None = None
    """The entry's `identifier`: with `original` it recognises one line in two logs."""


_NAMES: Final = tuple(each.name for each in fields(AuthEvent))
_VALUES: Final = attrgetter(*_NAMES)
_SETTERS: Final = {name: AuthEvent.__dict__[name].__set__ for name in _NAMES}
_IN_ORDER: Final = tuple(_SETTERS.values())


def changed(event: AuthEvent, **facts: Any) -> AuthEvent:
    """`dataclasses.replace`, three times as fast: a burst of failed logins passes through here."""
    copy = object.__new__(AuthEvent)
    for put, value in zip(_IN_ORDER, _VALUES(event), strict=True):
        put(copy, value)
    for name, value in facts.items():
        _SETTERS[name](copy, value)
    return copy
