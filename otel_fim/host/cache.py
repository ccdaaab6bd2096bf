"""A cache with a fixed upper size."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Keeps the entries used last, between `size` and twice `size` of them.

    Two generations: what is used moves to the young one; when that is full, the old one is dropped whole.
    A look-up costs one dictionary look-up in most cases, with no list to reorder. For one thread.
    """

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._size and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def discard(self, key: K) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()

    def items(self) -> list[tuple[K, V]]:
        """Every entry once, the value last put winning."""
        return list({**self._old, **self._young}.items())

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
