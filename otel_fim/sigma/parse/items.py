"""One field of a selection with its modifiers and values, and what is wrong with it in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sigma.exceptions import SigmaError
from sigma.modifiers import (
    SigmaEndswithModifier,
    SigmaModifier,
    SigmaRegularExpressionModifier,
    SigmaStartswithModifier,
    SigmaTimestampModifier,
)
from sigma.rule import SigmaDetectionItem
from sigma.types import SigmaExpansion, SigmaNumber, SigmaString, SigmaType, SpecialChars, sigma_type

from otel_fim.sigma.parse.expand import Placeholders, expander
from otel_fim.sigma.parse.modifiers import MODIFIERS
from otel_fim.sigma.parse.policy import POLICY
from otel_fim.sigma.shortening import shortened

_MAX_WINDASH: Final = 500
"""Values with `windash`, each of which stands for up to 125."""
_ANYWHERE: Final = SpecialChars.WILDCARD_MULTI
_UTF16: Final = ("utf16", "utf16le", "utf16be", "wide")
_ENCODING: Final = (*_UTF16, "base64", "base64offset")
_TAKES: Final = {
    "exists": "true or false",
    **dict.fromkeys(("lt", "lte", "gt", "gte"), "a number"),
    **dict.fromkeys(("minute", "hour", "day", "weekday", "week", "month", "year"), "a whole number"),
    **dict.fromkeys(
        ("i", "m", "s", "ignorecase", "multiline", "dotall"), "an expression, so it stands after re"
    ),
}
"""What a modifier takes; all others take a text."""
_REMEDIES: Final = {
    "only applicable to unmodified": "write it first, with other modifiers behind it",
    "Base64 encoding of strings with wildcards": "write base64 or base64offset before contains, startswith and "
    r"endswith, and \* for a star that is meant",
    "has host bits set": "write the network's own address, with zeros behind the prefix",
    "does not appear to be an IPv4 or IPv6 network": "write a network such as 192.0.2.0/24 or 2001:db8::/32",
    "Field references must not contain wildcards": "write fieldref before contains, startswith and endswith",
    "Invalid number": "write a finite number",
    "Exists modifier must be applied to field": "write the field's name before the pipe",
}


class MalformedError(ValueError):
    """A part of a rule has not the form that Sigma gives it; the message says which and what is expected."""


def item_of(key: object, value: object, selection: str, placeholders: Placeholders) -> SigmaDetectionItem:
    """The test that `key` (a field, or nothing for keywords, and modifiers) and its value or values are.

    Raises `MalformedError`.
    """
    if not isinstance(key, str):
        raise MalformedError(f"the field {key!r} of {selection} must be a text: put it in quotes")
    field, *modifiers = key.split("|")
    # What makes other texts (base64, windash, …) would forget it; what it says does not depend on its place.
    modifiers.sort(key=lambda each: each == "cased")
    kinds = [expander(placeholders) if each == "expand" else _modifier(each, key) for each in modifiers]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise MalformedError(f"{key or 'the list'} of {selection} has no value")
    _check_order(key, modifiers)
    if "all" in modifiers and len(values) == 1 and isinstance(value, list):
        kinds.remove(MODIFIERS["all"])
    if "windash" in modifiers and len(values) > _MAX_WINDASH:
        raise MalformedError(
            f"{key!r} has {len(values)} values; with windash at most {_MAX_WINDASH} are taken: make it several fields"
        )
    try:
        given = [_value(each, key, kinds) for each in values]
        item = SigmaDetectionItem(field or None, kinds, given, policy=POLICY)
    except SigmaError as error:
        raise MalformedError(_why(error, key, modifiers, kinds, values)) from error
    if item.field is None and not {SigmaStartswithModifier, SigmaEndswithModifier} & {
        base for kind in kinds for base in kind.__mro__
    }:
        item.value = [_somewhere(each) for each in item.value]
    return item


def _modifier(name: str, key: str) -> type[SigmaModifier[Any, Any]]:
    found = MODIFIERS.get(name)
    if found is None:
        raise MalformedError(
            f"unknown modifier {name!r} in {key!r}; there are {', '.join(sorted(MODIFIERS))}"
        )
    return found


def _check_order(key: str, modifiers: list[str]) -> None:
    """What has been encoded has no placeholders and no dashes any more: they would be left without a word."""
    if modifiers.count("neq") > 1:
        raise MalformedError(f"{key!r} has neq twice: leave one out")
    for later, earlier in (("expand", _ENCODING), ("windash", _ENCODING)):
        if later in modifiers:
            before = [each for each in modifiers[: modifiers.index(later)] if each in earlier]
            if before:
                raise MalformedError(
                    f"{key!r}: {later} must stand before {before[0]}, which leaves none to see"
                )


def _value(value: object, key: str, kinds: list[type[SigmaModifier[Any, Any]]]) -> SigmaType:
    if isinstance(value, Mapping | list):
        raise MalformedError(
            f"a value of {key!r} is a {'list' if isinstance(value, list) else 'mapping'}: write texts and numbers"
        )
    if value is not None and not isinstance(value, bool | int | float | str):
        raise MalformedError(
            f"a value of {key or 'a keyword'!r} is a {type(value).__name__}: put it in quotes"
        )
    if SigmaRegularExpressionModifier in kinds:
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            raise MalformedError(
                f"the expression of {key!r} is {_shown(value)}, which is no text: put it in quotes"
            )
        return SigmaString.from_str(str(value))
    if isinstance(value, float) and any(issubclass(kind, SigmaTimestampModifier) for kind in kinds):
        raise MalformedError(f"a part of a time is a whole number, and {key!r} has {value!r}")
    made = sigma_type(value)
    if isinstance(made, SigmaNumber) and isinstance(value, int):
        made.number = value  # pySigma makes a double of what a double does not hold exactly
    return made


def _somewhere(value: SigmaType) -> SigmaType:
    """A keyword is looked for within texts, so a wildcard stands on both sides of it."""
    if isinstance(value, SigmaExpansion):
        return SigmaExpansion([_somewhere(each) for each in value.values])
    if not isinstance(value, SigmaString) or not value.s:
        return value
    if value.s[0] is not _ANYWHERE:
        value = _ANYWHERE + value
    return value if value.s[-1] is _ANYWHERE else value + _ANYWHERE


def _why(
    error: SigmaError,
    key: str,
    modifiers: list[str],
    kinds: list[type[SigmaModifier[Any, Any]]],
    values: list[object],
) -> str:
    said = str(error.args[0]) if error.args else type(error).__name__
    words = said.split()
    if words[2:3] != ["incompatible"]:
        remedy = next((remedy for part, remedy in _REMEDIES.items() if part in said), "")
        return f"{key!r}: {said}{remedy and ': '}{remedy}"
    named = {kind.__name__: name for name, kind in MODIFIERS.items() if name in modifiers and kind in kinds}
    name = named.get(words[1], "expand")
    takes = _TAKES.get(name, "a text")
    before = [each for each in modifiers[: modifiers.index(name)] if each not in ("all", "neq")]
    if before:
        return (
            f"{key!r}: {name} takes {takes}, and behind {before[-1]} it has none: leave one out, or swap them"
        )
    wrong = next((each for each in values if not isinstance(each, str)), values[0])
    remedy = ": put it in quotes" if takes == "a text" and wrong is not None else ""
    return f"{key!r}: {name} takes {takes}, and a value is {_shown(wrong)}{remedy}"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shortened(repr(value), 80)
