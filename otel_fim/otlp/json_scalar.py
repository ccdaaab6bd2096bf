"""The scalar values of OTLP/JSON: protobuf's JSON mapping with the OTLP specification's exceptions."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import unhexlify
from collections.abc import Callable
from typing import Any, Final

from otel_fim.otlp.errors import INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, FieldError
from otel_fim.record import AnyValue

_LONGEST_SHOWN: Final = 40
_INTEGER: Final = re.compile(r"-?[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_SPECIAL: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_SEVERITY_RANGES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITY_NAMES: Final = {"SEVERITY_NUMBER_UNSPECIFIED": 0} | {
    f"SEVERITY_NUMBER_{name}{step + 1 if step else ''}": 4 * rank + step + 1
    for rank, name in enumerate(_SEVERITY_RANGES)
    for step in range(4)
}


def show(value: object) -> str:
    """A value in an error message, cut to a readable length."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"


def text(fields: dict[str, Any], name: str) -> str:
    """The string `name`; empty for null or nothing."""
    value = fields.get(name)
    if value.__class__ is str:
        return value
    if value is None:
        return ""
    raise FieldError(f"a string is needed, not {show(value)}").within(name)


def unsigned(fields: dict[str, Any], name: str, maximum: int) -> int:
    """The integer `name`, from 0 to `maximum`; 0 for null or nothing."""
    value = fields.get(name)
    if value is None:
        return 0
    try:
        return integer(value, 0, maximum)
    except FieldError as error:
        raise error.within(name) from None


def severity(fields: dict[str, Any]) -> int:
    """The severity number. OTLP asks for the number; protobuf's own JSON writers give the name."""
    value = fields.get("severityNumber")
    if value is None:
        return 0
    named = _SEVERITY_NAMES.get(value) if value.__class__ is str else None
    if named is not None:
        return named
    try:
        return integer(value, INT32_MIN, INT32_MAX)
    except FieldError as error:
        raise error.within("severityNumber") from None


def integer(value: object, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """An integer, given as a number or as a decimal string; `1e3` and `5.0` are integers in protobuf's JSON."""
    number: int | None = None
    if isinstance(value, str):
        if _INTEGER.fullmatch(value):
            number = int(value)
        elif _DECIMAL.fullmatch(value):
            value = float(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None:
        raise FieldError(f"an integer is needed, not {show(value)}")
    if not low <= number <= high:
        raise FieldError(f"{show(value)} is not between {low} and {high}")
    return number


def identifier(fields: dict[str, Any], name: str, size: int) -> bytes:
    """A trace or span id from hex. All zeros or a wrong length is no id, as logs.proto tells receivers."""
    value = fields.get(name)
    if value is None:
        return b""
    try:
        found = unhexlify(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise FieldError(f"hexadecimal digits are needed, not {show(value)}").within(name)
    return found if len(found) == size and any(found) else b""


def _string(value: object) -> str:
    if isinstance(value, str):
        return value
    raise FieldError(f"a string is needed, not {show(value)}")


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise FieldError(f"true or false is needed, not {show(value)}")


def _double(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        special = _SPECIAL.get(value)
        if special is not None:
            return special
        if _DECIMAL.fullmatch(value):
            return float(value)
    raise FieldError(f"a number, 'NaN' or 'Infinity' is needed, not {show(value)}")


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        try:
            standard = value.translate(_URL_SAFE).rstrip("=")
            return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except (Base64Error, ValueError):
            pass
    raise FieldError(f"base64 is needed, not {show(value)}")


KINDS: Final[dict[str, Callable[[object], AnyValue]]] = {
    "stringValue": _string,
    "intValue": integer,
    "boolValue": _boolean,
    "doubleValue": _double,
    "bytesValue": _bytes,
}
"""How each scalar kind of AnyValue is read."""
