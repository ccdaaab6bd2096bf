"""Ids of records (ULIDs, https://github.com/ulid/spec): 48 bits of milliseconds since 1970, 80 others, in 26 characters
of Crockford's base 32."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS: Final = 80
_LAST: Final = (1 << 128) - 1
_MILLISECOND: Final = 1_000_000


def new_ulid(unix_nano: int) -> str:
    """One of that moment; others of the same millisecond come before or after it."""
    return _encode(max(0, unix_nano) // _MILLISECOND << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big"))


class Uids:
    """Gives ULIDs, each greater than the one before, also when the clock is set back. For one thread.

    Within a millisecond they count on from a random number, as the specification's monotonic generators do.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> str:
        """The next one, of now."""
        milliseconds = max(0, self._clock()) // _MILLISECOND
        if milliseconds > self._last >> _RANDOM_BITS:
            # The highest bit is left for counting, as the numbers must not run out within the millisecond.
            self._last = milliseconds << _RANDOM_BITS | int.from_bytes(os.urandom(10), "big") >> 1
        else:
            self._last += 1
        return _encode(self._last)


def _encode(value: int) -> str:
    value = min(value, _LAST)
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
