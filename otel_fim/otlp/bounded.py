"""A cache that cannot grow without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

LONGEST_KEY: Final = 128
"""Texts longer than this are not worth remembering: names are shorter, and values come from anywhere."""


def always(_key: object) -> bool:
    """Every key is worth remembering."""
    return True


def short(key: str) -> bool:
    """Only short texts are."""
    return len(key) <= LONGEST_KEY


class Computed(dict[K, V]):
    """`cache[key]` is `make(key)`, remembered if `keep(key)`. Starts afresh when it holds `limit` entries.

    Safe to share between threads: two may make the same value, and one of the two stays.
    """

    __slots__ = ("_keep", "_limit", "_make")

    def __init__(self, make: Callable[[K], V], limit: int, keep: Callable[[K], bool] = always) -> None:
        super().__init__()
        self._make = make
        self._limit = limit
        self._keep = keep

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if self._keep(key):
            if len(self) >= self._limit:
                self.clear()
            self[key] = value
        return value
