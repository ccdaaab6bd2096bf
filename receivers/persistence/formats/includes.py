"""Which files a path pattern names, through the reader: for `Include` lines."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from otel_fim.receivers.persistence.kind import matches
from otel_fim.receivers.persistence.reader import Reader

_MOST: Final = 1_000
_WILD: Final = (b"*", b"?", b"[")


def expand(pattern: bytes, reader: Reader) -> Iterator[bytes]:
    """The paths that an absolute shell pattern matches, in order, at most 1,000; a plain path as it is."""
    if not any(mark in pattern for mark in _WILD):
        yield posixpath.normpath(pattern)
        return
    found = [b"/"]
    for part in posixpath.normpath(pattern).split(b"/"):
        if not part:
            continue
        if not any(mark in part for mark in _WILD):
            found = [posixpath.join(where, part) for where in found]
            continue
        found = [
            entry.path
            for where in found
            for entry in reader.entries(where)
            if matches(entry.name, part) and (part[:1] == b"." or entry.name[:1] != b".")
        ][:_MOST]
    yield from found
