"""The shadow tools (useradd, usermod, gpasswd, passwd, …): accounts and groups that change.

Formats: shadow 4.8 to 4.16, the SYSLOG lines of src/*.c, held against what Debian's 4.13 writes. Names in them are
those of accounts, which root gives; the tools refuse quotes and colons in a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

TOOLS: Final = frozenset(
    {
        "useradd",
        "usermod",
        "userdel",
        "groupadd",
        "groupmod",
        "groupdel",
        "gpasswd",
        "passwd",
        "chage",
        "chpasswd",
        "chgpasswd",
        "chsh",
        "chfn",
        "newusers",
        "adduser",
        "addgroup",
        "deluser",
        "delgroup",
        "vipw",
        "groupmems",
        "systemd-sysusers",
    }
)
SHADOW_ENTRY: Final = "entry of shadow"
"""The part of "password for 'bob' changed by 'root'": passwd writes it for -l, -u, -d and -e alike, so that only the
account's state tells which it was."""
_NAME: Final = r"[^',:\n]{1,256}"

_Facts: TypeAlias = dict[str, object]
_Form: TypeAlias = Callable[[re.Match[str]], tuple[str, _Facts]]
_FORMS: Final[list[tuple[re.Pattern[str], _Form, bool]]] = []


def _form(pattern: str, *, hint: bool = False) -> Callable[[_Form], _Form]:
    """Registers a form; its function gives the action and the facts. A `hint` stands beside another line."""

    def register(function: _Form) -> _Form:
        _FORMS.append((re.compile(pattern), function, hint))
        return function

    return register


@_form(rf"new user: name=({_NAME}), UID=(\d+), GID=(\d+)(?:, home=(.*?))?(?:, shell=([^,]*))?(?:, from=.*)?")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    changes = [f"{word}: {value}" for word, value in (("home", match[4]), ("shell", match[5])) if value]
    return "user_created", {
        "target_user": match[1],
        "target_user_id": values.number(match[2]),
        "group_id": values.number(match[3]),
        "changes": tuple(changes),
    }


@_form(rf"Creating user '({_NAME})' \(.*\) with UID (\d+) and GID (\d+)\.")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_created", {
        "target_user": match[1],
        "target_user_id": values.number(match[2]),
        "group_id": values.number(match[3]),
    }


@_form(rf"Creating group '({_NAME})' with GID (\d+)\.")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_created", {"group": match[1], "group_id": values.number(match[2])}


@_form(rf"new group: name=({_NAME}), GID=(\d+)")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_created", {"group": match[1], "group_id": values.number(match[2])}


@_form(rf"group added to \S+: name=({_NAME})(?:, GID=(\d+))?", hint=True)
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_created", {"group": match[1], "group_id": values.number(match[2])}


@_form(rf"delete user '({_NAME})'")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_deleted", {"target_user": match[1]}


@_form(rf"(?:removed group '({_NAME})' owned by '{_NAME}'|group '({_NAME})' removed)")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_deleted", {"group": match[1] or match[2]}


@_form(
    rf"(?:removed shadow group '({_NAME})' owned by '{_NAME}'|group '({_NAME})' removed from \S+)", hint=True
)
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_deleted", {"group": match[1] or match[2]}


@_form(rf"add '({_NAME})' to (?:(shadow) )?group '({_NAME})'")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_member_added", {"target_user": match[1], "group": match[3], "part": match[2] or "decision"}


@_form(rf"delete '({_NAME})' from (?:(shadow) )?group '({_NAME})'")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_member_removed", {
        "target_user": match[1],
        "group": match[3],
        "part": match[2] or "decision",
    }


@_form(rf"user ({_NAME}) (added|removed) by ({_NAME}) (?:to|from) group ([^', ]{{1,256}})(?: in (\S+))?")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    action = "group_member_added" if match[2] == "added" else "group_member_removed"
    # Nobody but gpasswd tells who it was, once for each of the two files.
    return action, {
        "target_user": match[1],
        "user": match[3],
        "group": match[4],
        "part": match[5] or "decision",
    }


@_form(rf"(members|administrators) of group ({_NAME}) set by ({_NAME}) to ?(.*?)(?: in (/\S+))?")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_changed", {
        "group": match[2],
        "user": match[3],
        "changes": (f"{match[1]}: {match[4]}",),
        "part": match[5] or "decision",
    }


@_form(
    rf"(password|access) (?:of|to) group ({_NAME}) (changed|removed|restricted) by ({_NAME})(?: in (/\S+))?"
)
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "group_changed", {
        "group": match[2],
        "user": match[4],
        "changes": (f"{match[1]}: {match[3]}",),
        "part": match[5] or "decision",
    }


@_form(rf"group changed in (\S+) \(group ({_NAME}?)(?:/(\d+))?((?:, new [^()]*)?)\)")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    changes = [part.removeprefix("new ") for part in match[4].split(", ") if part]
    return "group_changed", {
        "group": match[2],
        "group_id": values.number(match[3]),
        "changes": tuple(changes),
        "part": match[1],
    }


@_form(
    rf"change user '({_NAME})' (UID|GID|home|shell|inactive|expiration|min|max|warn) from '(.*)' to '(.*)'"
)
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_changed", {"target_user": match[1], "changes": (f"{match[2]}: {match[3]} -> {match[4]}",)}


@_form(rf"change user name '({_NAME})' to '({_NAME})'")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_changed", {"target_user": match[1], "changes": (f"name: {match[1]} -> {match[2]}",)}


@_form(rf"change '({_NAME})' to '({_NAME})' in (shadow )?group '({_NAME})'", hint=True)
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    # Beside "change user name": the same member under another name.
    return "user_changed", {"target_user": match[1]}


@_form(rf"changed user '({_NAME})' (shell to '(.*)'|information)")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_changed", {
        "target_user": match[1],
        "changes": (f"shell: {match[3]}" if match[3] is not None else "information",),
    }


@_form(rf"changed password expiry for ({_NAME})")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_changed", {"target_user": match[1], "changes": ("password expiry",)}


@_form(rf"change user '({_NAME})' password")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "password_changed", {"target_user": match[1]}


@_form(rf"password for '({_NAME})' changed by '({_NAME})'")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "password_changed", {"target_user": match[1], "user": match[2], "part": SHADOW_ENTRY}


@_form(rf"(lock|unlock) user '({_NAME})' password")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return f"{match[1]}ed", {"target_user": match[2]}


@_form(rf"failed adding user '({_NAME})'(?:, (?:exit code: \d+|data deleted))?")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    return "user_created", {"target_user": match[1], "outcome": build.FAILURE}


@_form(rf"({_NAME}) failed to (add|remove) user ({_NAME}) (?:to|from) group ([^', ]{{1,256}})(?: in \S+)?")
def _(match: re.Match[str]) -> tuple[str, _Facts]:
    action = "group_member_added" if match[2] == "add" else "group_member_removed"
    return action, {
        "user": match[1],
        "target_user": match[3],
        "group": match[4],
        "outcome": build.FAILURE,
    }


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of a shadow tool."""
    message = entry.message.rstrip()
    for pattern, facts_of, hint in _FORMS:
        match = pattern.fullmatch(message)
        if match is None:
            continue
        action, facts = facts_of(match)
        # What a tool does twice, for the file that everybody reads and for its shadow, is one change.
        event = build.make(entry, Kind.ACCOUNT, action, **facts)
        if hint or event.part == "shadow":
            event = build.hint(event, event.part if event.part != "decision" else f"beside {message[:40]}")
        return (event,)
    return ()
