"""Makes any text safe to show in one line of a terminal, reversibly.

File names are chosen by whoever makes the file. What could move the cursor, end the line, turn the reading
direction or not be seen at all is shown as a backslash escape; a backslash is doubled, so that no name can
look like the escape of another.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Everything in ASCII that needs no second look; most text ends here.
_HARMLESS: Final = re.compile(r"[ -\[\]-~]*")
# Letters, marks, numbers, punctuation and symbols are shown. Not shown: controls (Cc), format characters such
# as bidirectional overrides and zero-width joiners (Cf), surrogates (Cs), private use and unassigned code
# points (Co, Cn), separators other than the space (Zl, Zp, Zs).
_SHOWN_CATEGORIES: Final = ("L", "M", "N", "P", "S")
_NEEDS_QUOTES: Final = re.compile(r"[\s\"'(),@]|->|→")
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u034f\u180b\u180c\u180d\u2800")
_SURROGATE_ESCAPE: Final = range(0xDC80, 0xDD00)


def escape(text: str) -> str:
    r"""`text` with `\n`, `\t`, `\xNN`, `\uNNNN` or `\UNNNNNNNN` for what must not reach a terminal.

    A lone surrogate that stands for a byte (PEP 383) is shown as that byte.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return "".join(map(_escape_character, text))


def quoted(text: str) -> str:
    """`escape`, in double quotes where the text could be mistaken for the words around it."""
    shown = escape(text)
    if shown and not _NEEDS_QUOTES.search(shown):
        return shown
    return '"' + shown.replace('"', '\\"') + '"'


_NAMED: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape_character(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    if character == " " or (
        unicodedata.category(character)[0] in _SHOWN_CATEGORIES and character not in _BLANK_LETTERS
        and not "\ufe00" <= character <= "\ufe0f" and not "\U000e0100" <= character <= "\U000e01ef"
    ):  # fmt: skip
        return character
    code = ord(character)
    if code in _SURROGATE_ESCAPE:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
