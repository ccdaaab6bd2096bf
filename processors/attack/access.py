"""Techniques that show in logins, in the use of others' rights, and in accounts. Most of these show none: people log in
and use sudo. One failure is a hint; many are for rules, which count."""

from __future__ import annotations

import ipaddress
from typing import Final

from otel_fim import names
from otel_fim.attack import TECHNIQUES
from otel_fim.processors.attack.mapping import HIGH, LOW, MEDIUM, Confidence, Match
from otel_fim.record import AnyValue, Record

_FAILURE: Final = "failure"
_SUCCESS: Final = "success"
_GUESSED: Final = ("password", "keyboard-interactive")
"""Ways in by something that can be guessed. A client offers all its keys in turn: a key that fails means nothing."""
_OVER: Final = "too_many_attempts"
_WRONG: Final = (None, "wrong_credentials", "unknown_user", _OVER)
"""Reasons of a failure that speak for guessing; a locked account or one without permission was known."""
_PRIVILEGED_GROUPS: Final = frozenset(
    {
        "root",
        "sudo",
        "wheel",
        "admin",
        "adm",
        "disk",
        "shadow",
        "docker",
        "lxd",
        "libvirt",
        "kvm",
        "systemd-journal",
    }
)
_ELEVATION: Final = {
    "sudo": "T1548.003",
    "doas": "T1548",
    "pkexec": "T1548",
}
_SU: Final = "su"
_ACCOUNT: Final[dict[str, tuple[str, Confidence, str]]] = {
    "user_created": ("T1136.001", HIGH, "the account was created"),
    "user_changed": ("T1098", LOW, "the account was changed"),
    "password_changed": ("T1098", LOW, "the account has another password"),
    "unlocked": ("T1098", LOW, "the account may be used again"),
    "locked": ("T1531", LOW, "the account may not be used any more"),
    "user_deleted": ("T1531", LOW, "the account is gone"),
}
_MEMBER_ADDED: Final = "group_member_added"


def login(record: Record) -> list[Match]:
    """A guess that failed (T1110), or root who comes in over a network with a password (T1078.003)."""
    attributes = record.attributes
    outcome, method = attributes.get(names.EVENT_OUTCOME), attributes.get(names.OTEL_FIM_AUTH_METHOD)
    user, source = _said(attributes.get(names.USER_NAME)), attributes.get(names.SOURCE_ADDRESS)
    if outcome == _FAILURE:
        reason = attributes.get(names.OTEL_FIM_AUTH_REASON)
        if reason not in _WRONG or (method is not None and method not in _GUESSED):
            return []
        where = f" from {source}" if isinstance(source, str) else ""
        if reason == _OVER:
            return [_match("T1110", MEDIUM, f"{user}{where} failed too often")]
        return [_match("T1110", LOW, f"{user}{where} failed to log in")]
    is_root = outcome == _SUCCESS and method in _GUESSED and _is_root(record)
    if is_root and isinstance(source, str) and source and not _is_here(source):
        return [_match("T1078.003", LOW, f"root logged in from {source} with a password")]
    return []


def privilege(record: Record) -> list[Match]:
    """sudo and its like, allowed or refused, unless root uses them; su when it was refused (T1110)."""
    attributes = record.attributes
    program = _program(attributes.get(names.EVENT_ACTION)) or _program(
        attributes.get(names.OTEL_FIM_AUTH_SERVICE)
    )
    if not program or _is_root(record):
        return []
    user, target = _said(attributes.get(names.USER_NAME)), attributes.get(names.USER_EFFECTIVE_NAME)
    whom = target if isinstance(target, str) else "another user"
    refused = attributes.get(names.EVENT_OUTCOME) == _FAILURE
    if program == _SU:
        if refused and attributes.get(names.OTEL_FIM_AUTH_REASON) in _WRONG:
            return [_match("T1110", LOW, f"{user} failed to become {whom} by su")]
        return []
    verb = "was refused to become" if refused else "became"
    return [_match(_ELEVATION[program], LOW, f"{user} {verb} {whom} by {program}")]


def account(record: Record) -> list[Match]:
    """An account that was made or changed, and membership in a group."""
    attributes = record.attributes
    if attributes.get(names.EVENT_OUTCOME) == _FAILURE:
        return []
    action = attributes.get(names.EVENT_ACTION)
    target = _said(attributes.get(names.USER_TARGET_NAME))
    if action == _MEMBER_ADDED:
        group = attributes.get(names.GROUP_NAME)
        privileged = isinstance(group, str) and group in _PRIVILEGED_GROUPS
        return [
            _match("T1098.007", HIGH if privileged else MEDIUM, f"{target} became a member of {_said(group)}")
        ]
    row = _ACCOUNT.get(action) if isinstance(action, str) else None
    if row is None:
        return []
    technique, confidence, reason = row
    return [_match(technique, confidence, f"{target}: {reason}")]


def _program(value: AnyValue) -> str:
    """The program that gives others' rights; empty for anything else."""
    return value if isinstance(value, str) and (value == _SU or value in _ELEVATION) else ""


def _is_root(record: Record) -> bool:
    attributes = record.attributes
    return attributes.get(names.USER_NAME) == "root" or attributes.get(names.USER_ID) == "0"


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in ("localhost", "localhost.localdomain")


def _said(value: AnyValue) -> str:
    return value if isinstance(value, str) and value else "somebody"


def _match(technique: str, confidence: Confidence, evidence: str) -> Match:
    return Match(TECHNIQUES[technique], confidence, evidence)
