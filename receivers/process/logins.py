"""Which login a process came out of.

A child has its parent's login. The parent may get another one right after (sshd, cron: `pam_loginuid`), which no event
tells. So what the parent is found with counts for a child only when the parent had it before the child was made.
"""

from __future__ import annotations

import os
import time
from typing import Final, NamedTuple

from otel_fim.host import procfs

_KEPT: Final = os.path.exists("/proc/self/sessionid")
"""Whether the kernel keeps logins at all."""


class Login(NamedTuple):
    """The kernel's ids of a login, both None for none. `since_ns` (monotonic clock) is when the process is known to
    have had it."""

    user_id: int | None
    session_id: int | None
    since_ns: int


def read_login(pid: int, known: Login | None) -> Login:
    """The login of the process that has the pid now; `known` itself when it is still the same. Raises `OSError`."""
    if not _KEPT:
        return known or Login(None, None, 0)
    session = procfs.read_session_id(pid)
    if known is not None and session == known.session_id:
        # A process that gets a login gets a session with it.
        return known
    user = None
    if session is not None:
        user, session = procfs.read_login_ids(pid)
    return Login(user, session, time.monotonic_ns())


def login_at_start(
    pid: int | None, parent: tuple[int, Login | None] | None, forked_ns: int
) -> tuple[Login | None, Login | None]:
    """The login of a process that was made then, None when it cannot be told; and its parent's as it is now, None when
    that is not known. `pid` is None when the process is gone, `parent` (its pid, and its login as far as known) when
    the parent is."""
    parent_pid, known = parent or (0, None)
    own = _try_to_read(pid, known)
    if own is not None:
        if own is known:
            return (own._replace(since_ns=forked_ns) if own.since_ns <= forked_ns else own), known
        return own, _try_to_read(parent_pid or None, known)
    now = _try_to_read(parent_pid or None, known)
    if now is not None:
        return (now._replace(since_ns=forked_ns) if now.since_ns <= forked_ns else None), now
    # Both are gone: nobody took the login from the parent, but it may have got one.
    return (known if known is not None and known.session_id is not None else None), None


def _try_to_read(pid: int | None, known: Login | None) -> Login | None:
    if not _KEPT:
        return known or Login(None, None, 0)
    if pid is None:
        return None
    try:
        return read_login(pid, known)
    except (OSError, ValueError):
        return None
