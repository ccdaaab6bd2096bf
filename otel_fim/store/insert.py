"""Where an INSERT ends and its data begins.

ClickHouse's grammar (src/Parsers/ParserInsertQuery.cpp): `INSERT INTO [TABLE] name [(columns)] [SETTINGS …]`
and then either `VALUES` with the data right behind it, or `FORMAT name`, where spaces and tabs and at most
one line end belong to the statement and the rest is data, byte for byte. An `INSERT … SELECT … FROM
input('structure') … FORMAT name` has data as well, which the SELECT reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from otel_fim.store.errors import ACCESS_DENIED, NOT_IMPLEMENTED, StoreError
from otel_fim.store.sql import Kind, Token, tokens, unquote

_BLANK: Final = re.compile(rb"[ \t\f\v]*+")
# A cheap look at the first word, so that a SELECT is not lexed here at all.
_LEADING_INSERT: Final = re.compile(
    rb"(?:\s++|--[^\n]*+(?:\n|$)|\#[ !][^\n]*+(?:\n|$)|/\*.*?\*/|;)*+(?i:INSERT)\b", re.DOTALL
)


INPUT_TABLE: Final = "_otel_fim_input"
"""The temporary table that stands in for `input()`, which chDB cannot feed."""


@dataclass(slots=True, frozen=True)
class Insert:
    """An INSERT whose data follows.

    `statement` is its text without FORMAT or VALUES, `data_offset` where the data begins. With `structure`
    (what `input()` was given) the data are rows of that structure, and `statement` selects them from the table
    `INPUT_TABLE`.
    """

    statement: bytes
    format: str
    data_offset: int
    structure: bytes | None = None


class NeedMoreError(Exception):
    """The text ends before it is clear where the data begins."""


def split_insert(text: bytes, *, complete: bool) -> Insert | None:
    """The INSERT at the head of `text`, or None when `text` is no INSERT that carries data.

    `complete` says that nothing follows `text`. Raises `NeedMoreError` when more must be read (only if not
    complete), and `StoreError` for `INSERT INTO FUNCTION` and `FROM INFILE`, which would write to and read
    from places outside the store.
    """
    head = _LEADING_INSERT.match(text)
    if head is None:
        if not complete and not any(token.value != b";" for token in _certain(text, complete=False)):
            raise NeedMoreError  # nothing but comments so far
        return None
    rest = text[head.end() :]
    start = head.end() - len(b"INSERT")
    found = _scan(rest, complete=complete)
    if found is None:
        return _with_input(text, start, complete=complete)
    keyword, name = found
    statement = text[start : head.end() + keyword.start]
    if name is None:
        return Insert(statement, "Values", head.end() + keyword.end)
    offset = _after_format(text, head.end() + name.end, complete=complete)
    return Insert(statement, name.value.decode("utf-8", "replace"), offset)


def _scan(rest: bytes, *, complete: bool) -> tuple[Token, Token | None] | None:
    """The VALUES token, or the FORMAT token and the name behind it; None for an INSERT … SELECT."""
    stream = _top_level(rest, complete=complete)
    token = next(stream, None)
    if token is not None and token.keyword() == "INTO":
        token = next(stream, None)
    if token is not None and token.keyword() in {"TABLE", "FUNCTION"}:
        # Either word may also be the table's own name; then no name follows.
        following = next(stream, None)
        if following is not None and _is_name(following) and following.keyword() not in {"VALUES", "FORMAT"}:
            if token.keyword() == "FUNCTION":
                raise StoreError(
                    NOT_IMPLEMENTED, "INSERT INTO FUNCTION is not available in the embedded store"
                )
            token = next(stream, None)
        else:
            token = following
    else:
        token = next(stream, None)
    while token is not None:
        word = token.keyword()
        following = next(stream, None)
        if token.value == b".":
            token = next(stream, None)  # past the table's name behind its database's
            continue
        if word == "VALUES":
            return token, None
        if word in {"SELECT", "WITH", "WATCH", "EXPLAIN"} or (
            token.kind is Kind.OPEN
            and _first_keyword(rest[token.end : token.end + 4096]) in {"SELECT", "WITH"}
        ):
            return None
        if word == "INFILE":
            raise StoreError(ACCESS_DENIED, "FROM INFILE is not available in the embedded store")
        if word == "FORMAT" and following is not None and _is_name(following):
            return token, following
        token = following
    if not complete:
        raise NeedMoreError
    return None


def _with_input(text: bytes, start: int, *, complete: bool) -> Insert | None:
    """The INSERT … SELECT … FROM input('…') … FORMAT name at `start`, or None for one without `input()`."""
    statement = bytearray()
    structure: bytes | None = None
    copied = start
    before: list[Token] = []
    for token in _certain(text[start:], complete=complete):
        if token.kind is Kind.CLOSE and [t.kind for t in before] == [Kind.WORD, Kind.OPEN, Kind.STRING]:
            call, _, literal = before
            if call.keyword() == "INPUT" and structure is None:
                structure = unquote(literal.value)
                statement += text[copied : start + call.start] + INPUT_TABLE.encode()
                copied = start + token.end
        if before and before[-1].keyword() == "FORMAT" and _is_name(token) and token.depth == 0:
            if structure is None:
                return None
            statement += text[copied : start + before[-1].start]
            offset = _after_format(text, start + token.end, complete=complete)
            return Insert(bytes(statement), token.value.decode("utf-8", "replace"), offset, structure)
        before = [*before[-2:], token]
    if not complete:
        raise NeedMoreError
    return None


def _certain(text: bytes, *, complete: bool) -> Iterator[Token]:
    """The tokens of `text` as far as they do not depend on what follows it."""
    for token in tokens(text):
        unclosed = token.kind is Kind.OTHER and (
            token.value in {b"'", b'"', b"`"} or text.startswith(b"/*", token.start)
        )
        if not complete and (unclosed or token.end == len(text)):
            raise NeedMoreError
        if unclosed:
            return
        yield token


def _top_level(rest: bytes, *, complete: bool) -> Iterator[Token]:
    """The tokens outside of brackets, read no further than asked for: behind them is data, of any size."""
    for token in _certain(rest, complete=complete):
        if token.depth == 0:
            yield token


def _first_keyword(text: bytes) -> str:
    for token in tokens(text):
        if token.kind is not Kind.OPEN:
            return token.keyword()
    return ""


def _is_name(token: Token) -> bool:
    return token.kind in {Kind.WORD, Kind.QUOTED}


def _after_format(text: bytes, offset: int, *, complete: bool) -> int:
    """Past the blanks and the one line end that still belong to the statement."""
    blank = _BLANK.match(text, offset)
    if blank is not None:
        offset = blank.end()
    if offset == len(text) or (text[offset:] == b"\r"):
        if not complete:
            raise NeedMoreError
        return len(text)
    if text[offset : offset + 1] == b"\r":
        offset += 1
    if text[offset : offset + 1] == b"\n":
        offset += 1
    return offset
