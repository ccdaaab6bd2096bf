"""Sums without rounding that stays, and order statistics, against the standard library."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.processors.rules.correlate.numbers import ExactSum, SortedNumbers

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite), st.lists(finite, min_size=1))
def test_a_sum_is_exact_whatever_came_and_went(gone: list[float], left: list[float]) -> None:
    total = ExactSum()
    for number in gone + left:
        total.add(number)
    for number in gone:
        total.remove(number)
    exact = sum(map(Fraction, left))
    for count in (1, len(left)):
        try:
            expected = float(exact / count)
        except OverflowError:
            expected = math.inf if exact > 0 else -math.inf
        assert total.over(count) == expected


@given(st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=400))
def test_numbers_stay_in_order(steps: list[tuple[int, bool]]) -> None:
    numbers, plain = SortedNumbers(), []
    for number, remove in steps:
        if remove and plain:
            gone = plain.pop(number % len(plain))
            numbers.remove(gone)
        else:
            numbers.add(float(number))
            plain.append(float(number))
        plain.sort()
    assert [numbers.at(index) for index in range(len(numbers))] == plain
    with pytest.raises(IndexError):
        numbers.at(len(plain))


def test_many_numbers_go_through_many_blocks() -> None:
    numbers = SortedNumbers()
    values = [float(number * 7919 % 10_007) for number in range(10_007)]
    for value in values:
        numbers.add(value)
    assert [numbers.at(index) for index in range(0, 10_007, 101)] == [
        float(each) for each in range(0, 10_007, 101)
    ]
    for value in values[:9_000]:
        numbers.remove(value)
    left = sorted(values[9_000:])
    assert [numbers.at(index) for index in range(len(numbers))] == left


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=50), st.integers(1, 99))
def test_percentiles_are_those_of_the_standard_library(values: list[float], percent: int) -> None:
    numbers = SortedNumbers()
    for value in values:
        numbers.add(value)
    expected = statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    assert numbers.percentile(percent / 100) == pytest.approx(expected)
    assert numbers.percentile(0.5) == pytest.approx(statistics.median(values))
    assert numbers.percentile(0) == min(values)
    assert numbers.percentile(1) == max(values)
