"""The lines of a crontab(5) and of an anacrontab(5). Nothing here raises, whatever the bytes are."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.persistence.text import text_of

MAX_LINES: Final = 10_000
"""More than cron itself takes (10,000 lines) is not looked at."""

_ENVIRONMENT: Final = re.compile(rb"""("[^"]*"|'[^']*'|[^\s="'][^\s=]*)[ \t]*=[ \t]*(.*)""", re.DOTALL)
_KEYWORDS: Final = frozenset(
    b"@reboot @yearly @annually @monthly @weekly @daily @midnight @hourly @every_minute".split()
)
_EVERY_SECONDS: Final = re.compile(rb"@[0-9]{1,6}")
_MONTHS: Final = b"jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS: Final = b"sun mon tue wed thu fri sat".split()
_FIELDS: Final[tuple[tuple[int, int, dict[bytes, int]], ...]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_NUMBER: Final = re.compile(rb"[0-9]{1,4}")
_WORD: Final = re.compile(rb"[^ \t]+")


@dataclass(slots=True, frozen=True)
class Line:
    """A line that says something. `valid` is false when cron could not make sense of it; `command` is then the line
    as it is. `content` is the line without the blanks around it."""

    number: int
    content: bytes
    command: str
    trigger: str = ""
    user: str = ""
    is_environment: bool = False
    valid: bool = True


def parse_crontab(data: bytes, *, system: bool) -> list[Line]:
    """The lines of a crontab but blank ones and comments. `system`: the user stands before the command.

    There are no continuation lines, and no comments behind a command.
    """
    found = []
    for number, raw in enumerate(data.split(b"\n")[:MAX_LINES], 1):
        line = raw.lstrip(b" \t")
        content = line.rstrip()
        if not content or line.startswith(b"#"):
            continue
        found.append(
            _assignment(number, content) or _job(number, content, system=system) or _bad(number, content)
        )
    return found


def parse_anacrontab(data: bytes) -> list[Line]:
    """The lines of an anacrontab: period in days (or @monthly, …), delay in minutes, name, command.

    A line that ends with a backslash goes on in the next one; its number is that of the first.
    """
    found = []
    for number, line in _joined(data):
        content = line.strip()
        if not content or content.startswith(b"#"):
            continue
        assignment = _assignment(number, content)
        words = content.split(None, 3)
        if assignment is not None:
            found.append(assignment)
        elif len(words) == 4 and _is_period(words[0]) and words[1].isdigit() and b"/" not in words[2]:
            period = words[0] if words[0].startswith(b"@") else b"every %s days" % words[0]
            trigger = b"%s, delay %s minutes, %s" % (period, words[1], words[2])
            found.append(Line(number, content, text_of(words[3]), text_of(trigger)))
        else:
            found.append(_bad(number, content))
    return found


def _joined(data: bytes) -> list[tuple[int, bytes]]:
    lines: list[tuple[int, bytes]] = []
    open_line: list[bytes] = []
    start = 1
    for number, raw in enumerate(data.split(b"\n")[:MAX_LINES], 1):
        if not open_line:
            start = number
        if raw.endswith(b"\\"):
            open_line.append(raw[:-1])
            continue
        lines.append((start, b"".join([*open_line, raw])))
        open_line = []
    if open_line:
        lines.append((start, b"".join(open_line)))
    return lines


def _is_period(word: bytes) -> bool:
    return word.isdigit() or (word.startswith(b"@") and word[1:].isalpha())


def _assignment(number: int, content: bytes) -> Line | None:
    match = _ENVIRONMENT.fullmatch(content)
    if match is None:
        return None
    name, value = (_unquoted(part) for part in match.groups())
    return Line(number, content, f"{text_of(name)}={text_of(value)}", is_environment=True)


def _unquoted(value: bytes) -> bytes:
    if len(value) > 1 and value[:1] in b"\"'" and value[-1:] == value[:1]:
        return value[1:-1]
    return value


def _job(number: int, content: bytes, *, system: bool) -> Line | None:
    count = (1 if content.startswith(b"@") else 5) + system
    words: list[bytes] = []
    at = 0
    for match in _WORD.finditer(content):
        words.append(match[0])
        at = match.end()
        if len(words) == count:
            break
    command = content[at:].strip(b" \t")
    if len(words) < count or not command:
        return None
    when = words[:-1] if system else words
    if not _is_schedule(when):
        return None
    user = text_of(words[-1]) if system else ""
    return Line(number, content, effective_command(command), text_of(b" ".join(when)), user)


def _bad(number: int, content: bytes) -> Line:
    return Line(number, content, text_of(content), valid=False)


def _is_schedule(when: list[bytes]) -> bool:
    if len(when) == 1:
        return when[0].lower() in _KEYWORDS or _EVERY_SECONDS.fullmatch(when[0]) is not None
    # SUSE's cron and cronie: a minus before the minute keeps the run out of the log.
    fields = [when[0][1:] if when[0].startswith(b"-") else when[0], *when[1:]]
    return all(_is_field(field, *limits) for field, limits in zip(fields, _FIELDS, strict=True))


def _is_field(field: bytes, low: int, high: int, names: dict[bytes, int]) -> bool:
    return all(_is_element(element, low, high, names) for element in field.split(b","))


def _is_element(element: bytes, low: int, high: int, names: dict[bytes, int]) -> bool:
    span, slash, step = element.partition(b"/")
    if slash and not (_NUMBER.fullmatch(step) and int(step) > 0):
        return False
    if span == b"*":
        return True
    # `a~b` is cronie's: a random moment between the two, each of which may be left out.
    between, tilde, end = span.partition(b"~")
    if tilde:
        ends = [_value(part, names) for part in (between, end) if part]
    else:
        start, dash, stop = span.partition(b"-")
        ends = [_value(start, names), *([_value(stop, names)] if dash else [])]
    values = [value for value in ends if value is not None and low <= value <= high]
    return len(values) == len(ends) and (len(values) < 2 or values[0] <= values[1])


def _value(word: bytes, names: dict[bytes, int]) -> int | None:
    return int(word) if _NUMBER.fullmatch(word) else names.get(word.lower())


def effective_command(command: bytes) -> str:
    """What the shell is given: `\\%` is a percent sign, and what stands behind a bare one is its input, shown as
    `<<< 'text'`."""
    parts = re.split(rb"(?<!\\)%", command, maxsplit=1)
    shown = text_of(parts[0].replace(b"\\%", b"%").rstrip())
    if len(parts) == 1:
        return shown
    lines = re.sub(rb"(?<!\\)%", b"\n", parts[1]).replace(b"\\%", b"%")
    return f"{shown} <<< {shlex.quote(text_of(lines))}"
