"""Scores of users, hosts and programs, from the scores of their findings.

The formula is Elastic's (Elastic Security, "Entity risk scoring": scores of the window sorted from the highest, a
weighted sum with the p-series of exponent 1.5, normalized): Σ sᵢ / i^1.5 ÷ 2.5924. 2.5924 is the sum of 1 / i^1.5 for
the first 10 000 findings, so that a hundred is what 10 000 findings of a hundred make.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

EXPONENT: Final[float] = 1.5
NORMALIZER: Final = 2.5924
MAX_SCORES: Final = 256
"""Of each entity; the 257th highest would add less than 0.01."""
_WEIGHTS: Final[list[float]] = [1 / place**EXPONENT / NORMALIZER for place in range(1, MAX_SCORES + 1)]
_BITS: Final = 7
_MASK: Final = (1 << _BITS) - 1
_FORGET_SHARE: Final = 16

Entity: TypeAlias = tuple[str, str, str]
"""user, host or executable; the host; its name (empty for the host itself)."""


def entity_score(scores: Iterable[int]) -> float:
    """0 to 100, with two decimals."""
    highest = sorted(scores, reverse=True)[:MAX_SCORES]
    total: float = sum(score * weight for score, weight in zip(highest, _WEIGHTS, strict=False))
    return round(min(total, 100.0), 2)


class EntityScores:
    """The scores of the last `window` seconds, for at most `max_entities`. Times are seconds that never go back."""

    def __init__(self, window: float, max_entities: int) -> None:
        self._window = window
        self._max_entities = max_entities
        # Eight bytes a score: the second above seven bits of the score.
        self._scores: dict[Entity, array[int]] = {}
        self.evicted = 0
        """Entities that had to be forgotten, since it was last looked at."""

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, entity: Entity, score: int, now: int) -> None:
        """A finding of an entity."""
        known = self._scores.get(entity)
        if known is None:
            if len(self._scores) >= self._max_entities:
                self._make_room(now)
            known = self._scores[entity] = array("Q")
        if len(known) >= MAX_SCORES:
            self._drop(entity, now)
            known = self._scores.setdefault(entity, array("Q"))
        known.append(now << _BITS | score)

    def score(self, entity: Entity, now: int) -> float:
        """The entity's score; 0 for one that is not known."""
        return entity_score(self._valid(self._scores.get(entity, ()), now))

    def _valid(self, packed: Sequence[int], now: int) -> Iterable[int]:
        since = now - self._window
        return (each & _MASK for each in packed if each >> _BITS > since)

    def _drop(self, entity: Entity, now: int) -> None:
        """Takes out what is over, and if need be the lowest score, the oldest of equals."""
        since = now - self._window
        kept = [each for each in self._scores[entity] if each >> _BITS > since]
        if len(kept) >= MAX_SCORES:
            kept.remove(min(kept, key=lambda each: (each & _MASK, each)))
        self._scores[entity] = array("Q", kept)

    def _make_room(self, now: int) -> None:
        """Forgets who has no score any more, and otherwise those with the lowest: made-up names push out no real
        ones."""
        scores = {entity: self.score(entity, now) for entity in self._scores}
        gone = [entity for entity, score in scores.items() if not score]
        if not gone:
            gone = sorted(scores, key=lambda entity: scores[entity])[: 1 + len(scores) // _FORGET_SHARE]
            self.evicted += len(gone)
        for entity in gone:
            del self._scores[entity]

    # --- State ---------------------------------------------------------------------------------------

    def state(self, now: int) -> list[list[object]]:
        """Everything that is not over, for `restore`."""
        since = now - self._window
        found = (
            (entity, [each for each in packed if each >> _BITS > since])
            for entity, packed in self._scores.items()
        )
        return [[*entity, kept] for entity, kept in found if kept]

    def restore(self, state: Iterable[Sequence[object]]) -> None:
        """Takes up a state. Raises `ValueError` or `TypeError` for what is none."""
        for kind, host, name, packed in state:
            if not isinstance(packed, list):
                raise TypeError("an entity without scores")
            self._scores[str(kind), str(host), str(name)] = array("Q", packed[-MAX_SCORES:])
        while len(self._scores) > self._max_entities:
            del self._scores[next(iter(self._scores))]
            self.evicted += 1
