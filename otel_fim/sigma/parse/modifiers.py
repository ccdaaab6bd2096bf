"""The modifiers of Sigma 2.1: pySigma's, and our own where it has none or gives a wrong value.

- UTF-16 is bytes, not text: `BytesString` keeps them until `base64` or `base64offset` encodes them. pySigma has no
  `utf16le` and takes only what happens to be UTF-8 (no `ä`).
- `cased` and `fieldref` can be combined, in either order.
- `startswith` and `endswith` of a regular expression anchor it, because `re` is searched for anywhere.
- `windash` begins with any of the five dashes, not with `-` and `/` only.
- `weekday` is this project's own: 1 (Monday) to 7.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from sigma.exceptions import SigmaValueError
from sigma.modifiers import (
    SigmaBase64OffsetModifier,
    SigmaContainsModifier,
    SigmaEndswithModifier,
    SigmaFieldReferenceModifier,
    SigmaModifier,
    SigmaStartswithModifier,
    SigmaTimestampModifier,
    SigmaValueModifier,
    SigmaWindowsDashModifier,
    modifier_mapping,
)
from sigma.types import (
    SigmaCasedString,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    TimestampPart,
)

_BOM: Final = b"\xff\xfe"
_OTHER_DASH: Final = re.compile("\\B[\u2013\u2014\u2015]\\b")


class BytesString(SigmaString):
    """A value that is bytes: each character stands for the byte of its number."""

    @classmethod
    def encoded(cls, value: SigmaString, encoding: str, prefix: bytes = b"") -> BytesString:
        """The text parts of `value` in `encoding`, with its wildcards between them."""
        made = cls()
        made.original = value.original
        made.s = [prefix.decode("latin-1")] if prefix else []
        made.s += [
            part.encode(encoding).decode("latin-1") if isinstance(part, str) else part for part in value.s
        ]
        return cast(BytesString, made._merge_strs())

    def __bytes__(self) -> bytes:
        return "".join(part for part in self.s if isinstance(part, str)).encode("latin-1")

    def as_text(self) -> SigmaString:
        """The bytes read as UTF-8, which is how they would stand in a record's text.

        Raises `SigmaValueError` when they are not UTF-8: then no record's text can have them.
        """
        made = SigmaString()
        made.original = self.original
        for part in self.s:
            if not isinstance(part, str):
                made.s.append(part)
                continue
            data = part.encode("latin-1")
            mark = "\ufeff" if data.startswith(_BOM) else ""
            try:
                made.s.append(mark + (data[2:] if mark else data).decode())
            except UnicodeDecodeError as error:
                raise SigmaValueError(
                    "UTF-16 of other letters than ASCII's is in no text: put base64 or base64offset after it"
                ) from error
        return made


class Reference(SigmaFieldReference):
    """A field reference that may be compared with regard to case."""

    cased: bool = False


class _WindowsDash(SigmaWindowsDashModifier):
    def modify(self, val: SigmaString) -> SigmaExpansion:
        made = SigmaString()
        made.original = val.original
        made.s = [_OTHER_DASH.sub("-", part) if isinstance(part, str) else part for part in val.s]
        return super().modify(made)


class _Utf16Le(SigmaValueModifier[SigmaString, SigmaString]):
    def modify(self, val: SigmaString) -> SigmaString:
        return BytesString.encoded(val, "utf-16-le")


class _Utf16Be(SigmaValueModifier[SigmaString, SigmaString]):
    def modify(self, val: SigmaString) -> SigmaString:
        return BytesString.encoded(val, "utf-16-be")


class _Utf16(SigmaValueModifier[SigmaString, SigmaString]):
    def modify(self, val: SigmaString) -> SigmaString:
        return BytesString.encoded(val, "utf-16-le", _BOM)


class _Base64Offset(SigmaBase64OffsetModifier):
    def modify(self, val: SigmaString) -> SigmaExpansion:
        made = super().modify(val)
        if not all(isinstance(each, SigmaString) and len(each) for each in made.values):
            raise SigmaValueError(
                "base64offset needs at least two bytes: of one nothing stays the same at each offset"
            )
        return made


class _Cased(SigmaValueModifier[SigmaString | SigmaFieldReference, SigmaString | SigmaFieldReference]):
    def modify(self, val: SigmaString | SigmaFieldReference) -> SigmaString | SigmaFieldReference:
        if isinstance(val, SigmaFieldReference):
            made = Reference(val.field, val.starts_with, val.ends_with)
            made.cased = True
            return made
        return SigmaCasedString.from_sigma_string(val.as_text() if isinstance(val, BytesString) else val)


class _FieldReference(SigmaFieldReferenceModifier):
    def modify(self, val: SigmaString) -> SigmaFieldReference:
        found = super().modify(val)
        made = Reference(found.field)
        made.cased = isinstance(val, SigmaCasedString)
        return made


_Matched = SigmaString | SigmaRegularExpression | SigmaFieldReference


def _anchored(value: SigmaRegularExpression, before: str, after: str) -> SigmaRegularExpression:
    pattern = f"{before}(?:{value.regexp.to_plain(regex=True)}){after}"
    return SigmaRegularExpression(pattern, value.flags, value.policy)


class _StartsWith(SigmaStartswithModifier):
    def modify(self, val: _Matched) -> _Matched:
        if isinstance(val, SigmaRegularExpression):
            return _anchored(val, r"\A", "")
        return super().modify(val)


class _EndsWith(SigmaEndswithModifier):
    def modify(self, val: _Matched) -> _Matched:
        if isinstance(val, SigmaRegularExpression):
            return _anchored(val, "", r"\z")
        return super().modify(val)


class _Contains(SigmaContainsModifier):
    def modify(self, val: _Matched) -> _Matched:
        return val if isinstance(val, SigmaRegularExpression) else super().modify(val)


class Weekday(SigmaTimestampPart):
    """A day of the week, 1 (Monday) to 7; pySigma has no such part."""

    def __init__(self, number: int) -> None:
        super().__init__(TimestampPart.DAY, number)


class _WeekdayModifier(SigmaTimestampModifier):
    time_part_unit = TimestampPart.DAY

    def modify(self, val: SigmaNumber) -> SigmaTimestampPart:
        return Weekday(int(val.number))


MODIFIERS: Final[dict[str, type[SigmaModifier[Any, Any]]]] = {
    **modifier_mapping,
    "utf16le": _Utf16Le,
    "wide": _Utf16Le,
    "utf16be": _Utf16Be,
    "utf16": _Utf16,
    "base64offset": _Base64Offset,
    "cased": _Cased,
    "windash": _WindowsDash,
    "fieldref": _FieldReference,
    "startswith": _StartsWith,
    "endswith": _EndsWith,
    "contains": _Contains,
    "weekday": _WeekdayModifier,
}
