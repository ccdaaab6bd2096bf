"""How the bytes of a log become frames: lines, or records of one size."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

WINDOW_BYTES: Final = 65_536
"""Read at a time."""
LONGEST_LINE: Final = 32_768
"""rsyslog cuts messages at 8 KiB, sudo splits its own; what is longer is cut here and counted."""
REJECTED_LONG: Final = "line_too_long"
REJECTED_UNTERMINATED: Final = "unterminated"


@dataclass(slots=True, frozen=True)
class Frames:
    """What was found at the beginning of some bytes.

    `frames` are offsets within those bytes and contents; `consumed` is how many bytes are dealt with, the rest has
    to be looked at again when there is more. `skipping`: the rest of a line that is too long is still to be skipped.
    `cut` counts the lines of which only the beginning is in `frames`.
    """

    frames: list[tuple[int, bytes]]
    consumed: int
    skipping: bool = False
    cut: int = 0


Split: TypeAlias = Callable[[bytes, bool], Frames]
"""`split(data, skipping)`; must consume something of any `WINDOW_BYTES`."""


@dataclass(slots=True, frozen=True)
class Framing:
    """`end(descriptor, size)` is where in a file of this size the next frame to be written whole begins."""

    split: Split
    end: Callable[[int, int], int]


def split_lines(data: bytes, skipping: bool) -> Frames:
    """Lines without their newline, empty ones left out. Of one longer than `LONGEST_LINE` the beginning is given."""
    frames: list[tuple[int, bytes]] = []
    cut = at = 0
    while (end := data.find(b"\n", at)) >= 0:
        if skipping:
            skipping = False
        elif end - at > LONGEST_LINE:
            frames.append((at, data[at : at + LONGEST_LINE]))
            cut += 1
        elif end > at:
            frames.append((at, data[at:end]))
        at = end + 1
    if skipping:
        return Frames(frames, len(data), True, cut)
    if len(data) - at > LONGEST_LINE:
        frames.append((at, data[at : at + LONGEST_LINE]))
        return Frames(frames, len(data), True, cut + 1)
    return Frames(frames, at, False, cut)


def _end_of_lines(descriptor: int, size: int) -> int:
    start = max(0, size - LONGEST_LINE)
    newline = os.pread(descriptor, size - start, start).rfind(b"\n")
    return start + newline + 1 if newline >= 0 or start == 0 else size


LINES: Final = Framing(split_lines, _end_of_lines)


def records(size: int) -> Framing:
    """Records of `size` bytes, one behind the other from the file's beginning."""

    def split(data: bytes, skipping: bool) -> Frames:
        del skipping
        end = len(data) - len(data) % size
        return Frames([(at, data[at : at + size]) for at in range(0, end, size)], end)

    return Framing(split, lambda _, length: length - length % size)
