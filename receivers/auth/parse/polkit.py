"""pkexec and polkitd.

Formats: polkit 0.105 to 125, pkexec.c (log_message) and polkitbackendinteractiveauthority.c. pkexec writes its fields
in brackets, the command last; the directory before it is the user's text.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind
from otel_fim.receivers.auth.parse import build, values

_PKEXEC: Final = re.compile(
    r"(?P<by>\S{1,256}): (?P<what>[^\[\]]{1,200}) \[USER=(?P<user>[^\[\]]{1,256})\] \[TTY=(?P<tty>[^\[\]]{0,64})\] "
    r"\[CWD=(?P<rest>.*)\]",
    re.S,
)
_FAILED: Final = re.compile(
    r"Operator of (?P<session>\S{1,80}) FAILED to authenticate to gain authorization for action (?P<action>\S{1,200}) "
    r"for .*\(owned by unix-user:(?P<owner>[^()]{1,256})\)",
    re.S,
)


def parse_pkexec(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of pkexec."""
    match = _PKEXEC.fullmatch(entry.message)
    if match is None:
        return ()
    executed = match["what"] == "Executing command"
    directory, _, command = match["rest"].partition("] [COMMAND=")
    if match["rest"].count("] [COMMAND=") != 1:
        # Directory and command are the user's: where one ends cannot be told.
        directory, command = "", match["rest"]
    return (
        build.make(
            entry,
            Kind.PRIVILEGE,
            "pkexec",
            outcome=build.SUCCESS if executed else build.FAILURE,
            user=match["by"],
            effective_user=match["user"],
            terminal=values.terminal(match["tty"]),
            working_directory=directory or None,
            command=command,
            reason=None if executed else build.NOT_ALLOWED,
        ),
    )


def parse_polkitd(entry: Entry) -> tuple[AuthEvent, ...]:
    """The event of one line of polkitd: only refusals, for what is granted is told by who uses it."""
    match = _FAILED.fullmatch(entry.message)
    if match is None:
        return ()
    event = build.make(
        entry,
        Kind.PRIVILEGE,
        "pkexec",
        outcome=build.FAILURE,
        service="polkitd",
        pid=None,
        user=match["owner"],
        reason=build.WRONG_CREDENTIALS,
    )
    return (build.hint(event, "polkitd", 30.0),)
