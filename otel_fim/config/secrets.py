"""What nobody should read in a terminal, a log or a ticket."""

from __future__ import annotations

import re
from typing import Any, Final

REDACTED: Final = "[REDACTED]"
"""What stands in place of a secret; the collector's word."""

_PYDANTIC_MASK: Final = "*" * 10  # what pydantic.SecretStr makes of itself
# A component of another package may keep a secret in plain text; its key gives it away.
_SECRET_KEY: Final = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|token|api_?key|private_key)$", re.I
)
_HEADERS: Final = "headers"
_USER_INFO: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+@")


def mask(value: Any, key: str = "") -> Any:
    """A copy of the tree with every secret replaced: `SecretStr` values (already asterisks), every value below
    `headers`, texts whose key says what they are, and passwords in URLs. Empty texts stay: nothing is hidden.
    """
    if isinstance(value, dict):
        if key == _HEADERS:
            return {name: REDACTED if item else item for name, item in value.items()}
        return {name: mask(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [mask(item, key) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if value == _PYDANTIC_MASK or _SECRET_KEY.search(key):
        return REDACTED
    return _USER_INFO.sub(rf"\1{REDACTED}@", value)
