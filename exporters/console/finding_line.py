"""`[FINDING] HIGH "Cron Entry Added By A Shell" @ … (MITRE T1053.003) score 73: mallory created /etc/cron.d/x …`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import escape, quoted
from otel_fim.exporters.console.parts import (
    Paint,
    actor,
    label,
    moment,
    number,
    path,
    strings,
    techniques,
    text,
    with_rest,
)
from otel_fim.record import AnyValue, Record

_OURS: Final = "The otel-fim authors"
_LONGEST: Final = 400
"""Characters of the sentence that are shown; the record has all of it."""


def finding(record: Record, paint: Paint) -> list[str]:
    """A rule matched; nothing without the rule's title."""
    attributes = record.attributes
    title = text(attributes, names.SECURITY_RULE_NAME)
    if not title:
        return []
    level = text(attributes, names.OTEL_FIM_RULE_LEVEL) or record.severity_text
    parts = [
        label(f"[FINDING] {escape(level.upper())}".rstrip(), record, paint),
        quoted(title),
        f"@ {moment(record)}",
        techniques(attributes),
        _score(attributes),
        _author(attributes),
        _suppressed(attributes),
    ]
    again = _again(attributes)
    return with_rest(parts, again or _what(record, title))


def is_suppressed(record: Record) -> bool:
    """Whether the finding met a suppression."""
    return bool(text(record.attributes, names.OTEL_FIM_SUPPRESSION_NAME))


def _what(record: Record, title: str) -> str:
    """Who did what: the record's own sentence, without the title that it begins with."""
    body = record.body if isinstance(record.body, str) else ""
    said = body.removeprefix(title).removeprefix(":").strip()
    if said:
        return escape(said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…")
    attributes = record.attributes
    place = ""
    if text(attributes, names.FILE_PATH):
        place = path(attributes, names.FILE_PATH, names.OTEL_FIM_FILE_PATH_BYTES)
    return " ".join(part for part in (place, actor(attributes)) if part)


def _again(attributes: Mapping[str, AnyValue]) -> str:
    """What there is to say of a finding that was shown before."""
    if not text(attributes, names.OTEL_FIM_FINDING_DUPLICATE_OF):
        return ""
    count = number(attributes, names.OTEL_FIM_FINDING_COUNT)
    since = text(attributes, names.OTEL_FIM_FINDING_FIRST_SEEN)
    said = f"again, {count} times" if count is not None else "again"
    return f"{said} since {_to_the_second(since)}" if since else said


def _to_the_second(moment_: str) -> str:
    """`2026-01-13T14:32:15.000000000Z` without its fraction."""
    whole, _, fraction = moment_.partition(".")
    return escape(f"{whole}Z" if fraction.endswith("Z") else moment_)


def _score(attributes: Mapping[str, AnyValue]) -> str:
    score = attributes.get(names.EVENT_RISK_SCORE)
    if isinstance(score, bool) or not isinstance(score, int | float):
        return ""
    return f"score {score:.3g}"


def _author(attributes: Mapping[str, AnyValue]) -> str:
    """Whose rule it is, with its licence, when it is not this project's own: licences of rules ask for that."""
    authors = strings(attributes.get(names.RULE_AUTHOR))
    if not authors or authors == [_OURS]:
        return ""
    license_ = text(attributes, names.SECURITY_RULE_LICENSE)
    shown = ", ".join(map(quoted, authors)) + (f", {quoted(license_)}" if license_ else "")
    return f"(rule by {shown})"


def _suppressed(attributes: Mapping[str, AnyValue]) -> str:
    name = text(attributes, names.OTEL_FIM_SUPPRESSION_NAME)
    if not name:
        return ""
    owner = text(attributes, names.OTEL_FIM_SUPPRESSION_OWNER)
    return f"(suppressed: {quoted(name)}" + (f" of {quoted(owner)})" if owner else ")")
