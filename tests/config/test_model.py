"""Durations and sizes: what is read, what is written, and that one is the inverse of the other."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.config.model import format_duration, format_size, parse_duration, parse_size

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("0", 0),
        ("7d", 604800),
        (" 2m ", 120),
        (3, 3),
    ],
)
def test_reads_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "5x",
        "s",
        "-5s",
        "1h 30m",
        "5S",
        "1.s",
        "٣s",
        True,
        None,
        [],
        -1,
        math.nan,
        math.inf,
        "9" * 400 + "s",
        10**400,
    ],
)
def test_refuses_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4))
def test_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration(text) == pytest.approx(sum(number * UNITS[unit] for number, unit in parts))


DURATIONS = st.one_of(
    st.integers(0, 10**9).map(float),
    st.integers(0, 10**9).map(lambda number: number / 1000),
    st.floats(min_value=0, allow_nan=False, allow_infinity=False),
)


@given(DURATIONS)
def test_a_written_duration_is_read_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (1.5, "1.5s"), (0.25, "250ms"), (120, "2m"), (90, "90s"), (1e6, "1000000s"), (5e-7, "500ns")],
)
def test_writes_durations_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**6), st.sampled_from(sorted(SIZES)), st.sampled_from(["", " "]))
def test_reads_sizes(number: int, unit: str, space: str) -> None:
    assert parse_size(f"{number}{space}{unit}") == number * SIZES[unit]


@given(st.integers(0, 2**62))
def test_a_written_size_is_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
    assert parse_size(size) == size
    assert parse_size(str(size)) == size


@pytest.mark.parametrize(
    "text", ["", "MB", "5 XB", "-5MB", "1.MB", True, None, 1.5, [], -1, "1e3", "nan", "inf"]
)
def test_refuses_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
