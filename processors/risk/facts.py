"""What the risk processor reads in a finding. Nothing is taken for granted: findings may come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from otel_fim import names
from otel_fim.normal import normal_path
from otel_fim.otlp import clean_text, to_text
from otel_fim.record import AnyValue, Record, Severity

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
CONFIDENCES: Final = {"high": 100, "medium": 80, "low": 60}
"""Percent of the level's points."""
_BY_SEVERITY: Final = (
    (Severity.FATAL, "critical"),
    (Severity.ERROR, "high"),
    (Severity.WARN, "medium"),
    (Severity.INFO, "low"),
    (Severity.TRACE, "informational"),
)
_LONGEST: Final = 1024
_LONGEST_PATH: Final = 4096
_MOST_RECORDS: Final = 2**40
_MOST: Final = 64


def text(value: AnyValue, longest: int = _LONGEST) -> str:
    """The value's text form, at most so many characters, always Unicode; empty for none."""
    if value is None:
        return ""
    return clean_text((value if isinstance(value, str) else to_text(value))[:longest])


def texts(value: AnyValue) -> list[str]:
    """The texts of a list, at most 64; a single value is a list of one."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        return [text(value)]
    return [text(each) for each in value[:_MOST]]


def count_of(value: AnyValue) -> int:
    """A number of records; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MOST_RECORDS:
        return 0
    return value


@dataclass(slots=True, frozen=True)
class Facts:
    """A finding's values as text, empty where there is none. `level_is_given` is false when the level was taken from
    the severity. `time_unix_nano` and `evidence_count` are 0 when they are unknown. `person` is who logged in, when
    that is known, and otherwise the user: as root everybody is the same."""

    time_unix_nano: int
    rule: str
    title: str
    kind: str
    level: str
    level_is_given: bool
    confidence: str
    host: str
    user: str
    person: str
    user_ids: tuple[str, ...]
    groups: tuple[str, ...]
    executable: str
    programs: tuple[str, ...]
    path: str
    source: str
    port: str
    exposure: str
    evidence_count: int
    first_seen: tuple[str, ...]
    uncertain: tuple[str, ...]
    rare: tuple[str, ...]


def facts_of(record: Record) -> Facts:
    """Reads a finding."""
    get = record.attributes.get
    title = text(get(names.SECURITY_RULE_NAME))
    given = text(get(names.OTEL_FIM_RULE_LEVEL)).lower()
    confidence = text(get(names.OTEL_FIM_THREAT_CONFIDENCE)).lower()
    executable = text(get(names.PROCESS_EXECUTABLE_PATH), _LONGEST_PATH)
    ancestors = (each.partition(" ")[2] for each in texts(get(names.OTEL_FIM_PROCESS_ANCESTORS)))
    programs = (executable, text(get(names.PROCESS_PARENT_EXECUTABLE_PATH)), *ancestors)
    resource = record.resource.attributes.get
    user = text(get(names.USER_NAME)) or text(get(names.USER_ID))
    login = text(get(names.OTEL_FIM_LOGIN_USER_NAME)) or text(get(names.OTEL_FIM_LOGIN_USER_ID))
    return Facts(
        time_unix_nano=record.time_unix_nano or record.observed_time_unix_nano,
        rule=text(get(names.SECURITY_RULE_UUID)) or title,
        title=title,
        kind=text(get(names.OTEL_FIM_RULE_KIND)),
        level=given if given in LEVELS else _level_of(record.severity_number),
        level_is_given=given in LEVELS,
        confidence=confidence if confidence in CONFIDENCES else "medium",
        host=text(resource(names.HOST_NAME)) or text(resource(names.HOST_ID)),
        user=user,
        person=login or user,
        user_ids=tuple(
            text(get(name))
            for name in (
                names.USER_ID,
                names.USER_NAME,
                names.PROCESS_USER_ID,
                names.USER_EFFECTIVE_ID,
                names.USER_EFFECTIVE_NAME,
            )
        ),
        groups=tuple(text(get(name)) for name in (names.GROUP_NAME, names.PROCESS_GROUP_NAME)),
        executable=executable,
        programs=tuple(dict.fromkeys(program for program in programs if program)),
        path=text(get(names.FILE_PATH), _LONGEST_PATH),
        source=text(get(names.SOURCE_ADDRESS)) or text(get(names.OTEL_FIM_LOGIN_SOURCE_ADDRESS)),
        port=text(get(names.NETWORK_LOCAL_PORT)),
        exposure=text(get(names.OTEL_FIM_LISTENER_EXPOSURE)),
        evidence_count=count_of(get(names.OTEL_FIM_FINDING_EVIDENCE_COUNT)),
        first_seen=tuple(texts(get(names.OTEL_FIM_NOVELTY_FIRST_SEEN))),
        uncertain=tuple(texts(get(names.OTEL_FIM_NOVELTY_UNCERTAIN))),
        rare=tuple(texts(get(names.OTEL_FIM_NOVELTY_RARE))),
    )


def _level_of(severity_number: int) -> str:
    return next((level for least, level in _BY_SEVERITY if severity_number >= least), "medium")


_ENTITY: Final = (
    names.USER_TARGET_NAME,
    names.USER_TARGET_ID,
    names.USER_EFFECTIVE_NAME,
    names.GROUP_NAME,
    names.NETWORK_TRANSPORT,
    names.NETWORK_LOCAL_PORT,
    names.OTEL_FIM_PERSISTENCE_KIND,
)


def key_of(record: Record, facts: Facts) -> str:
    """The same for findings of one rule about one entity and one path: sixteen hexadecimal digits.

    The entity is the host with the user, the program, where the login came from, the account or group concerned, the
    socket, the persistence, and for correlations the values that they group by.
    """
    get = record.attributes.get
    grouped = [f"{name}={text(get(name))}" for name in texts(get(names.OTEL_FIM_FINDING_GROUP_BY))]
    parts = [
        facts.rule,
        facts.host,
        facts.user,
        facts.person,
        normal_path(facts.executable),
        facts.source,
        normal_path(facts.path),
        normal_path(text(get(names.OTEL_FIM_PERSISTENCE_ID))),
        *(text(get(name)) for name in _ENTITY),
        *grouped,
    ]
    joined = "\0".join(part.replace("\0", "\ufffd") for part in parts)
    return blake2b(joined.encode("utf-8", "replace"), digest_size=8).hexdigest()
