"""One Resource and one Scope object for all records that carry the same one, across calls of the decoders.

Records then group by identity, and an exporter converts a resource once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_LIMIT: Final = 256
_LONGEST: Final = 64 * 1024


class Interned(Generic[T]):
    """Objects by the bytes that they were decoded from. Holds at most 256, none of more than 64 KiB."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}

    def get(self, encoded: bytes, make: Callable[[], T]) -> T:
        """The object for `encoded`, made by `make` when it is not known yet."""
        found = self._known.get(encoded)
        if found is not None:
            return found
        made = make()
        if len(encoded) <= _LONGEST:
            if len(self._known) >= _LIMIT:
                self._known.clear()
            self._known[encoded] = made
        return made
