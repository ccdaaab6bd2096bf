"""Windows Security events: logons, logoffs, explicit credentials, accounts and groups.

Fields: Microsoft's "Advanced security audit policy" reference (events 4624 to 4767). `Entry.fields` has `EventID`,
`Keywords` and the event's named data.
"""

from __future__ import annotations

from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

_LOGON_TYPES: Final = {
    "2": "interactive",
    "3": "network",
    "7": "unlock",
    "8": "network_cleartext",
    "9": "new_credentials",
    "10": "remote_interactive",
    "11": "cached_interactive",
    "12": "cached_remote_interactive",
    "13": "cached_unlock",
}
"""Those of people; 0 (system), 4 (batch) and 5 (service) are the machine's own."""
_STATUS: Final = {
    0xC0000064: build.UNKNOWN_USER,
    0xC000006A: build.WRONG_CREDENTIALS,
    0xC000006D: build.WRONG_CREDENTIALS,
    0xC000006E: build.NOT_ALLOWED,
    0xC000006F: build.NOT_ALLOWED,
    0xC0000070: build.NOT_ALLOWED,
    0xC0000071: build.ACCOUNT_EXPIRED,
    0xC0000072: build.ACCOUNT_LOCKED,
    0xC000015B: build.NOT_ALLOWED,
    0xC0000193: build.ACCOUNT_EXPIRED,
    0xC0000224: build.ACCOUNT_EXPIRED,
    0xC0000234: build.ACCOUNT_LOCKED,
    0xC0000413: build.NOT_ALLOWED,
}
_ACCOUNTS: Final = {
    "4720": "user_created",
    "4722": "unlocked",
    "4723": "password_changed",
    "4724": "password_changed",
    "4725": "locked",
    "4726": "user_deleted",
    "4738": "user_changed",
    "4740": "locked",
    "4767": "unlocked",
}
_MEMBERS: Final = {
    **dict.fromkeys(("4728", "4732", "4756"), "group_member_added"),
    **dict.fromkeys(("4729", "4733", "4757"), "group_member_removed"),
}
_GROUPS: Final = {
    **dict.fromkeys(("4727", "4731", "4754"), "group_created"),
    **dict.fromkeys(("4730", "4734", "4758"), "group_deleted"),
    **dict.fromkeys(("4735", "4737", "4755"), "group_changed"),
}
_MACHINE: Final = frozenset({"SYSTEM", "LOCAL SERVICE", "NETWORK SERVICE", "ANONYMOUS LOGON", "-", ""})
_AUDIT_FAILURE: Final = 0x10000000000000
_SERVICE: Final = "windows"


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one Security event; none for those of the machine itself."""
    number = entry.fields.get("EventID", "")
    if number in ("4624", "4625"):
        return _logon(entry, number == "4624")
    if number in ("4634", "4647"):
        return _logoff(entry)
    if number in ("4648", "4672"):
        return _privilege(entry, number)
    if number in _ACCOUNTS or number in _MEMBERS or number in _GROUPS:
        return _account(entry, number)
    return ()


def _name(entry: Entry, which: str) -> str | None:
    name = entry.fields.get(f"{which}UserName", "")
    machine = name in _MACHINE or name.endswith("$") or name.startswith(("DWM-", "UMFD-"))
    return None if machine else values.user(name)


def _outcome(entry: Entry) -> str:
    try:
        keywords = int(entry.fields.get("Keywords", "0"), 16)
    except ValueError:
        keywords = 0
    return build.FAILURE if keywords & _AUDIT_FAILURE else build.SUCCESS


def _logon(entry: Entry, success: bool) -> tuple[AuthEvent, ...]:
    fields = entry.fields
    method = _LOGON_TYPES.get(fields.get("LogonType", ""))
    name = _name(entry, "Target")
    if method is None or (name is None and success):
        return ()
    reason = None if success else _reason(fields.get("SubStatus"), fields.get("Status"))
    event = build.make(
        entry,
        Kind.LOGIN,
        "login",
        outcome=build.SUCCESS if success else build.FAILURE,
        service=_SERVICE,
        pid=None,
        user=name,
        user_known=True if success else False if reason == build.UNKNOWN_USER else None,
        method=method,
        reason=reason,
        source_address=_address(fields.get("IpAddress")) or values.host(fields.get("WorkstationName")),
        source_port=values.port(fields.get("IpPort")) or None,
        host_session=fields.get("TargetLogonId") if success else None,
    )
    return (event,)


def _address(text: str | None) -> str | None:
    return None if text in (None, "-") else values.address(text)


def _reason(*codes: str | None) -> str | None:
    """None for troubles of the system, such as a domain controller that does not answer."""
    for code in codes:
        try:
            number = int(code or "0", 16)
        except ValueError:
            continue
        if number in _STATUS:
            return _STATUS[number]
    return None


def _logoff(entry: Entry) -> tuple[AuthEvent, ...]:
    name = _name(entry, "Target")
    # 4634 has the type, 4647 is a person's own wish.
    if name is None or entry.fields.get("LogonType", "2") not in _LOGON_TYPES:
        return ()
    event = build.make(
        entry,
        Kind.LOGOUT,
        "logout",
        service=_SERVICE,
        pid=None,
        user=name,
        host_session=entry.fields.get("TargetLogonId"),
        part=entry.fields.get("EventID", ""),
    )
    return (event,)


def _privilege(entry: Entry, number: str) -> tuple[AuthEvent, ...]:
    who = _name(entry, "Subject")
    whom = _name(entry, "Target") if number == "4648" else None
    if who is None or (number == "4648" and whom is None):
        return ()
    event = build.make(
        entry,
        Kind.PRIVILEGE,
        "explicit_credentials" if number == "4648" else "special_privileges",
        outcome=_outcome(entry),
        service=_SERVICE,
        pid=_process(entry.fields.get("ProcessId")),
        user=who,
        effective_user=whom,
        command=entry.fields.get("ProcessName") if number == "4648" else None,
        host_session=entry.fields.get("SubjectLogonId"),
    )
    return (event,)


def _process(text: str | None) -> int | None:
    try:
        return int(text or "", 16) or None
    except ValueError:
        return None


def _account(entry: Entry, number: str) -> tuple[AuthEvent, ...]:
    fields = entry.fields
    if number in _MEMBERS:
        member = fields.get("MemberName", "-")
        # A distinguished name in a domain, a dash for a local account: then only the security identifier is known.
        first = member.partition(",")[0]
        target = first[3:] if first.upper().startswith("CN=") else None if member == "-" else member
        facts = {"target_user": target or fields.get("MemberSid"), "group": fields.get("TargetUserName")}
        action = _MEMBERS[number]
    elif number in _GROUPS:
        facts = {"group": fields.get("TargetUserName")}
        action = _GROUPS[number]
    else:
        facts = {"target_user": fields.get("TargetUserName")}
        action = _ACCOUNTS[number]
    event = build.make(
        entry,
        Kind.ACCOUNT,
        action,
        outcome=_outcome(entry),
        service=_SERVICE,
        pid=None,
        user=_name(entry, "Subject") or fields.get("SubjectUserName"),
        reason=build.TOO_MANY_ATTEMPTS if number == "4740" else None,
        **facts,
    )
    return (event,)
