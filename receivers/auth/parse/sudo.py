"""sudo's own lines: `alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/id`.

Format: lib/eventlog/eventlog.c (new_logline) of sudo 1.8 to 1.9.15, in this order: user, a reason, HOST, TTY, CHROOT,
PWD, USER, GROUP, TSID, ENV, COMMAND. The directory, the environment and the command are the user's own text: where they
hold ` ; USER=` or ` ; COMMAND=` the line can be read in several ways, and what would have to be guessed is left out.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values
from otel_fim.receivers.auth.parse.values import RejectedError

_KEYS: Final = ("HOST", "TTY", "CHROOT", "PWD", "USER", "GROUP", "TSID", "ENV", "COMMAND")
_KEY: Final = re.compile(rf"({'|'.join(_KEYS)})=")
_NEXT: Final = re.compile(rf" ; (?=(?:{'|'.join(_KEYS)})=)")
_ATTEMPTS: Final = re.compile(r"([0-9]{1,6}) incorrect password attempts?")
_BEFORE: Final = {
    _KEYS[first:last]: re.compile(rf" ; (?=(?:{'|'.join(_KEYS[first:last])})=)")
    for first in range(1, len(_KEYS))
    for last in (_KEYS.index("USER") + 1, len(_KEYS))
    if first < last
}
CONTINUED: Final = "continued"


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line, or of its continuation."""
    name, separator, rest = entry.message.lstrip(" ").partition(" : ")
    # sudo's own troubles begin with a sentence, and have no fields behind it.
    if not separator or not name or len(name) > 256:
        return ()
    if rest.startswith("(command continued) "):
        event = build.make(
            entry,
            Kind.PRIVILEGE,
            "sudo",
            user=name,
            command=rest.removeprefix("(command continued) "),
        )
        return (build.support(event, CONTINUED),)
    reason, texts = _reason(rest)
    if texts is None:
        return ()
    fields = _fields(texts)
    if "USER" not in fields and "COMMAND" not in fields:
        raise RejectedError("malformed")
    event = build.make(
        entry,
        Kind.PRIVILEGE,
        "sudo",
        outcome=build.FAILURE if reason is not None else build.SUCCESS,
        user=name,
        effective_user=fields.get("USER"),
        group=fields.get("GROUP"),
        terminal=values.terminal(fields.get("TTY")),
        working_directory=fields.get("PWD"),
        command=fields.get("COMMAND"),
        reason=None if reason is None else _word(reason),
        count=1,
    )
    return (event,)


def _reason(rest: str) -> tuple[str | None, str | None]:
    if _KEY.match(rest):
        return None, rest
    found = _NEXT.search(rest)
    if found is None:
        return None, None
    return rest[: found.start()], rest[found.end() :]


def _word(reason: str) -> str:
    if _ATTEMPTS.fullmatch(reason):
        return build.WRONG_CREDENTIALS
    if reason in ("command not allowed", "user NOT in sudoers", "user NOT authorized on host"):
        return build.NOT_ALLOWED
    if reason.startswith("unknown user"):
        return build.UNKNOWN_USER
    return build.NOT_ALLOWED if "not allowed" in reason else reason[:200]


def _fields(rest: str) -> dict[str, str]:
    """The fields in sudo's order. `USER`, `GROUP` and `PWD` are there only when the line can be read in one way."""
    found: dict[str, str] = {}
    position = 0
    for index, key in enumerate(_KEYS):
        if not rest.startswith(f"{key}=", position):
            continue
        start = position + len(key) + 1
        if key == "COMMAND":
            found[key] = rest[start:]
            position = len(rest)
            break
        # sudo always names the user, before what the command is.
        last = _KEYS.index("USER") + 1 if index < _KEYS.index("USER") and " ; USER=" in rest else len(_KEYS)
        following = _BEFORE[_KEYS[index + 1 : last]].search(rest, start)
        if following is None:
            found[key] = rest[start:].rstrip(" ;")
            position = len(rest)
            break
        found[key] = rest[start : following.start()]
        position = following.end()
    if len(re.findall(r" ; USER=", f" ; {rest}")) > 1:
        # Which of them sudo wrote cannot be told: the directory before it and the command behind it are the user's.
        for key in ("PWD", "USER", "GROUP", "TSID", "ENV"):
            found.pop(key, None)
        found["COMMAND"] = rest
    elif "ENV" in found and rest.count(" ; COMMAND=") > 1:
        found["COMMAND"] = rest[rest.index("ENV=") :]
    return found
