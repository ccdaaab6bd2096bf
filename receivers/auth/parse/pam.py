"""What PAM's modules write, whatever the program: `pam_unix(sshd:auth): authentication failure; …`.

Formats: linux-pam 1.3 to 1.6 (pam_unix, pam_faillock, pam_access, pam_tally2), pam_sss of sssd. The program and the
fields before `user=` are written by root's programs; the user's name stands last and may hold anything.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import build, values

_PREFIX: Final = re.compile(
    r"(pam_[a-z0-9_]{1,40})\(([A-Za-z0-9_.:@+-]{1,64}):(auth|account|session|chauthtok|setcred)\): "
)
_FAILURE: Final = re.compile(
    r"authentication failure; logname=(?P<logname>\S*) uid=(?P<uid>-?[0-9]+) euid=-?[0-9]+ tty=(?P<tty>\S*) "
    r"ruser=(?P<ruser>\S*) rhost=(?P<rhost>\S*)(?: {1,2}user=(?P<user>.*))?\s*",
    re.S,
)
_OPENED: Final = re.compile(
    r"session opened for user (?P<user>.+?)(?:\(uid=(?P<uid>[0-9]+)\))? by (?P<by>[^()]*)\(uid=(?P<by_uid>[0-9]+)\)",
    re.S,
)
_LOCKED: Final = re.compile(r"Consecutive login failures for user (.+) account temporarily locked", re.S)
_ACCESS: Final = re.compile(r"access denied for user `(.+)' from `([^'`]*)'", re.S)
_EXPIRED: Final = re.compile(r"account (.+) has expired \((.+)\)", re.S)
_TALLY: Final = re.compile(r"user (\S+) \([0-9]+\) tally [0-9]+, deny [0-9]+")

PRIVILEGE_SERVICES: Final = {
    "sudo": "sudo",
    "sudo-i": "sudo",
    "su": "su",
    "su-l": "su",
    "doas": "doas",
    "polkit-1": "pkexec",
    "pkexec": "pkexec",
}
"""PAM services that give another user's rights, and the action that this is."""
NOT_LOGINS: Final = frozenset(
    {
        "cron",
        "crond",
        "atd",
        "anacron",
        "systemd-user",
        "runuser",
        "runuser-l",
        "chfn",
        "chsh",
        "chage",
        "chpasswd",
        "newusers",
        "passwd",
        "useradd",
        "usermod",
        "userdel",
        "groupadd",
        "groupmod",
        "groupdel",
        "gpasswd",
        "xscreensaver",
        "cups",
        "gdm-launch-environment",
        "lightdm-greeter",
        "sddm-greeter",
        "newgrp",
    }
)
"""PAM services whose sessions are nobody's login."""
# How long the program's own word can take: sudo asks three times for up to five minutes, the others wait a few seconds.
_PATIENCE: Final = {"sudo": 120.0, "sshd": 130.0, "su": 10.0, "login": 15.0, "pkexec": 30.0, "doas": 10.0}


def parse(entry: Entry) -> tuple[AuthEvent, ...] | None:
    """The events of a PAM module's line; None when it is not one."""
    match = _PREFIX.match(entry.message)
    if match is None:
        return None
    module, service, kind = match.groups()
    text = entry.message[match.end() :]
    if kind == "auth":
        return _auth(entry, module, service, text)
    if kind == "account":
        return _account(entry, service, text)
    if kind == "session" and module in ("pam_unix", "pam_sss", "pam_tcb"):
        return _session(entry, service, text)
    if kind == "chauthtok" and text.startswith("password changed for "):
        return _password(entry, service, text.removeprefix("password changed for "))
    return ()


def failed(
    entry: Entry,
    service: str,
    part: str,
    *,
    user: str | None,
    by: str | None = None,
    by_id: int | None = None,
    **facts: object,
) -> tuple[AuthEvent, ...]:
    """A failure of one PAM service as a hint: a login's, or that of who (`by`) wanted another user's rights."""
    action = PRIVILEGE_SERVICES.get(service)
    if service in NOT_LOGINS:
        return ()
    if action is None:
        # In sshd, keyboard-interactive asks PAM in a process of its own.
        event = build.make(
            entry, Kind.LOGIN, "login", outcome=build.FAILURE, service=service, user=user, **facts
        )
        event = changed(event, exact_pid=service != "sshd")
    else:
        # sudo asks for the password of who calls, su and the others for that of whom they become.
        facts.pop("user_known", None)
        facts.pop("source_address", None)
        event = build.make(
            entry,
            Kind.PRIVILEGE,
            action,
            outcome=build.FAILURE,
            service=action,
            user=by or (user if action in ("sudo", "doas", "pkexec") else None),
            user_id=by_id,
            effective_user=user if action == "su" else None,
            **facts,
        )
    return (build.hint(event, part, _PATIENCE.get(action or service)),)


def _auth(entry: Entry, module: str, service: str, text: str) -> tuple[AuthEvent, ...]:
    match = _FAILURE.fullmatch(text)
    if match is not None:
        name = values.user(match["user"])
        return failed(
            entry,
            service,
            build.PAM if module == "pam_unix" else module,
            user=name,
            by=values.user(match["ruser"]) or values.user(match["logname"]),
            by_id=values.number(match["uid"]) if service in PRIVILEGE_SERVICES else None,
            # pam_unix leaves the name out when there is no such user.
            user_known=None if name else False,
            reason=build.WRONG_CREDENTIALS if name else build.UNKNOWN_USER,
            source_address=values.host(match["rhost"]),
            # Servers without a terminal give their own name.
            terminal=None if match["tty"] in (service, "ftp") else values.terminal(match["tty"]),
        )
    locked = _LOCKED.fullmatch(text)
    if locked is not None:
        event = build.make(
            entry,
            Kind.ACCOUNT,
            "locked",
            service=module,
            target_user=values.user(locked[1]),
            reason=build.TOO_MANY_ATTEMPTS,
        )
        return (event,)
    tally = _TALLY.fullmatch(text)
    if tally is not None:
        return failed(entry, service, module, user=values.user(tally[1]), reason=build.TOO_MANY_ATTEMPTS)
    return ()


def _account(entry: Entry, service: str, text: str) -> tuple[AuthEvent, ...]:
    access = _ACCESS.fullmatch(text)
    if access is not None:
        where = values.host(access[2])
        return failed(
            entry,
            service,
            "account",
            user=values.user(access[1]),
            reason=build.NOT_ALLOWED,
            source_address=where if values.address(where) else None,
        )
    expired = _EXPIRED.fullmatch(text)
    if expired is not None:
        return failed(entry, service, "account", user=values.user(expired[1]), reason=build.ACCOUNT_EXPIRED)
    return ()


def _session(entry: Entry, service: str, text: str) -> tuple[AuthEvent, ...]:
    if service in NOT_LOGINS:
        return ()
    action = PRIVILEGE_SERVICES.get(service)
    opened = _OPENED.fullmatch(text)
    if opened is not None:
        by = values.user(opened["by"])
        if action is None:
            event = build.make(
                entry,
                Kind.LOGIN,
                "login",
                service=service,
                user=values.user(opened["user"]),
                user_id=values.number(opened["uid"]),
                user_known=True,
            )
            return (build.hint(event, build.SESSION),)
        event = build.make(
            entry,
            Kind.PRIVILEGE,
            action,
            service=action,
            user=by,
            user_id=values.number(opened["by_uid"]),
            effective_user=values.user(opened["user"]),
            effective_user_id=values.number(opened["uid"]),
        )
        return (build.hint(event, build.SESSION),)
    if text.startswith("session closed for user ") and action is None:
        name = values.user(text.removeprefix("session closed for user "))
        return (build.make(entry, Kind.LOGOUT, "logout", service=service, user=name),)
    return ()


def _password(entry: Entry, service: str, name: str) -> tuple[AuthEvent, ...]:
    event = build.make(
        entry, Kind.ACCOUNT, "password_changed", service=service, target_user=values.user(name)
    )
    return (event,)
