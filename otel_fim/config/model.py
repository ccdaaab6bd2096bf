"""The base of every configuration model and the value types of the collector's YAML."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_DURATION_UNIT_SECONDS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_SIZE_UNIT_BYTES: Final = {
    None: 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def parse_duration(value: object) -> float:
    """Seconds from Go's duration form (`1h30m`, `500ms`, with `d` for days) or from a number of seconds.

    Raises `ValueError` for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a duration such as '500ms', '5s' or '1h30m' is needed")
    if isinstance(value, int | float):
        return _seconds(value)
    text = value.strip()
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration; write it like '500ms', '5s' or '1h30m'")
    return _seconds(
        sum((Decimal(number) * _DURATION_UNIT_SECONDS[unit] for number, unit in parts), Decimal())
    )


def _seconds(number: float | Decimal) -> float:
    if number < 0:
        raise ValueError("a duration cannot be negative")
    try:
        seconds = float(number)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError("a duration must be a finite number")
    return abs(seconds)  # -0.0 is not negative, and would be written with its sign


def parse_size(value: object) -> int:
    """Bytes from `64MiB`, `1GB` or a number of bytes. Raises `ValueError` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size cannot be negative")
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size; write it like '64MiB' or '1GB'")
    return int(Decimal(match[1]) * _SIZE_UNIT_BYTES[match[2]])


def format_duration(seconds: float) -> str:
    """The shortest exact duration text: `1.5` gives `1.5s`, `0.25` gives `250ms`, `120` gives `2m`.

    `parse_duration` gives the same float back.
    """
    exact = Decimal(repr(float(seconds)))
    for unit in ("d", "h", "m"):
        size = _DURATION_UNIT_SECONDS[unit]
        if seconds >= size and seconds % int(size) == 0:
            return f"{int(seconds) // int(size)}{unit}"
    unit = "s"
    if 0 < exact < 1:
        unit = next((u for u in ("ms", "us") if exact >= _DURATION_UNIT_SECONDS[u]), "ns")
    return f"{(exact / _DURATION_UNIT_SECONDS[unit]).normalize():f}{unit}"


def format_size(size: int) -> str:
    """The largest binary unit that divides `size`: 67108864 gives `64MiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNIT_BYTES[unit] == 0:
            return f"{size // _SIZE_UNIT_BYTES[unit]}{unit}"
    return f"{size}B"


Duration = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
"""Seconds, written in YAML as a duration text."""

ByteSize = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str)]
"""Bytes, written in YAML as a size text."""


class ConfigModel(BaseModel):
    """The base of every configuration model: unknown keys are errors, values are not coerced silently.

    Each field's docstring (the string below it) says what it means, its default and what follows from it;
    the component's documentation is generated from these.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )


class ComponentConfig(ConfigModel):
    """The base of a component's configuration. A component without settings uses it as it is."""


def plain(model: ConfigModel) -> dict[str, Any]:
    """The model as YAML-ready values, secrets masked by their own type (`pydantic.SecretStr`)."""
    return model.model_dump(mode="json")
