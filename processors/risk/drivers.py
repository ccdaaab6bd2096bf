"""What a score is made of. The score is the sum of its drivers, whatever they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_SCORE: Final = 100
LIMIT: Final = "limit"


@dataclass(slots=True, frozen=True)
class Driver:
    """A named number of points, and the sentence that tells where they come from."""

    name: str
    points: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.points:+d} {self.name}"


@dataclass(slots=True, frozen=True)
class Score:
    """0 to 100, and what it is made of."""

    value: int
    drivers: tuple[Driver, ...]

    @property
    def explanation(self) -> str:
        """The drivers in words."""
        return " ".join(f"{driver.sentence} ({driver.points:+d})." for driver in self.drivers)


def add_up(drivers: Iterable[Driver]) -> Score:
    """The score of drivers. Those without points are left out; where the sum leaves 0 to 100, what takes it back is a
    driver too, so that they add up."""
    told = [driver for driver in drivers if driver.points]
    total = sum(driver.points for driver in told)
    value = min(max(total, 0), MAX_SCORE)
    if value != total:
        told.append(Driver(LIMIT, value - total, f"No score is {'above 100' if value else 'below 0'}"))
    return Score(value, tuple(told))
