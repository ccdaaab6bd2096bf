"""Names and lines as text, and hashes of them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

# Control characters, those that reorder or hide text on a terminal, the no-break space, which passes for a plain one,
# and the backslash that escapes them.
_UNSAFE: Final = re.compile(
    "[\\\\\x00-\x1f\x7f-\xa0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def text_of(name: bytes) -> str:
    """The bytes as text; a byte that is not UTF-8 becomes `\\xNN`."""
    return name.decode("utf-8", "backslashreplace")


def is_utf8(name: bytes) -> bool:
    """Whether `text_of` loses nothing."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def display(text: str) -> str:
    """The text for a person's eyes, on one line: what could move a cursor, forge a line or turn the reading
    direction is escaped."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\"}.get(character)
    if short is not None:
        return short
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def digest(content: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(content).hexdigest()
