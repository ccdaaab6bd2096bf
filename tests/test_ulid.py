"""ULIDs."""

from __future__ import annotations

import re

from otel_fim.ulid import new_ulid


def test_they_are_well_formed_differ_and_sort_by_time() -> None:
    ids = [new_ulid(milliseconds * 1_000_000) for milliseconds in (0, 1, 2**20, 2**47, 2**48 - 1)]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", each) for each in ids)
    assert len({new_ulid() for _ in range(1000)}) == 1000


def test_the_specifications_example() -> None:
    assert new_ulid(1_469_918_176_385 * 1_000_000)[:10] == "01ARYZ6S41"
