"""Tests of one text as ClickHouse conditions: literals, patterns, expressions, networks; and how texts are folded."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from typing import Final, assert_never

from otel_fim.sigma.ir import Glob, Regex, TextKind, Wildcard
from otel_fim.sigma.sql.layout import SqlError
from otel_fim.sigma.sql.quoting import array, like, listed, literal
from otel_fim.sigma.values import fold, fold_character, is_unicode

_NEEDLES: Final = 200
"""multiSearchAny takes 255 constants."""
_MAPPED: Final = ("::ffff:0.0.0.0", "::ffff:255.255.255.255")


def texts(value: str, kind: TextKind, texts: Sequence[str], cased: bool) -> list[str]:
    """Conditions of which one has to hold."""
    texts = [text for text in texts if is_unicode(text)]
    if not texts:
        return ["0"]
    if cased:
        return _needles(kind, value, texts)
    folded = [fold(text) for text in texts]
    plain = [text for text in folded if text.isascii()]
    conditions = _needles(kind, f"lower({value})", plain) if plain else []
    other = [text for text in folded if not text.isascii()]
    if other:
        conditions += _needles(kind, folded_for(value, "".join(other)), other)
    return conditions


def _needles(kind: TextKind, value: str, texts: Sequence[str]) -> list[str]:
    texts = list(dict.fromkeys(texts))
    if kind is TextKind.EQUALS:
        return [f"{value} = {literal(texts[0])}" if len(texts) == 1 else f"{value} IN {listed(texts)}"]
    if kind is not TextKind.CONTAINS:
        return [compared(kind, value, literal(text)) for text in texts]
    if "" in texts:
        return ["1"]
    if len(texts) == 1:
        return [compared(kind, value, literal(texts[0]))]
    return [
        f"multiSearchAny({value}, {array(texts[start : start + _NEEDLES])})"
        for start in range(0, len(texts), _NEEDLES)
    ]


def compared(kind: TextKind, value: str, other: str) -> str:
    match kind:
        case TextKind.EQUALS:
            return f"{value} = {other}"
        case TextKind.STARTSWITH:
            return f"startsWith({value}, {other})"
        case TextKind.ENDSWITH:
            return f"endsWith({value}, {other})"
        case TextKind.CONTAINS:
            return f"position({value}, {other}) > 0"
    assert_never(kind)


def folded_for(value: str, literals: str) -> str:
    """`value` folded as far as it matters for a comparison with folded `literals`.

    A character of the value counts only if its folded form is one of the literals' characters, so those are the ones
    that are translated. ClickHouse's `lowerUTF8` is not used: what it does depends on the server's version of Unicode
    and on the characters around.
    """
    upper = "".join(sorted(each for character in set(literals) for each in _unfolded().get(character, ())))
    if not upper:
        return f"lower({value})"
    return f"translateUTF8(lower({value}), {literal(upper)}, {literal(''.join(map(fold_character, upper)))})"


def folded_whole(value: str) -> str:
    """`value` folded whatever it holds: with a long table, as both sides are known to the server only."""
    upper = "".join(sorted(each for group in _unfolded().values() for each in group))
    return f"translateUTF8(lower({value}), {literal(upper)}, {literal(''.join(map(fold_character, upper)))})"


_table: dict[str, list[str]] = {}


def _unfolded() -> dict[str, list[str]]:
    """For each folded character, the others that fold to it; ASCII is left to `lower()`."""
    if not _table:
        found: dict[str, list[str]] = {}
        for code in range(128, sys.maxunicode + 1):
            character = chr(code)
            # Only what str.lower changes can be changed by folding; asking that first is quick.
            if character.lower() != character and (folded := fold_character(character)) != character:
                found.setdefault(folded, []).append(character)
        _table.update(found)
    return _table


def glob(value: str, glob: Glob) -> str:
    parts = glob.parts if glob.cased else tuple(p if isinstance(p, Wildcard) else fold(p) for p in glob.parts)
    literals = "".join(part for part in parts if not isinstance(part, Wildcard))
    if not is_unicode(literals):
        return "0"
    pattern = "".join(
        ("%" if part is Wildcard.ANY else "_") if isinstance(part, Wildcard) else like(part) for part in parts
    )
    subject = value if glob.cased else folded_for(value, literals)
    return f"{subject} LIKE {literal(pattern)}"


def regex(value: str, regex: Regex) -> str:
    # ClickHouse lets a dot match a newline unless told otherwise; Sigma, as RE2 by itself, does not.
    on = "".join(
        letter
        for letter, flag in (("i", regex.ignore_case), ("m", regex.multiline), ("s", regex.dotall))
        if flag
    )
    flags = f"(?{on})" if regex.dotall else f"(?{on}-s)"
    if not is_unicode(regex.pattern):
        return "0"
    pattern = regex.pattern.replace("\0", r"\x00")
    return f"match({value}, {literal(flags + pattern)})"


def cidr(value: str, network: str) -> str:
    try:
        parsed = ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        raise SqlError(f"{network!r} is no network: {error}") from None
    # As IPv6 both kinds are one: 192.0.2.1 and ::ffff:192.0.2.1 are the same number.
    address = f"toIPv6OrNull({value})"
    if isinstance(parsed, ipaddress.IPv4Network):
        first, last = (f"::ffff:{parsed[0]}", f"::ffff:{parsed[-1]}")
        return f"ifNull({_between(address, first, last)}, 0)"
    inside = _between(address, str(parsed[0]), str(parsed[-1]))
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    if not parsed.overlaps(mapped):
        return f"ifNull({inside}, 0)"
    return f"ifNull({inside} AND NOT ({_between(address, *_MAPPED)}), 0)"


def _between(address: str, first: str, last: str) -> str:
    return f"{address} BETWEEN toIPv6({literal(first)}) AND toIPv6({literal(last)})"
