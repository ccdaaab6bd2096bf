"""Numbers of a window: a sum that does not drift while values come and go, and values in order."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right, insort
from typing import Final

_SHIFT: Final = 1074
"""Every finite double is an integer times 2 to the power of -1074."""
_BLOCK: Final = 512


class ExactSum:
    """The sum of doubles, exact: what is taken away again leaves no rounding behind."""

    __slots__ = ("_fractions", "_integers")

    def __init__(self) -> None:
        self._integers = 0
        self._fractions = 0

    def add(self, number: float) -> None:
        if number.is_integer():
            self._integers += int(number)
        else:
            self._fractions += _scaled(number)

    def remove(self, number: float) -> None:
        if number.is_integer():
            self._integers -= int(number)
        else:
            self._fractions -= _scaled(number)

    def size(self) -> int:
        """Bytes of the sum's digits: some hundred where there are fractions."""
        return (self._integers.bit_length() + self._fractions.bit_length()) // 7

    def over(self, count: int) -> float:
        """The sum divided by `count`, rounded once; infinite when it is beyond what a double holds."""
        total, divisor = self._integers, count
        if self._fractions:
            total, divisor = (total << _SHIFT) + self._fractions, count << _SHIFT
        try:
            return total / divisor
        except OverflowError:
            return math.inf if total > 0 else -math.inf


def _scaled(number: float) -> int:
    numerator, denominator = number.as_integer_ratio()
    return numerator << _SHIFT - denominator.bit_length() + 1


class SortedNumbers:
    """Doubles in order, in blocks: adding, removing and the n-th are cheap with 100,000 of them, and each takes eight
    bytes."""

    __slots__ = ("_blocks", "_count", "_last")

    def __init__(self) -> None:
        self._blocks: list[array[float]] = []
        self._last: list[float] = []
        """The greatest number of each block."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: float) -> None:
        self._count += 1
        blocks, last = self._blocks, self._last
        if not blocks:
            blocks.append(array("d", (number,)))
            last.append(number)
            return
        index = min(bisect_right(last, number), len(blocks) - 1)
        block = blocks[index]
        insort(block, number)
        if len(block) > 2 * _BLOCK:
            blocks.insert(index + 1, block[_BLOCK:])
            del block[_BLOCK:]
            last.insert(index, block[-1])
        else:
            last[index] = block[-1]

    def remove(self, number: float) -> None:
        """Removes one that was added."""
        index = bisect_left(self._last, number)
        block = self._blocks[index]
        del block[bisect_left(block, number)]
        self._count -= 1
        if block:
            self._last[index] = block[-1]
        else:
            del self._blocks[index], self._last[index]

    def at(self, index: int) -> float:
        """The number at `index`, counted from 0."""
        for block in self._blocks:
            if index < len(block):
                return block[index]
            index -= len(block)
        raise IndexError(index)

    def percentile(self, level: float) -> float:
        """Linear interpolation between closest ranks, in the arithmetic of ClickHouse's `quantileExactInclusive`;
        `level` is between 0 and 1. There is at least one number."""
        rank = level * (self._count - 1) + 1
        low = int(rank)
        if low < 1:
            return self.at(0)
        if low >= self._count:
            return self.at(self._count - 1)
        below, above = self.at(low - 1), self.at(low)
        return below + (rank - low) * (above - below)
