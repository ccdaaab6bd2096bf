"""Lists of patterns, compiled once."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterator, Sequence


class Patterns:
    """`*`, `?` and `[…]` over the whole text; any pattern will do, and so does the very text. Without patterns
    everything fits."""

    def __init__(self, patterns: Sequence[str], *, ignore_case: bool = False) -> None:
        flags = re.IGNORECASE if ignore_case else 0
        # The text itself too: in a title that was copied, brackets are brackets.
        self._compiled = [
            re.compile(expression, flags) for pattern in patterns for expression in _expressions(pattern)
        ]

    def fit(self, *values: str) -> bool:
        """Whether one of the values fits; an empty one is no value."""
        return not self._compiled or any(
            pattern.match(value) is not None for value in values if value for pattern in self._compiled
        )


def _expressions(pattern: str) -> Iterator[str]:
    yield fnmatch.translate(pattern)
    if "[" in pattern:
        yield re.escape(pattern) + r"\Z"


class Sources:
    """Addresses, networks and patterns of either. Without any everything fits."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._networks = []
        others = []
        for pattern in patterns:
            try:
                self._networks.append(ipaddress.ip_network(pattern, strict=False))
            except ValueError:
                others.append(pattern)
        self._patterns = Patterns(others)
        self._has_patterns = bool(others)

    def fit(self, value: str) -> bool:
        if not self._networks and not self._has_patterns:
            return True
        if not value:
            return False
        if self._has_patterns and self._patterns.fit(value):
            return True
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any(address in network or (mapped or address) in network for network in self._networks)
