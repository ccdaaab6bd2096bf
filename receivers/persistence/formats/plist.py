"""Property lists, XML and binary, through plistlib: what hostile ones can raise is one error here."""

from __future__ import annotations

import plistlib
import re
from typing import Any, Final

_MOST_BYTES: Final = 4 << 20
_DEEPEST: Final = 200
# Apple's own DOCTYPE is in every XML property list; one with an internal subset (entities) is refused.
_SUBSET: Final = re.compile(rb"<!DOCTYPE[^<>\[]*\[|<!ENTITY", re.IGNORECASE)
_OPENING: Final = re.compile(rb"<(/?)(?:dict|array)\b", re.IGNORECASE)


class RefusedPlistError(ValueError):
    """It is no property list that would be read."""


def parse_plist(data: bytes) -> dict[str, Any]:
    """The dictionary at the top. Raises `RefusedPlistError` for everything else."""
    if len(data) > _MOST_BYTES:
        raise RefusedPlistError("too large")
    if not data.startswith(b"bplist"):
        # In UTF-16 nothing of this would be found, and Apple's own tools write UTF-8.
        if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data[:64]:
            raise RefusedPlistError("no UTF-8")
        if _SUBSET.search(data):
            raise RefusedPlistError("it declares entities")
        depth = 0
        for match in _OPENING.finditer(data):
            depth += -1 if match[1] else 1
            if depth > _DEEPEST:
                raise RefusedPlistError("too deep")
    try:
        found = plistlib.loads(data)
    except Exception as error:
        # plistlib says of wrong input whatever breaks first: KeyError, IndexError, RecursionError, …
        raise RefusedPlistError(f"{type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise RefusedPlistError("no dictionary at the top")
    return found
