"""How a value is looked at: its text form, its folded form, its number. Both engines keep to this."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final

from otel_fim.otlp.anyvalue import to_text
from otel_fim.record import AnyValue

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


def text_of(value: AnyValue) -> str:
    """OpenTelemetry's string form of a value: what the collector's ClickHouse table holds for it."""
    return value if isinstance(value, str) else to_text(value)


def elements_of(value: AnyValue) -> Sequence[str]:
    """The elements of a list as text; anything else is a list of one."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [text_of(each) for each in value]
    return (text_of(value),)


def fold(text: str) -> str:
    """The form in which texts are compared without regard to case."""
    return text.lower()


def number_of(text: str) -> float | None:
    """The decimal number that a text is, or None: `-12`, `0.5`, `1e3`; no spaces, no hexadecimal, no infinity."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return number if math.isfinite(number) else None
