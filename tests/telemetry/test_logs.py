from __future__ import annotations

import json
import logging

from hypothesis import given
from hypothesis import strategies as st

from otel_fim.telemetry.logs import ConsoleFormatter, JsonFormatter, RateLimit


def record(message: str, *args: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("otel_fim.file_integrity", level, __file__, 1, message, args, None)


def test_the_sixth_message_of_a_minute_is_held_back_and_counted() -> None:
    now = [0.0]
    held: list[int] = []
    limit = RateLimit(lambda: held.append(1), clock=lambda: now[0])
    assert [limit.filter(record("failed: %s", i)) for i in range(8)] == [True] * 5 + [False] * 3
    assert len(held) == 3
    assert limit.filter(record("another"))
    now[0] = 61.0
    late = record("failed: %s", "x")
    assert limit.filter(late)
    assert late.getMessage() == "failed: x (3 more like this in the last minute)"


def test_information_is_never_held_back() -> None:
    limit = RateLimit()
    assert all(limit.filter(record("hello", level=logging.INFO)) for _ in range(100))


@given(st.text())
def test_a_message_cannot_forge_a_line(text: str) -> None:
    line = ConsoleFormatter().format(record("%s", text))
    first, *rest = line.split("\n")
    assert first[20:].startswith(" WARN ") or first[20:].startswith("WARN")
    assert all(part.startswith("    ") for part in rest)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line.replace("\n", ""))
    assert json.loads(JsonFormatter().format(record("%s", text)))["message"] == text
