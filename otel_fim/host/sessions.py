"""The logins behind the kernel's audit sessions: who came in, from where, how."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LIMIT: Final = 4096


@dataclass(slots=True, frozen=True)
class LoginSession:
    """One login. `session_id` is the kernel's (`/proc/PID/sessionid`), unique until the next boot;
    `time_unix_nano` is when it began. None means unknown."""

    session_id: int
    user_id: int | None = None
    user_name: str | None = None
    source_address: str | None = None
    source_port: int | None = None
    method: str | None = None
    service: str | None = None
    terminal: str | None = None
    time_unix_nano: int | None = None


class LoginSessions:
    """The newest logins, at most `limit`. Safe to use from any thread."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._sessions: OrderedDict[int, LoginSession] = OrderedDict()
        self._lock = threading.Lock()

    def learn(self, session: LoginSession) -> None:
        """Takes a login in the place of what was known of that session."""
        with self._lock:
            self._sessions[session.session_id] = session
            self._sessions.move_to_end(session.session_id)
            while len(self._sessions) > self._limit:
                self._sessions.popitem(last=False)

    def get(self, session_id: int) -> LoginSession | None:
        """The login of a session, None when nobody told of it."""
        with self._lock:
            return self._sessions.get(session_id)

    def forget(self, session_id: int) -> None:
        """Drops a session, when its number may come again (a new boot)."""
        with self._lock:
            self._sessions.pop(session_id, None)

    def all(self) -> Sequence[LoginSession]:
        """Every known login, oldest first."""
        with self._lock:
            return list(self._sessions.values())
