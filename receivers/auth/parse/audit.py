"""Records of the kernel's audit: logins, privilege and accounts as the programs report them to it.

Types and fields: libaudit's audit_logging.c, linux-pam's pam_audit.c, openssh's audit-linux.c, sudo's linux_audit.c,
shadow's audit_help.c. What stands outside `msg` is the kernel's word on the sender: pid, uid, auid, ses.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import build, pam, values
from otel_fim.receivers.auth.sources.audit_message import parse_fields

_TYPE_IN_TEXT: Final = re.compile(r"([A-Z_]{3,32}) ")
_OPERATION: Final = re.compile(r"\bop=(.{1,80}?) (?:acct|id|grantors|grp|exe|new_group|hostname)=", re.S)
_ACCOUNTS: Final = {
    "ADD_USER": "user_created",
    "DEL_USER": "user_deleted",
    "ADD_GROUP": "group_created",
    "DEL_GROUP": "group_deleted",
    "ACCT_LOCK": "locked",
    "ACCT_UNLOCK": "unlocked",
}
OPERATION: Final = "operation"
"""The part of a record that tells of a step of an account tool, which its log line says better."""


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one record; none for those that only repeat what another says."""
    fields = dict(entry.fields)
    kind = fields.get("type") or fields.get("_AUDIT_TYPE_NAME")
    if entry.source != "audit" and "type" not in fields:
        # A log has the record as text.
        match = _TYPE_IN_TEXT.match(entry.message)
        kind = kind or (match[1] if match is not None else None)
        fields = parse_fields(entry.message[match.end() :] if match is not None else entry.message)
    if kind is None:
        return ()
    record = _Record(entry, fields)
    if kind == "LOGIN":
        return record.session()
    if kind == "USER_CMD":
        return record.command()
    if kind in ("USER_AUTH", "USER_ACCT"):
        return record.refused(kind)
    if kind in ("USER_START", "USER_LOGIN"):
        return record.opened(kind)
    if kind in ("USER_END", "USER_LOGOUT"):
        return record.closed()
    if kind in _ACCOUNTS or kind in ("USER_MGMT", "GRP_MGMT", "USER_CHAUTHTOK", "GRP_CHAUTHTOK"):
        return record.account(kind)
    return ()


class _Record:
    def __init__(self, entry: Entry, fields: dict[str, str]) -> None:
        self.fields = fields
        self.entry = replace(entry, pid=values.number(fields.get("pid")) or None)
        self.success = fields.get("msg.res", fields.get("res", "success")) in ("success", "1", "yes")
        self.program = fields.get("msg.exe", "").rpartition("/")[2]
        self.service = "sshd" if self.program in ("sshd-session", "sshd-auth") else self.program
        # libaudit has room for 31 bytes of a name: what fills them may be the beginning of one.
        name = fields.get("msg.acct", "")
        self.name = None if len(name.encode("utf-8", "replace")) >= 31 else values.user(name)
        self.identifier = values.number(fields.get("msg.id"))
        operation = _OPERATION.search(entry.message)
        self.operation = operation[1] if operation is not None else fields.get("msg.op", "")
        self.user_id = values.number(fields.get("uid"))
        self.facts: dict[str, object] = {
            "outcome": build.SUCCESS if self.success else build.FAILURE,
            "service": self.service or None,
            "session_id": values.number(fields.get("ses")),
            "login_user_id": values.number(fields.get("auid")),
            "terminal": values.terminal(fields.get("msg.terminal")),
        }

    @property
    def address(self) -> str | None:
        return values.address(self.fields.get("msg.addr")) or values.host(self.fields.get("msg.hostname"))

    def _event(self, kind: Kind, action: str, **facts: object) -> AuthEvent:
        return build.make(self.entry, kind, action, **{**self.facts, **facts})

    def session(self) -> tuple[AuthEvent, ...]:
        """The kernel's own record of a process that has been given a login uid."""
        event = self._event(
            Kind.LOGIN, "login", service=None, user_id=values.number(self.fields.get("auid")), terminal=None
        )
        return (build.support(event, "kernel"),) if self.success and event.session_id is not None else ()

    def command(self) -> tuple[AuthEvent, ...]:
        event = self._event(
            Kind.PRIVILEGE,
            "sudo",
            service="sudo",
            user_id=self.user_id,
            command=self.fields.get("msg.cmd"),
            working_directory=self.fields.get("msg.cwd"),
            reason=None if self.success else build.NOT_ALLOWED,
        )
        return (changed(event, part="command") if self.success else build.hint(event, "command", 5.0),)

    def refused(self, kind: str) -> tuple[AuthEvent, ...]:
        """A failed check. One that went well is followed by what it was for."""
        service = self._pam_service()
        if self.success or service is None or (self.name is None and self.address is None):
            return ()
        if kind == "USER_AUTH" and not self.operation.startswith(("PAM:", "password")):
            # sshd of some distributions tells of every key that a client offers.
            return ()
        events = pam.failed(
            self.entry,
            service,
            "auth" if kind == "USER_AUTH" else "account",
            user=self.name,
            by_id=self.user_id if service in pam.PRIVILEGE_SERVICES else None,
            reason=build.WRONG_CREDENTIALS if kind == "USER_AUTH" else build.NOT_ALLOWED,
            source_address=self.address,
            session_id=self.facts["session_id"],
            login_user_id=self.facts["login_user_id"],
            terminal=self.facts["terminal"],
        )
        # The program's own line comes when PAM's delay is over.
        patience = 120.0 if service in ("sudo", "sudo-i") else 10.0
        return tuple(changed(event, patience=patience) for event in events)

    def _pam_service(self) -> str | None:
        """The program as PAM's configuration calls it; None for one that is nobody's login and nobody's privilege."""
        if not self.program or self.program in pam.NOT_LOGINS or self.program.startswith(("systemd", "cron")):
            return None
        return self.service

    def opened(self, kind: str) -> tuple[AuthEvent, ...]:
        service = self._pam_service()
        if service is None or (kind == "USER_START" and not self.operation.startswith("PAM:")):
            return ()
        action = pam.PRIVILEGE_SERVICES.get(service)
        if action is not None:
            if not self.success or kind == "USER_LOGIN":
                return ()
            event = self._event(
                Kind.PRIVILEGE, action, user_id=self.user_id, effective_user=self.name, service=action
            )
            return (build.hint(event, build.SESSION),)
        event = self._event(
            Kind.LOGIN,
            "login",
            user=self.name,
            user_id=self.identifier,
            user_known=True if self.success else None,
            source_address=self.address,
            # sshd says "(invalid user)" of those that it does not let in, too.
            reason=None if self.success or self.name is None else build.WRONG_CREDENTIALS,
        )
        if not self.success:
            # Once for each connection, and first of all for names without an account.
            return (build.hint(event, build.START, 10.0),) if kind == "USER_LOGIN" else ()
        return (build.hint(event, build.SESSION) if kind == "USER_START" else event,)

    def closed(self) -> tuple[AuthEvent, ...]:
        service = self._pam_service()
        if service is None or service in pam.PRIVILEGE_SERVICES or not self.success:
            return ()
        part = build.SESSION if self.operation.startswith("PAM:") else "decision"
        event = self._event(
            Kind.LOGOUT,
            "logout",
            user=self.name,
            user_id=self.identifier,
            source_address=self.address,
            part=part,
        )
        return (event,)

    def account(self, kind: str) -> tuple[AuthEvent, ...]:
        actor = values.number(self.fields.get("auid"))
        facts: dict[str, object] = {
            "user_id": self.user_id if actor is None else actor,
            "group": self.fields.get("msg.grp"),
        }
        action = _ACCOUNTS.get(kind)
        about_group = kind in ("ADD_GROUP", "DEL_GROUP", "GRP_MGMT", "GRP_CHAUTHTOK")
        if about_group:
            facts |= {"group": self.name or facts["group"], "group_id": self.identifier}
        else:
            facts |= {"target_user": self.name, "target_user_id": self.identifier}
        if action is not None and not self._only_a_step(kind):
            return (self._event(Kind.ACCOUNT, action, **facts),)
        if kind == "USER_CHAUTHTOK" and self.operation.startswith(
            ("PAM:chauthtok", "change password", "changing password")
        ):
            event = self._event(Kind.ACCOUNT, "password_changed", **facts)
            return (event if self.success else build.hint(event, OPERATION),)
        if not self.success:
            return ()
        event = self._event(
            Kind.ACCOUNT,
            "group_changed" if about_group else "user_changed",
            **facts,
        )
        return (build.hint(event, OPERATION),)

    def _only_a_step(self, kind: str) -> bool:
        """ADD_USER and DEL_USER also stand for the group and the directory that come with the account."""
        words = self.operation.replace("-", " ")
        return kind in ("ADD_USER", "DEL_USER") and (
            "group" in words or "home" in words or "mail" in words or "subordinate" in words
        )
