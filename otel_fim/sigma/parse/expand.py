"""`expand`: placeholders in a value become their values, before the modifiers that come after it.

pySigma leaves placeholders for later, and what encodes text (`base64`, `utf16le`) or looks at it (`windash`, `cased`)
would then be about the placeholder's name. It takes `\\%` for a backslash, too, where Sigma means a percent sign.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sigma.exceptions import SigmaValueError
from sigma.modifiers import SigmaModifier, SigmaValueModifier
from sigma.types import SigmaExpansion, SigmaRegularExpression, SigmaString, SpecialChars

Placeholders = Mapping[str, Sequence[str]]
_MAX_VALUES: Final = 10_000
"""Values that one value with placeholders may become."""
_TOKEN: Final = re.compile(r"\\%|%([^%\\]+)%")
_EXPRESSIONS: Final[dict[Any, str]] = {
    SpecialChars.WILDCARD_MULTI: "(?s:.*)",
    SpecialChars.WILDCARD_SINGLE: "(?s:.)",
}
_Parts = tuple[Any, ...]
"""Text and wildcards, as in `SigmaString.s`."""


def expander(placeholders: Placeholders) -> type[SigmaModifier[Any, Any]]:
    """The modifier `expand` with these values. It raises `SigmaValueError` for a placeholder that has none."""

    class _Expand(SigmaValueModifier[SigmaString | SigmaRegularExpression, SigmaExpansion]):
        def modify(self, val: SigmaString | SigmaRegularExpression) -> SigmaExpansion:
            if isinstance(val, SigmaRegularExpression):
                return SigmaExpansion(
                    [
                        SigmaRegularExpression("".join(parts), val.flags, val.policy)
                        for parts in _expanded(val.regexp.s, placeholders, in_expression=True)
                    ]
                )
            return SigmaExpansion(
                [_of(val, parts) for parts in _expanded(val.s, placeholders, in_expression=False)]
            )

    return _Expand


def _of(value: SigmaString, parts: _Parts) -> SigmaString:
    made = value.__class__()
    made.original = value.original
    made.s = list(parts)
    return made._merge_strs()


def _expanded(parts: Sequence[Any], placeholders: Placeholders, in_expression: bool) -> list[_Parts]:
    choices: list[list[_Parts]] = []
    for part in parts:
        if not isinstance(part, str):
            choices.append([(part,)])
            continue
        place = 0
        for found in _TOKEN.finditer(part):
            choices.append([(part[place : found.start()],)])
            name = found[1]
            choices.append([("%",)] if name is None else _values(name, placeholders, in_expression))
            place = found.end()
        choices.append([(part[place:],)])
    if math.prod(map(len, choices)) > _MAX_VALUES:
        raise SigmaValueError(
            f"its placeholders stand for more than {_MAX_VALUES} values: use fewer in one value"
        )
    return [
        tuple(part for each in chosen for part in each if part != "")
        for chosen in itertools.product(*choices)
    ]


def _values(name: str, placeholders: Placeholders, in_expression: bool) -> list[_Parts]:
    values = placeholders.get(name)
    if not values:
        raise SigmaValueError(
            f"the placeholder %{name}% has no values: give them under placeholders: {{{name}: [...]}}"
        )
    read = [tuple(SigmaString(str(each)).s) for each in values]
    if not in_expression:
        return read
    return [
        tuple(re.escape(part) if isinstance(part, str) else _EXPRESSIONS[part] for part in each)
        for each in read
    ]
