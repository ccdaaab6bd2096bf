"""ULIDs: ids that sort by the time at which they were made (https://github.com/ulid/spec)."""

from __future__ import annotations

import os
import time
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]


def new_ulid(unix_nano: int | None = None) -> str:
    """26 characters of Crockford's base 32: 48 bits of milliseconds since 1970, 80 random bits."""
    milliseconds = (time.time_ns() if unix_nano is None else max(0, unix_nano)) // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])
