"""Plain YAML values: which text is a number, a truth value or nothing.

The collector reads YAML with go.yaml.in/yaml/v3, which follows YAML 1.2's core schema. PyYAML's own rules are
YAML 1.1's: there `on` and `yes` are true, `1:30` is ninety and `2026-01-13` a date. Not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_DECIMAL: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_PREFIXED: Final = re.compile(r"([-+]?)0(x[0-9a-fA-F]+|o[0-7]+|b[01]+|[0-7]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAX_DIGITS: Final = 4000  # Python refuses to read longer decimal numbers; such a text stays text

Scalar = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that was read from a text, with the text: a key that wants text gets `text` unchanged.

    So `password: ${env:PASSWORD}` is right when the password is `12345`, as in the collector.
    """

    value: Any
    text: str


def plain_scalar(text: str) -> Scalar:
    """The value of a scalar that is not quoted.

    `0644` is octal, as in Go. Whatever is neither a number, a truth value nor null is text.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > _MAX_DIGITS:
        return text
    if _DECIMAL.fullmatch(text):
        return int(text)
    prefixed = _PREFIXED.fullmatch(text)
    if prefixed:
        digits = prefixed[2]
        base = {"x": 16, "o": 8, "b": 2}.get(digits[0])
        number = int(digits, 8) if base is None else int(digits[1:], base)
        return -number if prefixed[1] == "-" else number
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
