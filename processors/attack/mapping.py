"""The form of a mapping, and of what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from otel_fim.attack import TECHNIQUES, Technique
from otel_fim.processors.attack.change import WRITTEN, Change, Effect


class Confidence(IntEnum):
    """How well the evidence supports the technique, whatever the intent behind it.

    HIGH: the change is the technique's mechanism itself, such as a new cron entry. MEDIUM: the place where
    the technique is carried out, which is also changed for other reasons. LOW: a hint.
    """

    LOW = 1
    MEDIUM = 2
    HIGH = 3


LOW: Final = Confidence.LOW
MEDIUM: Final = Confidence.MEDIUM
HIGH: Final = Confidence.HIGH


@dataclass(slots=True, frozen=True)
class Mapping:
    """One row: changes with one of the effects `on`, for which `when` holds, show the technique."""

    technique: Technique
    confidence: Confidence
    reason: str
    on: Effect = WRITTEN
    when: Callable[[Change], bool] | None = None

    def holds(self, change: Change) -> bool:
        return bool(change.effect & self.on) and (self.when is None or self.when(change))


@dataclass(slots=True, frozen=True)
class Match:
    """A mapping that held, with its evidence in a sentence."""

    technique: Technique
    confidence: Confidence
    evidence: str


def mapping(
    technique: str,
    confidence: Confidence,
    reason: str,
    *,
    on: Effect = WRITTEN,
    when: Callable[[Change], bool] | None = None,
) -> Mapping:
    """A mapping to a technique id. Raises `KeyError` for an id that the table does not have."""
    return Mapping(TECHNIQUES[technique], confidence, reason, on, when)


_VERBS: Final = {
    Effect.ARRIVED: "was created",
    Effect.CHANGED: "was modified",
    Effect.LEFT: "was deleted",
    Effect.ATTRIBUTES: "has other attributes",
}


def describe(change: Change, reason: str) -> str:
    """The evidence: what happened to which path, and why that speaks for the technique."""
    if change.destination:
        verb = f"was renamed to {change.destination}"
    elif change.origin:
        verb = f"was put in place by renaming {change.origin}"
    else:
        verb = _VERBS[change.effect]
    return f"{change.path} {verb}: {reason}"
