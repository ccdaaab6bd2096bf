"""The samples beside a rule: streams of records in which it has to find something, and others in which it must not.

Written as YAML, format version 1: `match` and `no_match` are lists of cases. A case has `about`, `records` and, where
it matters, `findings` (how many) and `rule` (the name, id or title, in a file of several rules). A record has `event`,
`attributes`, `resource`, `body`, `time`, `after` (since the record before, each repetition too) and `repeat`, with
`{i}` for the number of the repetition, from 0.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_fim import names
from otel_fim.config.model import parse_duration
from otel_fim.names.registry import EVENTS
from otel_fim.record import AnyValue, Attributes, Record, Resource, Severity
from otel_fim.sigma.load.documents import BadDocumentError, documents
from otel_fim.sigma.load.files import RuleFile
from otel_fim.sigma.load.limits import LoadLimits
from otel_fim.sigma.values import time_of

START: Final = "2026-01-13T12:00:00Z"
"""When the first record is, unless it says so. A Tuesday."""
HOST: Final = "host-1"
_SECOND: Final = 1_000_000_000
_MOST_RECORDS: Final = 100_000
_FILE_KEYS: Final = ("match", "no_match", "version")
_CASE_KEYS: Final = ("about", "records", "findings", "rule")
_RECORD_KEYS: Final = ("event", "attributes", "resource", "body", "time", "after", "repeat")


class SampleError(ValueError):
    """Samples that are none; the message names the file, the case and the cause."""


@dataclass(slots=True, frozen=True)
class Case:
    """One stream of records, in order. `findings` is how many the rule has to make: None for at least one (`matches`)
    or for none. `rule` names the rule in a file of several, and is empty otherwise."""

    about: str
    matches: bool
    records: tuple[Record, ...]
    findings: int | None = None
    rule: str = ""

    @property
    def expected(self) -> str:
        if not self.matches:
            return "no finding"
        if self.findings is None:
            return "a finding"
        return f"{self.findings} finding{'s' if self.findings != 1 else ''}"

    def is_met_by(self, found: int) -> bool:
        """Whether so many findings are what the case expects."""
        if not self.matches:
            return found == 0
        return found >= 1 if self.findings is None else found == self.findings


def read_samples(path: str, limits: LoadLimits | None = None) -> tuple[Case, ...]:
    """The cases of a file, those that must match first. Raises `SampleError`, also for a file that is not there."""
    limits = limits or LoadLimits()
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(limits.file_bytes + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise SampleError(f"{path}: {reason}") from error
    if len(text) > limits.file_bytes:
        raise SampleError(f"{path}: larger than {limits.file_bytes} bytes: use `repeat` for many records")
    return parse_samples(path, text, limits)


def parse_samples(path: str, text: str, limits: LoadLimits | None = None) -> tuple[Case, ...]:
    """The cases of a text; `path` is for messages. Raises `SampleError`."""
    found = [*documents(RuleFile(path, path, "", path), text, limits or LoadLimits())]
    for document in found:
        if isinstance(document, BadDocumentError):
            raise SampleError(f"{path}, line {document.line}: {document}")
    if len(found) != 1 or isinstance(found[0], BadDocumentError):
        raise SampleError(
            f"{path}: one document with `match` and `no_match` is needed, here are {len(found)}"
        )
    content = found[0].content
    _check_keys(content, _FILE_KEYS, path)
    if content.get("version", 1) != 1:
        raise SampleError(f"{path}: version {content['version']!r} is not known; this is version 1")
    return tuple(
        _case(item, matches, f"{path}, {key} {number}")
        for key, matches in (("match", True), ("no_match", False))
        for number, item in enumerate(_list(content.get(key, []), f"{path}: {key}"), 1)
    )


def _case(item: object, matches: bool, where: str) -> Case:
    content = _mapping(item, where)
    about = content.get("about", "")
    if about:
        where = f"{where} ({str(about)[:80]})"
    _check_keys(content, _CASE_KEYS, where)
    if not isinstance(about, str) or not about.strip():
        raise SampleError(f"{where}: `about` must say in a few words what happens")
    findings = content.get("findings")
    if findings is not None and (type(findings) is not int or findings < 1 or not matches):
        raise SampleError(f"{where}: `findings` is a number from 1 on, in a case of `match`")
    rule = content.get("rule", "")
    if not isinstance(rule, str):
        raise SampleError(f"{where}: `rule` is the name, id or title of a rule of the file")
    records = tuple(_records(_list(content.get("records"), f"{where}: records"), where))
    if not records:
        raise SampleError(f"{where}: `records` must have at least one record")
    return Case(about.strip(), matches, records, findings, rule)


def _records(items: list[Any], where: str) -> Iterator[Record]:
    clock = _moment(START, where)
    count = 0
    for number, item in enumerate(items, 1):
        here = f"{where}, record {number}"
        content = _mapping(item, here)
        _check_keys(content, _RECORD_KEYS, here)
        after = _after(content.get("after"), here)
        if "time" in content and "after" in content and count == 0:
            raise SampleError(
                f"{here}: the first record has `time` or nothing; `after` is since the one before"
            )
        repeat = content.get("repeat", 1)
        if type(repeat) is not int or repeat < 1:
            raise SampleError(f"{here}: `repeat` is a number from 1 on, not {repeat!r}")
        for turn in range(repeat):
            if turn == 0 and "time" in content:
                clock = _moment(content["time"], here)
            elif count:
                clock += after
            count += 1
            if count > _MOST_RECORDS:
                raise SampleError(f"{here}: more than {_MOST_RECORDS} records in one case")
            yield _record(content, clock, turn if "repeat" in content else None, here)


def _record(content: Mapping[str, Any], moment: int, turn: int | None, where: str) -> Record:
    event = content.get("event", "")
    if not isinstance(event, str):
        raise SampleError(f"{where}: `event` is the name of an event, not {event!r}")
    resource = content.get("resource")
    body = content.get("body")
    severity = Severity[EVENTS[event].severity] if event in EVENTS else Severity.UNSPECIFIED
    return Record(
        time_unix_nano=moment,
        observed_time_unix_nano=moment,
        event_name=event,
        severity_number=int(severity),
        severity_text=severity.name if severity else "",
        body=None if body is None else _value(body, turn, f"{where}: body"),
        attributes=_attributes(content.get("attributes", {}), turn, f"{where}: attributes"),
        resource=Resource(
            {names.HOST_NAME: HOST} if resource is None else _attributes(resource, turn, f"{where}: resource")
        ),
    )


def _attributes(content: object, turn: int | None, where: str) -> Attributes:
    return {key: _value(value, turn, f"{where}: {key}") for key, value in _mapping(content, where).items()}


def _value(value: object, turn: int | None, where: str) -> AnyValue:
    if isinstance(value, str):
        return value if turn is None else value.replace("{i}", str(turn))
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        return [_value(item, turn, where) for item in value]
    if isinstance(value, dt.date):
        raise SampleError(f"{where} is a date of YAML's: put it in quotes, records have text")
    raise SampleError(
        f"{where} is {value!r}: text, numbers, booleans and lists of them are what records have"
    )


def _moment(value: object, where: str) -> int:
    if isinstance(value, dt.datetime):
        # YAML's own form of a time: UTC when it names no zone.
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds * 1000
    found = time_of(value) if isinstance(value, str) else None
    if found is None:
        raise SampleError(f"{where}: `time` is {value!r}; it must be like {START}")
    return found


def _after(value: object, where: str) -> int:
    if value is None:
        return _SECOND
    try:
        return round(parse_duration(value) * _SECOND)
    except ValueError as error:
        raise SampleError(f"{where}: `after`: {error}") from error


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SampleError(f"{where}: a mapping is needed, not {_shown(value)}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise SampleError(f"{where}: a list is needed, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]


def _check_keys(content: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [key for key in content if key not in known]
    if unknown:
        raise SampleError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(known)}")
