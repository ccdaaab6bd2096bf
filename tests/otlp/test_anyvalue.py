"""The text form of a value: against what the collector writes, and against the specification's rules."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.otlp import decode_logs_data_json, to_text
from otel_fim.otlp.anyvalue import double_text
from otel_fim.otlp.errors import MAX_NESTING

# What `pcommon.Value.AsString` of go.opentelemetry.io/collector/pdata v1.70.0 gave for each value.
_CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "testdata" / "anyvalue_text.jsonl").read_text().splitlines()
]


def _from_json(value: object) -> object:
    record = {"attributes": [{"key": "v", "value": value}]}
    line = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    return decode_logs_data_json(line.encode())[0].attributes["v"]


def test_agrees_with_the_collector() -> None:
    assert len(_CASES) > 200
    differences = [
        (case["value"], case["text"], found)
        for case in _CASES
        if (found := to_text(_from_json(case["value"]))) != case["text"]
    ]
    assert differences == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ([float("nan"), float("-inf")], '["NaN","-Infinity"]'),
        ({"a": float("inf")}, '{"a":"Infinity"}'),
        ((1, "a", None), '[1,"a",null]'),
        (OrderedDict(b=1, a={"d": b"\x00", "c": []}), '{"a":{"c":[],"d":"AA=="},"b":1}'),
        (bytearray(b"hello"), "aGVsbG8="),
        (memoryview(b"hello"), "aGVsbG8="),
        (IntEnum("Colour", ["RED"])(1), "1"),
        ({"\U0001f600": 1, "\uffff": 2}, '{"\uffff":2,"\U0001f600":1}'),
    ],
)
def test_specification(value: object, text: str) -> None:
    assert to_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_reads_back_and_uses_the_exponent_only_outside_the_range(value: float) -> None:
    text = double_text(value)
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert ("e" in text) == (value != 0 and not 1e-6 <= abs(value) < 1e21)
    assert "E" not in text
    assert not text.endswith(".0")
    # Shortest: as many digits as Python's own shortest form.
    digits = Decimal(repr(value)).normalize().as_tuple().digits
    assert Decimal(text).normalize().as_tuple().digits == digits


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, [2**63], {"a": 2**64}])
def test_integers_beyond_64_bits_are_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        to_text(value)


def test_what_has_no_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="object"):
        to_text([object()])
    with pytest.raises(ValueError, match="object"):
        to_text(object())
    with pytest.raises(ValueError, match="surrogates"):
        to_text(["\udcff"])


def test_nesting_has_a_limit() -> None:
    value: object = "x"
    for _ in range(MAX_NESTING):
        value = [value]
    assert to_text(value) == "[" * MAX_NESTING + '"x"' + "]" * MAX_NESTING
    with pytest.raises(ValueError, match="deep"):
        to_text([value])
