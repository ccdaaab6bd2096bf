"""Texts that come again and again are kept once."""

from __future__ import annotations

from typing import Final

_MOST: Final = 10_000
_LONGEST: Final = 128

_known: dict[str, str] = {}


def shared(text: str) -> str:
    """The same text, the one object of it that others hold as well where it is short and was seen lately.

    `sys.intern` would do, but in Python 3.12 before 3.12.5 what it is given is never freed.
    """
    known = _known.get(text)
    if known is not None:
        return known
    if len(text) <= _LONGEST:
        if len(_known) >= _MOST:
            _known.clear()
        _known[text] = text
    return text
