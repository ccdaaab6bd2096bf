"""The logins behind processes: who came in, from where, how.

A process names its login by the kernel's audit session. Where the kernel keeps none (containers, hosts without
pam_loginuid), a login is found by its leader, the process that let the user in, among a process's ancestors.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LIMIT: Final = 4096


@dataclass(slots=True, frozen=True)
class LoginSession:
    """One login. `session_id` is the kernel's (`/proc/PID/sessionid`), unique until the next boot, and None where
    the kernel keeps none; `time_unix_nano` is when it began. `leader_entity_id` (`Process.entity_id`) is the process
    that let the user in and from which everything in the login descends: one process for each login, never a
    daemon that serves many. None means unknown."""

    session_id: int | None
    user_id: int | None = None
    user_name: str | None = None
    source_address: str | None = None
    source_port: int | None = None
    method: str | None = None
    service: str | None = None
    terminal: str | None = None
    time_unix_nano: int | None = None
    leader_entity_id: str | None = None


class LoginSessions:
    """The newest logins, at most `limit` by session and as many by leader. Safe to use from any thread."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._sessions: OrderedDict[int, LoginSession] = OrderedDict()
        self._leaders: OrderedDict[str, LoginSession | None] = OrderedDict()
        self._lock = threading.Lock()

    def learn(self, session: LoginSession) -> None:
        """Takes a login in the place of what was known of that session, and of that leader."""
        with self._lock:
            if session.session_id is not None:
                self._sessions[session.session_id] = session
                self._sessions.move_to_end(session.session_id)
                _trim(self._sessions, self._limit)
            leader = session.leader_entity_id
            if leader is not None:
                is_other = leader in self._leaders and not _is_same(self._leaders[leader], session)
                # A process that lets in two users leads neither: nobody can tell whose its children are.
                self._leaders[leader] = None if is_other else session
                self._leaders.move_to_end(leader)
                _trim(self._leaders, self._limit)

    def get(self, session_id: int) -> LoginSession | None:
        """The login of a session, None when nobody told of it."""
        with self._lock:
            return self._sessions.get(session_id)

    def led_by(self, entity_id: str) -> LoginSession | None:
        """The login that this process let in; None for any other process, and for one that let in several users."""
        with self._lock:
            return self._leaders.get(entity_id)

    def forget(self, session_id: int) -> None:
        """Drops a session, when its number may come again (a new boot)."""
        with self._lock:
            session = self._sessions.pop(session_id, None)
            if session is not None and session.leader_entity_id is not None:
                self._leaders.pop(session.leader_entity_id, None)

    def all(self) -> Sequence[LoginSession]:
        """Every login with a session, oldest first."""
        with self._lock:
            return list(self._sessions.values())


def _trim(logins: OrderedDict[int, LoginSession] | OrderedDict[str, LoginSession | None], limit: int) -> None:
    while len(logins) > limit:
        logins.popitem(last=False)


def _is_same(known: LoginSession | None, session: LoginSession) -> bool:
    """Whether two tellings may be of one login: nothing that both say of the user and the way differs."""
    if known is None:
        return False
    pairs = (
        (known.session_id, session.session_id),
        (known.user_id, session.user_id),
        (known.user_name, session.user_name),
        (known.source_address, session.source_address),
        (known.source_port, session.source_port),
    )
    return all(one is None or other is None or one == other for one, other in pairs)
