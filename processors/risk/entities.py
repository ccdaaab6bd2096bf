"""Scores of users, hosts and programs, from the scores of their findings.

The formula is Elastic's (Elastic Security documentation, "Entity risk scoring"; Kibana's RIEMANN_ZETA_VALUE): scores
sorted from the highest, Σ sᵢ / i^1.5 ÷ 2.5924. 2.5924 is the sum of 1 / i^1.5 over the 10 000 findings that Elastic
takes at most, so that a hundred is what as many findings of a hundred make.
"""

from __future__ import annotations

from array import array
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import mul
from typing import Final, TypeAlias

EXPONENT: Final[float] = 1.5
NORMALIZER: Final = 2.5924
MAX_SCORES: Final = 256
"""Of each entity; the 257th highest would add less than 0.01."""
_WEIGHTS: Final[list[float]] = [1 / place**EXPONENT / NORMALIZER for place in range(1, MAX_SCORES + 1)]
_BITS: Final = 40
_SECOND: Final = (1 << _BITS) - 1
_FORGET_SHARE: Final = 16
_LONGEST_NAME: Final = 128

Entity: TypeAlias = tuple[str, str, str]
"""user, host or executable; the host; its name (empty for the host itself)."""


def entity_of(kind: str, host: str, name: str = "") -> Entity:
    """Of long names, which are made to fill memory, a part and a hash are kept."""
    return kind, _short(host), _short(name)


def _short(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    return name[: _LONGEST_NAME // 2] + blake2b(name.encode("utf-8", "replace"), digest_size=16).hexdigest()


def entity_score(scores: Iterable[int]) -> float:
    """0 to 100, with two decimals."""
    return _weighted(sorted(scores, reverse=True))


def _weighted(highest_first: Iterable[int]) -> float:
    total: float = sum(map(mul, highest_first, _WEIGHTS))
    return round(min(total, 100.0), 2)


class _Scores:
    """The scores of one entity, the lowest first, and of equals the oldest: eight bytes each, the score above forty
    bits of its second."""

    __slots__ = ("oldest", "packed")

    def __init__(self, packed: Iterable[int] = ()) -> None:
        self.packed: array[int] = array("Q")
        self.oldest = _SECOND
        self._set(packed)

    def _set(self, packed: Iterable[int]) -> None:
        self.packed = array("Q", sorted(packed)[-MAX_SCORES:])
        self.oldest = min((each & _SECOND for each in self.packed), default=_SECOND)

    def add(self, score: int, now: int) -> None:
        insort(self.packed, score << _BITS | now)
        self.oldest = min(self.oldest, now)
        if len(self.packed) > MAX_SCORES:
            del self.packed[0]

    def keep(self, since: float) -> None:
        """Takes out what is not later than that."""
        if self.oldest <= since:
            self._set([each for each in self.packed if each & _SECOND > since])

    def score(self) -> float:
        return _weighted([each >> _BITS for each in reversed(self.packed)])


class EntityScores:
    """The scores of the last `window` seconds, for at most `max_entities`. Times are seconds that never go back."""

    def __init__(self, window: float, max_entities: int) -> None:
        self._window = window
        self._max_entities = max_entities
        self._scores: dict[Entity, _Scores] = {}
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
            known = self._scores[entity] = _Scores()
        known.keep(now - self._window)
        known.add(score, now)

    def score(self, entity: Entity, now: int) -> float:
        """The entity's score; 0 for one that is not known."""
        known = self._scores.get(entity)
        if known is None:
            return 0.0
        known.keep(now - self._window)
        return known.score()

    def _make_room(self, now: int) -> None:
        """Forgets who has no score any more, and those with the lowest: made-up names push out no real ones. Several
        at a time, because looking at all takes time."""
        self._forget(
            1 + len(self._scores) // _FORGET_SHARE, {each: self.score(each, now) for each in self._scores}
        )

    def _forget(self, count: int, scores: Mapping[Entity, float]) -> None:
        for entity in sorted(scores, key=lambda each: scores[each])[:count]:
            self.evicted += scores[entity] > 0
            del self._scores[entity]

    # --- State ---------------------------------------------------------------------------------------

    def state(self, now: int) -> list[list[object]]:
        """Everything that is not over, for `restore`."""
        for known in self._scores.values():
            known.keep(now - self._window)
        return [[*entity, known.packed.tolist()] for entity, known in self._scores.items() if known.packed]

    def restore(self, state: Iterable[Sequence[object]]) -> None:
        """Takes up a state. Raises `ValueError`, `TypeError` or `OverflowError` for what is none."""
        for kind, host, name, packed in state:
            if not isinstance(packed, list):
                raise TypeError("an entity without scores")
            self._scores[str(kind), str(host), str(name)] = _Scores(packed)
        excess = len(self._scores) - self._max_entities
        if excess > 0:
            self._forget(excess, {entity: known.score() for entity, known in self._scores.items()})
