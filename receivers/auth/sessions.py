"""The logins that last: which session of the kernel's each one has, and what ends it.

A login is found again by its process, its address and port, its terminal or its session. It is told to the agent's
process table as soon as the kernel's session is known, so that other records are enriched. Logins outlast the
agent: they are kept with the boot id and are dropped when the machine has been started anew.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from otel_fim.host import procfs
from otel_fim.host.sessions import LoginSession
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.auth.event import AuthEvent, Kind, Weight, changed
from otel_fim.receivers.auth.parse import build, utmp

_LIMIT: Final = 4096
_ENDED_LIMIT: Final = 512
_BEGUN: Final = frozenset({build.SESSION, "kernel"})
_RECENT_NANO: Final = 600 * 1_000_000_000
_SET_BACK_NANO: Final = 3660 * 1_000_000_000


@dataclass(slots=True)
class ActiveLogin:
    """One login. None means unknown; `key` names it for good."""

    key: str
    time_unix_nano: int
    pid: int | None = None
    user: str | None = None
    user_id: int | None = None
    source_address: str | None = None
    source_port: int | None = None
    terminal: str | None = None
    method: str | None = None
    service: str | None = None
    session_id: int | None = None
    host_session: str | None = None

    def learn(self, event: AuthEvent) -> None:
        """Takes from an event what is not known yet."""
        for name in ("user", "user_id", "source_address", "source_port", "terminal", "method", "service"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(event, name))
        self.host_session = self.host_session or event.host_session

    def session(self) -> LoginSession | None:
        """What the process table is told; None while the kernel's session is unknown."""
        if self.session_id is None:
            return None
        return LoginSession(
            self.session_id,
            self.user_id,
            self.user,
            self.source_address,
            self.source_port,
            self.method,
            self.service,
            self.terminal,
            self.time_unix_nano,
        )


class Sessions:
    """The logins that last. Not safe to use from several threads. `user_name` is for a user id, or None."""

    def __init__(self, processes: ProcessTable, user_name: Callable[[int], str | None]) -> None:
        self._processes = processes
        self._user_name = user_name
        self._active: OrderedDict[str, ActiveLogin] = OrderedDict()
        self._ended: OrderedDict[str, ActiveLogin] = OrderedDict()
        self._learned: dict[str, LoginSession] = {}

    # --- Logins --------------------------------------------------------------------------------------------------

    def seen(self, event: AuthEvent) -> AuthEvent:
        """A sighting of a login that went well, at once when it comes; gives it back with what is known of it."""
        if event.kind is not Kind.LOGIN or event.outcome != build.SUCCESS:
            return event
        if event.pid is None and (event.weight is Weight.SUPPORT or event.host_session is None):
            self._name(event)
            return event
        login = self._of_process(event)
        if login is None:
            if event.part == "kernel":
                # Every job of cron has one: a login is what another line says is one.
                return event
            name = event.pid if event.pid is not None else event.host_session
            login = ActiveLogin(f"{name}:{event.time_unix_nano}", event.time_unix_nano, event.pid)
            self._active[login.key] = login
            while len(self._active) > _LIMIT:
                self._learned.pop(self._active.popitem(last=False)[0], None)
        login.learn(event)
        begun = event.part in _BEGUN or event.sources[0] in ("wtmp", "utmp", "audit")
        if begun and login.session_id is None:
            login.session_id = event.session_id if event.sources[0] == "audit" else None
            if login.session_id is None and event.pid is not None:
                login.session_id = self._session_of(event.pid, login, event.time_unix_nano)
            if login.session_id is None and event.part in _BEGUN:
                login.session_id = event.session_id
        self._learn(login)
        return changed(event, session_id=login.session_id) if begun else event

    def told(self, event: AuthEvent) -> AuthEvent:
        """The event of a login as it is told: last chance to find its session."""
        if event.kind is Kind.LOGIN and event.outcome == build.SUCCESS and event.pid is not None:
            login = self._of_process(event)
            if login is not None:
                login.learn(event)
                # Times of several sources differ; this one is the record's.
                login.time_unix_nano = event.time_unix_nano
                if login.session_id is None:
                    login.session_id = self._session_of(event.pid, login, event.time_unix_nano)
                self._learn(login)
                return changed(event, session_id=login.session_id, host_session=login.host_session)
        if event.kind is Kind.LOGOUT and event.login_key is not None:
            ended = self._active.pop(event.login_key, None)
            self._learned.pop(event.login_key, None)
            if ended is not None:
                self._ended[ended.key] = ended
                while len(self._ended) > _ENDED_LIMIT:
                    self._ended.popitem(last=False)
        return event

    def _name(self, event: AuthEvent) -> None:
        """logind knows the user only: the newest login of that user without a name is meant."""
        for login in reversed(self._active.values()):
            close = abs(login.time_unix_nano - event.time_unix_nano) <= 5_000_000_000
            if login.user == event.user and login.host_session is None and close:
                login.host_session = event.host_session
                return

    def _of_process(self, event: AuthEvent) -> ActiveLogin | None:
        # Another log may tell of it when it has ended.
        for login in (*reversed(self._active.values()), *reversed(self._ended.values())):
            if event.pid is None and login.host_session != event.host_session:
                continue
            if login.pid == event.pid and not (
                login.user is not None and event.user is not None and login.user != event.user
            ):
                if (
                    event.part != utmp.PRESENT
                    and abs(login.time_unix_nano - event.time_unix_nano) > _RECENT_NANO
                ):
                    continue
                return login
        return None

    def _session_of(self, pid: int, login: ActiveLogin, at_unix_nano: int) -> int | None:
        """The kernel's session of a running process, if the login uid says that it is this login's."""
        user_id, session_id = self.login_of(pid, at_unix_nano)
        if session_id is None or user_id is None:
            return None
        if login.user_id is not None:
            return session_id if user_id == login.user_id else None
        if self._user_name(user_id) != login.user:
            return None
        login.user_id = user_id
        return session_id

    def login_of(self, pid: int, at_unix_nano: int) -> tuple[int | None, int | None]:
        """Login uid and session of a process, when it can still be asked; (None, None) otherwise."""
        with contextlib.suppress(OSError, ValueError):
            found = procfs.read_login_ids(pid)
            if found[1] is not None:
                return found
        with contextlib.suppress(NotImplementedError):
            process = self._processes.find(pid, at_unix_nano=at_unix_nano)
            if process is not None:
                return process.login_user_id, process.session_id
        return None, None

    def program_of(self, pid: int, at_unix_nano: int) -> str | None:
        """The name of the program that a process runs, or ran, when that is known."""
        with contextlib.suppress(NotImplementedError):
            process = self._processes.find(pid, at_unix_nano=at_unix_nano)
            if process is not None and process.executable_path:
                return os.path.basename(process.executable_path)
        return None

    def _learn(self, login: ActiveLogin) -> None:
        session = login.session()
        if session is not None and self._learned.get(login.key) != session:
            self._learned[login.key] = session
            self._processes.sessions.learn(session)

    # --- Logouts -------------------------------------------------------------------------------------------------

    def resolve(self, event: AuthEvent) -> AuthEvent:
        """A logout with the login that it ends. One that names nobody and ends no known login is support only."""
        if event.kind is not Kind.LOGOUT:
            return event
        login = self._ended_by(event)
        if login is None:
            return event
        return changed(
            event,
            weight=Weight.DECISION if event.weight is Weight.SUPPORT else event.weight,
            login_key=login.key,
            login_time_unix_nano=login.time_unix_nano,
            pid=login.pid,
            user=login.user or event.user,
            user_id=login.user_id if login.user_id is not None else event.user_id,
            source_address=login.source_address or event.source_address,
            source_port=login.source_port or event.source_port,
            terminal=login.terminal or event.terminal,
            method=login.method,
            service=login.service or event.service,
            session_id=login.session_id if login.session_id is not None else event.session_id,
            host_session=login.host_session,
        )

    def _ended_by(self, event: AuthEvent) -> ActiveLogin | None:
        for logins in (self._active, self._ended):
            for login in reversed(logins.values()):
                if login.time_unix_nano <= event.time_unix_nano + 1_000_000_000 and _ends(event, login):
                    return login
        # A clock that was set back, or summer time's end in a log without zones: the process is still the same.
        for login in reversed(self._active.values()):
            back = login.time_unix_nano - event.time_unix_nano
            same = event.exact_pid and event.pid is not None and event.pid == login.pid
            if same and back <= _SET_BACK_NANO and _ends(event, login):
                return login
        return None

    def at_terminal(self, terminal: str | None, user: str | None) -> ActiveLogin | None:
        """The login that lasts on a terminal."""
        if terminal is None:
            return None
        for login in reversed(self._active.values()):
            if login.terminal == terminal and (user is None or login.user == user):
                return login
        return None

    # --- Across restarts -------------------------------------------------------------------------------------------

    def dump(self) -> list[dict[str, Any]]:
        """The logins that last, for `load`."""
        return [asdict(login) for login in self._active.values()]

    def load(self, kept: object) -> None:
        """Takes logins of this boot from before the agent was started; what is not of that form is left out."""
        known = {each.name for each in fields(ActiveLogin)}
        for row in kept if isinstance(kept, list) else []:
            if not isinstance(row, Mapping) or not set(row) <= known or not isinstance(row.get("key"), str):
                continue
            if not isinstance(row.get("time_unix_nano"), int):
                continue
            login = ActiveLogin(**row)
            self._active[login.key] = login
            self._learn(login)


def _ends(event: AuthEvent, login: ActiveLogin) -> bool:
    if event.host_session is not None:
        return login.host_session == event.host_session
    if event.user is not None and login.user is not None and event.user != login.user:
        return False
    if event.source_port is not None and login.source_port is not None:
        return event.source_port == login.source_port and event.source_address == login.source_address
    if event.sources[0] in ("wtmp", "utmp"):
        return event.pid == login.pid and login.terminal in (None, event.terminal)
    if event.pid is not None and event.exact_pid and event.pid == login.pid:
        return True
    return event.session_id is not None and event.session_id == login.session_id
