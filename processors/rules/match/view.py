"""A record as rules look at it: text forms of its values, each made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from otel_fim import names
from otel_fim.chain import CHAIN_KEYS
from otel_fim.otlp.text import clean_text
from otel_fim.record import AnyValue, Record
from otel_fim.sigma import values
from otel_fim.sigma.ir import Field, Source


class _Absent:
    """What a record has not."""


ABSENT: Final = _Absent()
_ADDED_LATER: Final = frozenset(
    {
        *CHAIN_KEYS,
        names.OTEL_FIM_TIME_UNIX_NANO,
        names.LOG_RECORD_UID,
    }
)
"""Attributes that a record has in the journal and in the table, and not yet when rules look at it."""


def text_form(value: AnyValue) -> str:
    """The text of a value as the journal and the table will have it. Bytes of a file name that are no UTF-8 are
    `\\xNN` there. A value that has no text form is empty, as the collector leaves it."""
    kind = value.__class__
    if kind is str and value.isascii():  # type: ignore[union-attr]
        return value  # type: ignore[return-value]
    if kind is list:
        listed = _plain_list(value)  # type: ignore[arg-type]
        if listed:
            return listed
    try:
        text = values.text_of(value)
    except (ValueError, RecursionError):
        return ""
    return text if text.isascii() else clean_text(text)


def _plain_list(items: list[AnyValue]) -> str:
    """The text of a list of texts that JSON has no need to escape, which is what nearly all lists are; else nothing."""
    try:
        text = '","'.join(items)  # type: ignore[arg-type]
    except TypeError:
        return ""
    if (
        items
        and text.isprintable()
        and text.isascii()
        and "\\" not in text
        and text.count('"') == 2 * len(items) - 2
    ):
        return f'["{text}"]'
    return ""


def element_forms(value: AnyValue) -> list[str]:
    """The texts of a list's elements; anything else is a list of one."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [text_form(each) for each in value]
    return [text_form(value)]


def time_of(record: Record) -> int:
    """When it happened, nanoseconds since the epoch: the time at which it was seen when the record has no other."""
    return record.time_unix_nano or record.observed_time_unix_nano


Getter = Callable[[Record], "AnyValue | _Absent"]


def getter(field: Field) -> Getter:
    """A function that gives the field's value, or `ABSENT`. Fields that every OTLP record has are absent when they
    are empty or 0; only the time is always there, in nanoseconds since the epoch."""
    name = field.name
    match field.source:
        case Source.ATTRIBUTE:
            return lambda record: record.attributes.get(name, ABSENT)
        case Source.RESOURCE:
            return lambda record: record.resource.attributes.get(name, ABSENT)
        case Source.EVENT_NAME:
            return lambda record: record.event_name or ABSENT
        case Source.BODY:
            return lambda record: ABSENT if record.body is None or record.body == "" else record.body
        case Source.SEVERITY_TEXT:
            return lambda record: record.severity_text or ABSENT
        case Source.SEVERITY_NUMBER:
            return lambda record: record.severity_number or ABSENT
        case Source.TIME:
            return lambda record: str(time_of(record))


class View:
    """One record. Texts are kept by the field's number (see `Fields`)."""

    __slots__ = (
        "_elements",
        "_folded",
        "_folded_keywords",
        "_getters",
        "_joined_keywords",
        "_keywords",
        "_texts",
        "record",
    )

    def __init__(self, record: Record, getters: Sequence[Getter]) -> None:
        self.record = record
        self._getters = getters
        self._texts: dict[int, str | None] = {}
        self._folded: dict[int, str | None] = {}
        self._elements: dict[int, list[str] | None] = {}
        self._keywords: list[str] | None = None
        self._folded_keywords: list[str] | None = None
        self._joined_keywords: str | None = None

    def is_there(self, number: int) -> bool:
        return self._getters[number](self.record) is not ABSENT

    def text(self, number: int) -> str | None:
        """The text form, None for a field that the record lacks."""
        try:
            return self._texts[number]
        except KeyError:
            value = self._getters[number](self.record)
            text = self._texts[number] = None if isinstance(value, _Absent) else text_form(value)
            return text

    def folded(self, number: int) -> str | None:
        """The folded text form."""
        try:
            return self._folded[number]
        except KeyError:
            text = self.text(number)
            result = self._folded[number] = None if text is None else values.fold(text)
            return result

    def elements(self, number: int) -> list[str] | None:
        """The texts of the elements."""
        try:
            return self._elements[number]
        except KeyError:
            value = self._getters[number](self.record)
            result = self._elements[number] = None if isinstance(value, _Absent) else element_forms(value)
            return result

    def keywords(self) -> list[str]:
        """Where keywords are looked for."""
        if self._keywords is None:
            self._keywords = keyword_texts(self.record)
        return self._keywords

    def folded_keywords(self) -> list[str]:
        if self._folded_keywords is None:
            self._folded_keywords = [values.fold(text) for text in self.keywords()]
        return self._folded_keywords

    def joined_keywords(self) -> str:
        """All of these in one text."""
        if self._joined_keywords is None:
            self._joined_keywords = "\x00".join(self.folded_keywords())
        return self._joined_keywords


def keyword_texts(record: Record) -> list[str]:
    """The texts of the body (empty when there is none) and of the record's attributes."""
    found = [text_form(value) for name, value in record.attributes.items() if name not in _ADDED_LATER]
    found.append(text_form(record.body))
    return found


class Fields:
    """Numbers the fields that rules name, so that a view can keep their texts under small integers."""

    def __init__(self) -> None:
        self._numbers: dict[Field, int] = {}
        self.getters: list[Getter] = []

    def number(self, field: Field) -> int:
        known = self._numbers.get(field)
        if known is None:
            known = self._numbers[field] = len(self.getters)
            self.getters.append(getter(field))
        return known
