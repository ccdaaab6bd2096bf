"""The base of every configuration model and the value types of the collector's YAML."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_DURATION_UNIT_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
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
        if value < 0:
            raise ValueError("a duration cannot be negative")
        return float(value)
    text = value.strip()
    if text == "0":
        return 0.0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is not a duration; write it like '500ms', '5s' or '1h30m'")
    return sum(float(number) * _DURATION_UNIT_SECONDS[unit] for number, unit in parts)


def parse_size(value: object) -> int:
    """Bytes from `64MiB`, `1GB` or a number of bytes. Raises `ValueError` for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a size cannot be negative")
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size; write it like '64MiB' or '1GB'")
    return int(float(match[1]) * _SIZE_UNIT_BYTES[match[2]])


def format_duration(seconds: float) -> str:
    """The shortest exact duration text: `1.5` gives `1.5s`, `0.25` gives `250ms`, `120` gives `2m`."""
    for unit in ("d", "h", "m"):
        size = _DURATION_UNIT_SECONDS[unit]
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds / size)}{unit}"
    if seconds == 0 or seconds >= 1:
        return f"{seconds:g}s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:g}ms"
    return f"{seconds * 1e6:g}us"


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
