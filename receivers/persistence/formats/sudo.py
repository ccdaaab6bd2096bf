"""sudoers(5): lines told apart, includes found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.persistence.formats.lines import words

_INCLUDE: Final = re.compile(rb"[@#](include|includedir)\s+(.+)", re.DOTALL)
_ALIAS: Final = re.compile(rb"(User|Runas|Host|Cmnd|Cmd)_Alias\s+(.*)", re.DOTALL)
_ALIAS_NAME: Final = re.compile(rb"(?:^|:)\s*([A-Z][A-Z0-9_]*)\s*=")
_DEFAULTS: Final = re.compile(rb"Defaults((?:[@:!>]\s*(?:\"[^\"]*\"|[^\s\"]++)++)?)\s+(.*)", re.DOTALL)
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_PARAMETER: Final = re.compile(rb"[A-Za-z_]+")
_RUN_AS: Final = re.compile(rb"\(([^()]*)\)")
_TAGS: Final = re.compile(rb"\b(NOPASSWD|PASSWD|SETENV|NOEXEC|NOINTERCEPT|INTERCEPT|NOMAIL|FOLLOW|NOFOLLOW):")


@dataclass(slots=True, frozen=True)
class Line:
    """A line of sudoers, continued ones joined. `what` is include, includedir, defaults, alias or rule.

    `key` names it among the lines of its file. `target` is the path of an include. A rule's `command` is what
    stands behind the `=`, without the user to run as, which is `run_as`.
    """

    what: str
    content: bytes
    key: bytes
    target: bytes = b""
    command: bytes = b""
    run_as: bytes = b""
    tags: tuple[bytes, ...] = ()


def logical_lines(data: bytes) -> Iterator[bytes]:
    """A backslash at the end of a line joins it with the next; `#` begins a comment unless it begins an include or
    stands in front of a number (a user id), is escaped or in quotes."""
    parts: list[bytes] = []
    for raw in data.split(b"\n"):
        line = raw.rstrip(b"\r")
        if line.endswith(b"\\"):
            parts.append(line[:-1])
            continue
        parts.append(line)
        whole = b" ".join(parts).strip()
        parts = []
        whole = _without_comment(whole)
        if whole:
            yield whole
    whole = _without_comment(b" ".join(parts).strip())
    if whole:
        yield whole


_PLAIN: Final = re.compile(rb'(?:[^#"\\]++|\\.|\\\Z|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|%?#-?[0-9])*+', re.DOTALL)


def _without_comment(line: bytes) -> bytes:
    if line[:8] == b"#include" and _INCLUDE.fullmatch(line):
        return line
    match = _PLAIN.match(line)
    return line if match is None else line[: match.end()].strip()


def parse_line(line: bytes) -> Line | None:
    """One logical line; None when it is nothing that sudoers knows."""
    include = _INCLUDE.fullmatch(line)
    if include is not None:
        target = b" ".join(words(include[2])[:1])
        return Line(text(include[1]), line, include[1] + b" " + target, target=target)
    defaults = _DEFAULTS.fullmatch(line)
    if defaults is not None:
        parameters = _QUOTED.sub(b"", defaults[2]).split(b",")
        found = (_PARAMETER.match(parameter.lstrip(b"! \t")) for parameter in parameters)
        names = [match[0] for match in found if match is not None]
        scope = b"".join(defaults[1].split())
        return Line("defaults", line, b"Defaults" + scope + b" " + b",".join(names)) if names else None
    alias = _ALIAS.fullmatch(line)
    if alias is not None:
        names = _ALIAS_NAME.findall(alias[2])
        return Line("alias", line, alias[1] + b"_Alias " + b",".join(names)) if names else None
    left, equals, right = line.partition(b"=")
    who = left.split()
    if not equals or len(who) < 2 or not right.strip():
        return None
    run_as = _RUN_AS.search(right)
    command = _TAGS.sub(b"", _RUN_AS.sub(b"", right))
    return Line(
        "rule",
        line,
        b" ".join(who),
        command=b" ".join(command.split()),
        run_as=b"root" if run_as is None else b"".join(run_as[1].split()),
        tags=tuple(dict.fromkeys(_TAGS.findall(right))),
    )


def text(word: bytes) -> str:
    return word.decode("ascii", "replace")
