"""A lexer for ClickHouse's SQL, and what the store must know of a text before the engine sees it.

The engine's own parser does the parsing. Two things it cannot be asked: where in a request's bytes an INSERT
ends and its data begins, and which words of a statement are functions. Tokens follow ClickHouse's lexer
(src/Parsers/Lexer.cpp): `--`, `# ` and `#!` comments to the end of the line, `/* */`, single-quoted strings
with backslashes or doubled quotes, double-quoted and back-quoted identifiers, heredocs `$tag$…$tag$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a token is. Comments and space are not tokens."""

    WORD = auto()
    QUOTED = auto()
    """An identifier in double quotes or back quotes."""
    STRING = auto()
    OPEN = auto()
    CLOSE = auto()
    OTHER = auto()


@dataclass(slots=True, frozen=True)
class Token:
    """One token; `depth` counts the brackets around it. `value` is the identifier for WORD and QUOTED."""

    kind: Kind
    value: bytes
    start: int
    end: int
    depth: int

    def keyword(self) -> str:
        """The token as a keyword: upper case, empty for anything but an unquoted word."""
        return self.value.decode("ascii", "replace").upper() if self.kind is Kind.WORD else ""


_TOKEN: Final = re.compile(
    rb"""
      (?P<skip> \s++ | --[^\n]*+ | \#[\ !][^\n]*+ | /\*.*?\*/ | \xc2\xa0 | \xef\xbb\xbf )
    | (?P<string> '(?:[^'\\]++|\\.|'')*+' | \$(?P<tag>\w*+)\$.*?\$(?P=tag)\$ | \xe2\x80\x98.*?\xe2\x80\x99 )
    | (?P<quoted> "(?:[^"\\]++|\\.|"")*+" | `(?:[^`\\]++|\\.|``)*+` | \xe2\x80\x9c.*?\xe2\x80\x9d )
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]*+ )
    | (?P<number> [0-9][A-Za-z0-9_.]*+ )
    | (?P<open> [(\[{] ) | (?P<close> [)\]}] )
    | (?P<other> . )
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPE: Final = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\(.)|(``|\"\"|'')", re.DOTALL)
_ESCAPED_BYTES: Final = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"0": b"\0", b"b": b"\b", b"f": b"\f"}


def unquote(quoted: bytes) -> bytes:
    """What a quoted identifier names, or a string in single quotes says."""
    inner = quoted[3:-3] if quoted[:1] == b"\xe2" else quoted[1:-1]

    def replace(match: re.Match[bytes]) -> bytes:
        if match[1] is not None:
            return bytes([int(match[1], 16)])
        if match[2] is not None:
            return _ESCAPED_BYTES.get(match[2], match[2])
        return match[3][:1]

    return _ESCAPE.sub(replace, inner)


def tokens(text: bytes) -> Iterator[Token]:
    """The tokens of `text`. Never fails: an unclosed quote is an OTHER token of one byte."""
    depth = 0
    for match in _TOKEN.finditer(text):
        group = match.lastgroup
        if group == "skip":
            continue
        kind, value = Kind.OTHER, match[0]
        if group == "word":
            kind = Kind.WORD
        elif group in {"string", "tag"}:
            kind = Kind.STRING
        elif group == "quoted":
            kind, value = Kind.QUOTED, unquote(value)
        elif group == "open":
            kind = Kind.OPEN
        elif group == "close":
            kind = Kind.CLOSE
            depth = max(0, depth - 1)
        yield Token(kind, value, match.start(), match.end(), depth)
        if kind is Kind.OPEN:
            depth += 1


def called_names(text: bytes) -> set[str]:
    """Names followed by `(`, and what `ENGINE =` names, in lower case: every function, table function, table
    engine, dictionary source and disk that the text can call."""
    found: set[str] = set()
    before: list[Token] = []
    for token in tokens(text):
        if token.kind is Kind.OPEN and token.value == b"(" and before:
            _add(found, before[-1])
        elif len(before) == 2 and before[1].value == b"=" and before[0].keyword() == "ENGINE":
            _add(found, token)
        before = [*before[-1:], token]
    return found


def _add(names: set[str], token: Token) -> None:
    if token.kind in {Kind.WORD, Kind.QUOTED}:
        names.add(token.value.decode("utf-8", "replace").lower())


_CANONICAL: Final = re.compile(
    rb"""
      ' (?: [^'\\]++ | \\. | '' )*+ '
    | (?: ( ` (?: [^`\\]++ | \\. | `` )*+ ` ) | ( [A-Za-z_][A-Za-z0-9_$]*+ ) ) \s*+ ( \( )?
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(slots=True, frozen=True)
class Canonical:
    """What is to be known of a statement in the engine's own canonical form (`formatQuery`).

    `called` are the names that are followed by `(` or named by `ENGINE =`, in lower case: every function, table
    function, table engine, dictionary source and disk. `words` are the words outside of quotes, in upper case.
    `first` are the first four of them. `format` is what the last FORMAT names. `files` says whether there is an
    INTO OUTFILE or a FROM INFILE.
    """

    called: frozenset[str]
    words: frozenset[str]
    first: tuple[str, ...]
    format: str | None
    files: bool


def read_canonical(text: bytes) -> Canonical:
    """Look through a canonical statement: no comments in it, strings in single quotes, names in back quotes.

    Made for long ones: numbers and punctuation never reach Python.
    """
    called: set[str] = set()
    words: set[str] = set()
    first: list[str] = []
    named: str | None = None
    files = False
    before = ""
    for quoted, word, bracket in _CANONICAL.findall(text):
        name = (unquote(quoted) if quoted else word).decode("utf-8", "replace")
        if not name:
            before = ""
            continue
        if bracket or before == "ENGINE":
            called.add(name.lower())
        if before == "FORMAT":
            named = name
        upper = "" if quoted else name.upper()
        files |= (before, upper) in {("INTO", "OUTFILE"), ("FROM", "INFILE")}
        before = upper
        if before:
            words.add(before)
            if len(first) < 4:
                first.append(before)
    return Canonical(frozenset(called), frozenset(words), tuple(first), named, files)
