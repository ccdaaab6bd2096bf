"""A Sigma string as a test: one of the four kinds of text where it is one, else a pattern."""

from __future__ import annotations

from collections.abc import Iterable

from otel_fim.sigma.ir import Glob, Text, TextKind, Wildcard


def test_of(parts: Iterable[str | Wildcard], cased: bool) -> Text | Glob:
    """The test for a value that is `parts` as a whole."""
    pattern = _merged(parts)
    literals = [part for part in pattern if not isinstance(part, Wildcard)]
    if not pattern:
        return Text(TextKind.EQUALS, "", cased)
    if len(literals) == len(pattern):
        return Text(TextKind.EQUALS, literals[0], cased)
    if len(literals) == 1 and Wildcard.ONE not in pattern:
        before, after = pattern[0] is Wildcard.ANY, pattern[-1] is Wildcard.ANY
        kind = TextKind.CONTAINS if before and after else TextKind.ENDSWITH if before else TextKind.STARTSWITH
        return Text(kind, literals[0], cased)
    if pattern == [Wildcard.ANY]:
        return Text(TextKind.CONTAINS, "", cased)
    return Glob(tuple(pattern), cased)


def _merged(parts: Iterable[str | Wildcard]) -> list[str | Wildcard]:
    """Neighbouring literals as one, and a run of wildcards as its `?` and then one `*`: the same values match."""
    merged: list[str | Wildcard] = []
    for part in parts:
        if isinstance(part, Wildcard):
            merged.append(part)
        elif part:
            if merged and not isinstance(merged[-1], Wildcard):
                merged[-1] += part
            else:
                merged.append(part)
    ordered: list[str | Wildcard] = []
    ones, anys = 0, False
    for part in (*merged, ""):
        if part is Wildcard.ONE:
            ones += 1
        elif part is Wildcard.ANY:
            anys = True
        else:
            ordered += [Wildcard.ONE] * ones + ([Wildcard.ANY] if anys else [])
            ones, anys = 0, False
            if part:
                ordered.append(part)
    return ordered
