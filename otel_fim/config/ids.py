"""Component and pipeline ids: `type` or `type/name`."""

from __future__ import annotations

import re
from typing import Final

# The collector allows more in a name. Here ids are directory names and metric labels too.
_TYPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

SIGNALS: Final = ("logs",)
"""What pipelines carry."""


def parse_id(text: str) -> tuple[str, str]:
    """Type and name (empty when there is none) of an id. Raises `ValueError` for anything else."""
    type_, slash, name = text.partition("/")
    if not _TYPE.fullmatch(type_):
        raise ValueError(
            f"{text!r} is not a component id: write 'type' or 'type/name'; "
            "the type starts with a letter and has letters, digits and '_'"
        )
    if slash and not _NAME.fullmatch(name):
        raise ValueError(
            f"{text!r} is not a component id: the name after the '/' has up to 63 letters, digits, '_', '-' "
            "and '.', and starts with a letter or digit"
        )
    return type_, name


def check_pipeline_id(text: str) -> None:
    """Raises `ValueError` unless `text` is `logs` or `logs/name`."""
    signal, _ = parse_id(text)
    if signal not in SIGNALS:
        raise ValueError(f"pipelines carry logs only, not {signal}; write 'logs' or 'logs/name'")
