"""Attributes as the text that goes into a Map column, many records at a time.

Records of one kind have the same keys, and under each key the same type. What follows from the keys (their
order) and from the types (how each value becomes text) is worked out once for each combination and remembered,
so that most values are passed on as they are, without a line of Python for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from otel_fim.otlp import to_text
from otel_fim.otlp.bounded import Computed
from otel_fim.record import AnyValue

_SHAPES: Final = 4096
_PLANS: Final = 256
_LISTS: Final = 4096
_ONLY_TEXT: Final = {str}

# Lists of names (techniques, changed attributes) come back again and again. Only lists of text are looked up:
# a key with 1 in it would also be found for True and 1.0.
_LIST_TEXTS: Final = Computed[tuple[str, ...], str](to_text, _LISTS)


def _list_text(value: list[AnyValue]) -> str:
    if set(map(type, value)) == _ONLY_TEXT:
        return _LIST_TEXTS[tuple(value)]  # type: ignore[arg-type]
    return to_text(value)


def _int_text(value: int) -> str:
    return str(value) if -(1 << 63) <= value < 1 << 63 else to_text(value)


_CONVERTERS: Final[Mapping[type, Callable[[Any], str]]] = {int: _int_text, list: _list_text}


def _pick(keys: Sequence[str]) -> Callable[[Mapping[str, AnyValue]], Sequence[AnyValue]]:
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda attributes: [attributes[key] for key in keys]


def _plan(types: Sequence[type]) -> tuple[tuple[int, Callable[[Any], str]], ...]:
    """The places of the values that are not text yet, and what makes them text."""
    return tuple((i, _CONVERTERS.get(kind, to_text)) for i, kind in enumerate(types) if kind is not str)


class Shape:
    """Attributes with these keys: `keys` is sorted, as the collector writes them."""

    __slots__ = ("_pick", "_plans", "keys")

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = tuple(sorted(keys))
        self._pick = _pick(self.keys)
        self._plans = Computed[tuple[type, ...], tuple[tuple[int, Callable[[Any], str]], ...]](_plan, _PLANS)

    def texts(self, attributes: Mapping[str, AnyValue]) -> Sequence[Any]:
        """The values in the order of `keys`, each as text. Raises `ValueError` for what has no text form."""
        values = self._pick(attributes)
        plan = self._plans[tuple(map(type, values))]
        if not plan:
            return values
        changed = list(values)
        for i, convert in plan:
            changed[i] = convert(values[i])
        return changed


class Shapes:
    """All combinations of keys seen, up to a limit."""

    def __init__(self) -> None:
        self._shapes = Computed[tuple[str, ...], Shape](Shape, _SHAPES)

    def of(self, attributes: Mapping[str, AnyValue]) -> Shape:
        """The shape of `attributes`."""
        return self._shapes[tuple(attributes)]
