"""ULIDs."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from otel_fim.ulid import Uids, new_ulid

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def test_they_are_well_formed_differ_and_sort_by_time() -> None:
    ids = [new_ulid(milliseconds * 1_000_000) for milliseconds in (0, 1, 2**20, 2**47, 2**48 - 1)]
    assert ids == sorted(ids)
    assert all(_ULID.fullmatch(each) for each in ids)
    assert len({new_ulid(1) for _ in range(1000)}) == 1000


def test_the_specifications_example() -> None:
    assert new_ulid(1_469_918_176_385 * 1_000_000)[:10] == "01ARYZ6S41"


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=20))
def test_they_sort_in_the_order_of_giving_whatever_the_clock_says(moments: list[int]) -> None:
    clock = iter(moments)
    uids = Uids(lambda: next(clock))
    ids = [uids.next() for _ in moments]
    assert all(one < other for one, other in pairwise(ids))
    assert all(_ULID.fullmatch(each) for each in ids)
