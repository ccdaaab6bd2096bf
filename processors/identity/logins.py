"""The login that a process came out of, as attributes.

The kernel's audit session says which, `LoginSessions` who and from where. Where the kernel keeps no sessions, the
nearest ancestor that let a user in says it, and the record is marked with `otel_fim.login.basis`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from otel_fim import names
from otel_fim.host.cache import BoundedCache
from otel_fim.host.identities import Identities
from otel_fim.host.process import Process
from otel_fim.host.sessions import LoginSession, LoginSessions
from otel_fim.host.table import CREATION_TOLERANCE_NANOSECONDS
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.identity.lookup import integer
from otel_fim.record import AnyValue, Attributes, Record

ANCESTOR: Final = "ancestor"
_CACHE_SIZE: Final = 512
_LIFETIME: Final = 60.0

# What lets one user in, starts that user's programs itself, and does nothing for anybody else.
_LEADERS: Final = {
    "sshd-session": ("sshd",),
    "sshd": ("sshd",),
    "dropbear": ("dropbear",),
    "login": None,
}
"""By executable: the executables of which the parent must be one, so that it is not the daemon that serves all;
None for any."""
_SYSTEM_DIRECTORIES: Final = (
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/",
    "/usr/libexec/",
    "/lib/",
)


class Logins:
    """Fills in logins, and remembers who let in whom. For one thread."""

    def __init__(
        self, sessions: LoginSessions, identities: Identities, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._identities = identities
        self._clock = clock
        self._known: BoundedCache[
            tuple[int | None, int | None], tuple[float, LoginSession | None, Attributes]
        ]
        self._known = BoundedCache(_CACHE_SIZE)

    def fill(self, attributes: Attributes, process: Process | None) -> None:
        """Adds the login of the record's session, or of the process when the record names none itself."""
        session_id = integer(attributes.get(names.OTEL_FIM_LOGIN_SESSION_ID))
        user_id = integer(attributes.get(names.OTEL_FIM_LOGIN_USER_ID))
        if (
            process is not None
            and _agree(session_id, process.session_id)
            and _agree(user_id, process.login_user_id)
        ):
            session_id = process.session_id if session_id is None else session_id
            user_id = process.login_user_id if user_id is None else user_id
        if session_id is None and user_id is None:
            if process is not None:
                self._fill_from_ancestor(attributes, process)
            return
        for name, value in self._login(session_id, user_id).items():
            attributes.setdefault(name, value)

    def _login(self, session_id: int | None, user_id: int | None) -> Attributes:
        session = None if session_id is None else self._sessions.get(session_id)
        if session is not None and not _agree(user_id, session.user_id):
            # The number is from before the last boot, or was given again.
            session = None
        key, now = (session_id, user_id), self._clock()
        known = self._known.get(key)
        if known is not None and known[1] is session and now - known[0] < _LIFETIME:
            return known[2]
        found: dict[str, AnyValue] = {
            names.OTEL_FIM_LOGIN_USER_ID: user_id,
            names.OTEL_FIM_LOGIN_USER_NAME: self._identities.user(user_id),
            names.OTEL_FIM_LOGIN_SESSION_ID: session_id,
        }
        login = _put_details(found, session)
        self._known.put(key, (now, session, login))
        return login

    def _fill_from_ancestor(self, attributes: Attributes, process: Process) -> None:
        if names.OTEL_FIM_LOGIN_USER_NAME in attributes:
            return
        session = self._sessions.led_by(process.entity_id)
        for number, ancestor in enumerate(process.ancestors):
            if session is not None:
                break
            session = self._sessions.led_by(ancestor.entity_id)
            if session is not None and number == 0 and _is_older(process, session):
                return
        if session is None:
            return
        found: dict[str, AnyValue] = {
            names.OTEL_FIM_LOGIN_USER_ID: session.user_id,
            names.OTEL_FIM_LOGIN_BASIS: ANCESTOR,
        }
        for name, value in _put_details(found, session).items():
            attributes.setdefault(name, value)

    def learn(self, record: Record, process: Process) -> None:
        """Takes note of the process that let a user in, from the record of a login that succeeded.

        Whoever may write to the system log can claim a login for any pid: only a process that is what lets users in,
        from where only root installs programs, run by root, and not the daemon that serves everybody, is believed."""
        attributes = record.attributes
        if not _lets_users_in(process):
            return
        self._sessions.learn(
            LoginSession(
                # By session the receiver has told it already, and better.
                None,
                user_id=integer(attributes.get(names.USER_ID)),
                user_name=_text(attributes.get(names.USER_NAME)),
                source_address=_text(attributes.get(names.SOURCE_ADDRESS)),
                source_port=integer(attributes.get(names.SOURCE_PORT)),
                method=_text(attributes.get(names.OTEL_FIM_AUTH_METHOD)),
                service=_text(attributes.get(names.OTEL_FIM_AUTH_SERVICE)),
                terminal=_text(attributes.get(names.OTEL_FIM_AUTH_TERMINAL)),
                time_unix_nano=record.time_unix_nano or None,
                leader_entity_id=process.entity_id,
            )
        )

    def is_own(self, attributes: Attributes, process: Process) -> bool:
        """Whether the login of the process that let somebody in is that somebody's: it takes the new session on
        itself, but may have been looked at before."""
        name = attributes.get(names.USER_NAME)
        return (
            process.login_user_id is not None
            and isinstance(name, str)
            and self._identities.user(process.login_user_id) == name
        )


def _put_details(found: dict[str, AnyValue], session: LoginSession | None) -> Attributes:
    if session is not None:
        began = session.time_unix_nano
        if found.get(names.OTEL_FIM_LOGIN_USER_NAME) is None:
            found[names.OTEL_FIM_LOGIN_USER_NAME] = session.user_name
        found[names.OTEL_FIM_LOGIN_SOURCE_ADDRESS] = session.source_address
        found[names.OTEL_FIM_LOGIN_SOURCE_PORT] = session.source_port
        found[names.OTEL_FIM_LOGIN_METHOD] = session.method
        found[names.OTEL_FIM_LOGIN_SERVICE] = session.service
        found[names.OTEL_FIM_LOGIN_TERMINAL] = session.terminal
        found[names.OTEL_FIM_LOGIN_TIME] = None if began is None else timestamp(began)
    return {name: value for name, value in found.items() if value is not None}


def _is_older(child: Process, session: LoginSession) -> bool:
    """Whether a child of the one who let the user in was there before that: sshd's helper that asked for the
    password is nobody's session."""
    began = session.time_unix_nano
    return began is not None and child.created_unix_nano < began - CREATION_TOLERANCE_NANOSECONDS


def _agree(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other


def _lets_users_in(process: Process) -> bool:
    path = process.executable_path or ""
    name = path.rsplit("/", 1)[-1]
    if name not in _LEADERS or not path.startswith(_SYSTEM_DIRECTORIES) or process.effective_user_id != 0:
        return False
    parents = _LEADERS[name]
    if parents is None:
        return True
    parent = process.ancestors[0].executable_path if process.ancestors else None
    return parent is not None and parent.rsplit("/", 1)[-1] in parents


def _text(value: AnyValue) -> str | None:
    return value if isinstance(value, str) else None
