"""The risk processor's state as bytes and back: JSON, version 1.

`time` is when it was made (steady seconds) and `wall` what the host's clock said then, `clean` whether the agent
stopped in order, `entities` the scores and `series` the open series, the oldest first.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Final

import orjson

from otel_fim.processors.risk.entities import EntityScores
from otel_fim.processors.risk.series import Folder, Series

VERSION: Final = 1


def dump(entities: EntityScores, folder: Folder, now: int, wall: int, *, clean: bool) -> bytes:
    """All of it."""
    return orjson.dumps(
        {
            "time": now,
            "wall": wall,
            "clean": clean,
            "entities": entities.state(now),
            "series": [[key, *astuple(series)] for key, series in folder.series.items()],
        }
    )


def load(content: bytes, entities: EntityScores, folder: Folder) -> tuple[int, int, bool]:
    """Fills both; when it was made, what the clock said then, and whether the stop was clean.

    Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for what is no such state.
    """
    state = orjson.loads(content)
    entities.restore(state["entities"])
    for key, *values in state["series"]:
        series = Series(*values)
        if not isinstance(series.count + series.begun + series.told, int) or not isinstance(
            series.evidence, list
        ):
            raise TypeError("a series that is none")
        folder.put(str(key), series)
    return int(state["time"]), int(state["wall"]), bool(state["clean"])
