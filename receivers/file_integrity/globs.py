"""Shell patterns over file names that are bytes, compiled once to regular expressions.

A pattern without a slash is matched against a name, one with a slash against a full path. `*` and `?` stop at
slashes, `**` between slashes crosses directories (`/a/**/b` also matches `/a/b`), `[a-z]` and `[!a-z]` are
sets, a backslash takes the next character literally. A pattern with a slash that does not begin with one may
match anywhere in the path, as if `**/` stood before it; a slash at the end is ignored; `~/` is the home directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# One character that is not a slash: a UTF-8 sequence, or a single byte where the name is not UTF-8.
_CHARACTER: Final = rb"(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[^/])"
_WILD: Final = frozenset(b"*?[\\")


class PatternError(ValueError):
    """A pattern cannot be understood; the message quotes it and says why."""


def is_path_pattern(pattern: str) -> bool:
    """Whether the pattern is matched against full paths rather than names."""
    return "/" in pattern.rstrip("/") or pattern.startswith("/")


def translate(pattern: str) -> bytes:
    """The regular expression (for `fullmatch` on bytes) of a pattern. Raises `PatternError`."""
    if not pattern.strip("/") and pattern != "/":
        raise PatternError(f"{pattern!r} matches nothing; write a name such as '*.tmp' or a path")
    text = pattern.rstrip("/") or "/"
    if text.startswith("~/"):
        text = os.path.expanduser("~").rstrip("/") + text[1:]
    if not is_path_pattern(text):
        return _component(text, pattern)
    if not text.startswith("/"):
        text = "/**/" + text
    parts = text[1:].split("/") if text != "/" else []
    expression = b""
    for index, part in enumerate(parts):
        if part == "**":
            if index == len(parts) - 1:
                # Everything below, at whatever depth, but not the directory itself.
                expression += rb"/.+"
            else:
                expression += rb"(?:/[^/]+)*"
        else:
            expression += b"/" + _component(part, pattern)
    return expression or b"/"


def _component(part: str, pattern: str) -> bytes:
    result = b""
    position = 0
    while position < len(part):
        character = part[position]
        position += 1
        if character == "*":
            if not result.endswith(b"[^/]*"):
                result += b"[^/]*"
        elif character == "?":
            result += _CHARACTER
        elif character == "[":
            end = _set_end(part, position)
            if end < 0:
                result += rb"\["
            else:
                result += _set(part[position:end], pattern)
                position = end + 1
        elif character == "\\" and position < len(part):
            result += re.escape(os.fsencode(part[position]))
            position += 1
        else:
            result += re.escape(os.fsencode(character))
    return result


def _set_end(part: str, start: int) -> int:
    """Where the set that begins after `start` ends, or -1: then the bracket is a plain character."""
    position = start
    if position < len(part) and part[position] in "!^":
        position += 1
    if position < len(part) and part[position] == "]":
        position += 1
    return part.find("]", position)


def _set(content: str, pattern: str) -> bytes:
    negated = content[0] in "!^"
    members = content[1:] if negated else content
    singles: list[bytes] = []
    ranges = b""
    position = 0
    while position < len(members):
        character = members[position]
        if position + 2 < len(members) and members[position + 1] == "-":
            last = members[position + 2]
            if not (character.isascii() and last.isascii()):
                raise PatternError(
                    f"{pattern!r}: the range {character}-{last} is not ASCII; list the characters"
                )
            if character > last:
                raise PatternError(f"{pattern!r}: the range {character}-{last} is empty; turn it round")
            ranges += re.escape(character.encode()) + b"-" + re.escape(last.encode())
            position += 3
            continue
        if character.isascii():
            ranges += re.escape(character.encode())
        else:
            singles.append(re.escape(os.fsencode(character)))
        position += 1
    if ranges:
        singles.append(b"[" + ranges + b"]")
    either = b"(?:" + b"|".join(singles) + b")"
    return b"(?!/)" + (b"(?!" + either + b")" + _CHARACTER if negated else either)


@dataclass(slots=True, frozen=True)
class PatternSet:
    """Several patterns as one: names that are plain text are looked up, the rest is one expression each for
    names and for paths."""

    names: frozenset[bytes]
    name_expression: re.Pattern[bytes] | None
    path_expression: re.Pattern[bytes] | None

    @classmethod
    def compile(cls, patterns: Sequence[str]) -> PatternSet:
        """Raises `PatternError` for the first pattern that cannot be understood."""
        plain: set[bytes] = set()
        names: list[bytes] = []
        paths: list[bytes] = []
        for pattern in patterns:
            expression = translate(pattern)
            if is_path_pattern(pattern):
                paths.append(expression)
            elif _WILD.isdisjoint(os.fsencode(pattern)):
                plain.add(os.fsencode(pattern.rstrip("/")))
            else:
                names.append(expression)
        return cls(frozenset(plain), _either(names), _either(paths))

    def __bool__(self) -> bool:
        return bool(self.names or self.name_expression or self.path_expression)

    def matches_name(self, name: bytes) -> bool:
        """Whether one of the name patterns matches `name`, a single component."""
        return name in self.names or (
            self.name_expression is not None and self.name_expression.fullmatch(name) is not None
        )

    def matches_path(self, path: bytes) -> bool:
        """Whether one of the path patterns matches `path`, absolute."""
        return self.path_expression is not None and self.path_expression.fullmatch(path) is not None

    def matches(self, path: bytes, name: bytes) -> bool:
        """Whether any pattern matches the path or its last component `name`."""
        return self.matches_name(name) or self.matches_path(path)


def _either(expressions: list[bytes]) -> re.Pattern[bytes] | None:
    if not expressions:
        return None
    # DOTALL: a file name may hold a newline.
    return re.compile(b"|".join(b"(?:" + e + b")" for e in expressions), re.DOTALL)
