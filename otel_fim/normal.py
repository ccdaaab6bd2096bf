"""The form of a path in which runs of the same thing look the same: numbers and random ids taken out.

`/usr/lib/postgresql/15/bin/postgres` and `.../16/...` are one program to somebody who asks what is new here, and a
thousand `/tmp/build-8f3a2c91/a.out` are one place to somebody who counts.
"""

from __future__ import annotations

import re
from typing import Final

MAX_CHARACTERS: Final = 4096
"""Longer paths are cut: PATH_MAX, which no path that was opened exceeds."""
_VARYING: Final = re.compile(
    # A UUID, whose short parts look like words.
    r"(?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])"
    # A hexadecimal id of eight characters or more, one of them a number; never the middle of a word.
    r"|(?<![0-9A-Za-z])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{8,}(?![0-9A-Za-z])"
    # What mkstemp and its like made of a template with a dot or a dash before it: tmp.Xk2fQz81Lm.
    r"|(?<=tmp[.\-_])[0-9A-Za-z_]{6,}|(?<=/tmp)[0-9a-z_]{8}(?![^/])"
    r"|[0-9]+"
)


def normal_path(path: str) -> str:
    """The path with each number as `0`, and each hexadecimal id and random part of a temporary name as `0` too.

    Words are left alone: what is named by letters only stays what it is. The form is for comparing, not for showing.
    """
    return _VARYING.sub("0", path[:MAX_CHARACTERS])
