"""What the lines for people are put together from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.record import AnyValue, Record, Severity

Paint = Callable[[str, int], str]
"""Puts colour around a text for a severity, or gives the text back."""

_EXITED: Final = "exited"


def plain(text: str, severity: int) -> str:
    """No colour."""
    del severity
    return text


def coloured(text: str, severity: int) -> str:
    """ANSI colour by severity: red from ERROR, yellow from WARN, cyan below."""
    code = "1;31" if severity >= Severity.ERROR else "1;33" if severity >= Severity.WARN else "36"
    return f"\x1b[{code}m{text}\x1b[0m"


def with_rest(parts: list[str], rest: str) -> list[str]:
    """The parts that are not empty, and `rest` after a colon."""
    parts = [part for part in parts if part]
    if rest:
        parts[-1] += ":"
        parts.append(rest)
    return parts


def label(tag: str, record: Record, paint: Paint) -> str:
    """The first words: `[ALERT] MODIFIED` and the like, in the colour of the severity."""
    return paint(tag, record.severity_number)


def last_word(event_name: str) -> str:
    """`otel_fim.file.created` gives `CREATED`."""
    return escape(event_name.rpartition(".")[2].upper())


def family(event_name: str) -> str:
    """The prefix that an event and its siblings share: `otel_fim.file.` for `otel_fim.file.created`."""
    return event_name.rpartition(".")[0] + "."


def moment(record: Record) -> str:
    """When, in UTC, to the second."""
    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
    if nanoseconds <= 0:
        return "unknown time"
    try:
        found = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{nanoseconds // 10**9} s"
    return found.strftime("%Y-%m-%dT%H:%M:%SZ")


def number(attributes: Mapping[str, AnyValue], key: str) -> int | None:
    """A whole number; None for anything else."""
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def path(attributes: Mapping[str, AnyValue], key: str, bytes_key: str) -> str:
    """A path, by its exact bytes where the record has them."""
    exact = attributes.get(bytes_key)
    if isinstance(exact, bytes):
        return quoted(exact.decode("utf-8", "surrogateescape"))
    return quoted(text(attributes, key))


def techniques(attributes: Mapping[str, AnyValue]) -> str:
    """The narrowest ids: a technique's sub-techniques in its place."""
    narrow = strings(attributes.get(names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID))
    shown: list[str] = []
    for technique in strings(attributes.get(names.THREAT_TECHNIQUE_ID)):
        shown.extend([sub for sub in narrow if sub.startswith(technique + ".")] or [technique])
    shown = shown or narrow
    return f"(MITRE {', '.join(map(quoted, shown))})" if shown else ""


def actor(attributes: Mapping[str, AnyValue]) -> str:
    """`by` whom: user, who logged in when that is another, program, pid."""
    user = who(attributes, (names.USER_NAME, names.PROCESS_USER_NAME), (names.USER_ID, names.PROCESS_USER_ID))
    login = who(attributes, (names.OTEL_FIM_LOGIN_USER_NAME,), (names.OTEL_FIM_LOGIN_USER_ID,))
    program = text(attributes, names.PROCESS_EXECUTABLE_PATH) or text(attributes, names.PROCESS_COMMAND)
    pid = attributes.get(names.PROCESS_PID)
    parts = [
        user,
        f"(login {login})" if login and login != user else "",
        quoted(program) if program else "",
        f"pid {pid}" if isinstance(pid, int) else "",
        "(process already exited)" if attributes.get(names.OTEL_FIM_ACTOR_STATE) == _EXITED else "",
    ]
    shown = " ".join(part for part in parts if part)
    return f"by {shown}" if shown else ""


def who(
    attributes: Mapping[str, AnyValue],
    name_keys: tuple[str, ...],
    id_keys: tuple[str, ...],
    kind: str = "uid",
) -> str:
    """A user's name, else the number as `uid 1003`, else nothing; `kind` "gid" for a group."""
    for key in name_keys:
        if name := text(attributes, key):
            return quoted(name)
    for key in id_keys:
        value = attributes.get(key)
        if isinstance(value, int | str) and value != "":
            return f"{kind} {quoted(str(value))}"
    return ""


def text(attributes: Mapping[str, AnyValue], key: str) -> str:
    """A text as it is, not escaped; empty for anything else."""
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def strings(value: AnyValue) -> list[str]:
    """The texts of a list, or the one text."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
