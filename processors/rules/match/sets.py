"""Many RE2 expressions that are looked for in one pass."""

from __future__ import annotations

from typing import Final

import re2

_LEAST_BYTES: Final = 512 << 10
_BYTES_PER_CHARACTER: Final = 800
_MOST_BYTES: Final = 512 << 20
"""What a set may take for itself and for what it learns from the texts that it sees. With this much it holds
nearly all that literals need; with less it learns the same again and again, and takes three times as long."""


class Sets:
    """Makes sets, each once: events that are much alike share theirs."""

    def __init__(self) -> None:
        self._made: dict[tuple[bytes, ...], re2.Set | None] = {}

    def of(self, patterns: tuple[bytes, ...]) -> re2.Set | None:
        """A set whose `Match` gives numbers in this order; None when RE2 cannot hold that much."""
        if patterns not in self._made:
            self._made[patterns] = _make(patterns)
        return self._made[patterns]


def _make(patterns: tuple[bytes, ...]) -> re2.Set | None:
    memory = _LEAST_BYTES + sum(map(len, patterns)) * _BYTES_PER_CHARACTER
    while memory <= _MOST_BYTES:
        options = re2.Options()
        options.never_capture = True
        options.log_errors = False
        options.max_mem = memory
        made = re2.Set.SearchSet(options)
        try:
            for pattern in patterns:
                made.Add(pattern)
            made.Compile()
        except re2.error:
            memory *= 4
        else:
            return made
    return None
