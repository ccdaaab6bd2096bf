"""The Native format for clients that name a protocol version (`client_protocol_version`).

ClickHouse's server writes Native differently then: from version 1 on each block begins with a BlockInfo, and
from 54454 on each column has a byte that says whether its serialization is a custom one
(src/Formats/NativeWriter.cpp). chDB writes the plain form only. clickhouse-go, and with it Grafana, always
asks for the newer one. To add the bytes, columns must be stepped over, which needs their types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from otel_fim.store.errors import NOT_IMPLEMENTED, StoreError

BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"
"""Field 1: not an overflow block; field 2: bucket -1; end."""
WITH_CUSTOM_SERIALIZATION: Final = 54454

_SIZES: Final = {
    **dict.fromkeys(("UInt8", "Int8", "Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("UInt16", "Int16", "Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(("UInt32", "Int32", "Float32", "Date32", "DateTime", "IPv4", "Decimal32", "Time"), 4),
    **dict.fromkeys(("UInt64", "Int64", "Float64", "DateTime64", "Decimal64", "Time64"), 8),
    **dict.fromkeys(("UInt128", "Int128", "UUID", "IPv6", "Decimal128"), 16),
    **dict.fromkeys(("UInt256", "Int256", "Decimal256"), 32),
}
_ALIASES: Final = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_NAME: Final = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*$", re.DOTALL)
_ELEMENT_NAME: Final = re.compile(r"\s*(?:`(?:[^`\\]|\\.)*`|\w+)\s+(?=[A-Za-z])", re.DOTALL)
_LOW_CARDINALITY_KEY: Final = {0: 1, 1: 2, 2: 4, 3: 8}


def reframe(data: bytes, protocol: int) -> Iterator[bytes]:
    """The blocks of `data` (Native without a version) as protocol version `protocol` has them.

    Raises `StoreError` (NOT_IMPLEMENTED) for a type that cannot be stepped over.
    """
    position = 0
    while position < len(data):
        reader = _Reader(data, position)
        start = position
        columns, rows = reader.number(), reader.number()
        yield BLOCK_INFO + data[start : reader.position]
        for _ in range(columns):
            start = reader.position
            reader.string()
            kind = reader.string().decode("utf-8", "replace")
            head = reader.position
            if rows:
                reader.prefix(kind)
                reader.column(kind, rows)
            custom = b"\0" if protocol >= WITH_CUSTOM_SERIALIZATION else b""
            yield data[start:head] + custom + data[head : reader.position]
        position = reader.position


class _Reader:
    """Steps through a block."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self.position = position

    def number(self) -> int:
        """A LEB128 number."""
        value = shift = 0
        while True:
            byte = self._data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self) -> bytes:
        """A string with its length in front."""
        size = self.number()
        start = self.position
        self.position += size
        return self._data[start : self.position]

    def fixed(self, offset: int, size: int) -> int:
        """A little-endian number at `offset`."""
        return int.from_bytes(self._data[offset : offset + size], "little")

    def prefix(self, kind: str) -> None:
        """Past what stands once in front of a column."""
        name, inner = _split(kind)
        if name == "LowCardinality":
            self.position += 8
        elif name in {"Array", "Nullable", "Map", "Tuple", "Nested", "SimpleAggregateFunction"}:
            for part in _parts(name, inner):
                self.prefix(part)

    def column(self, kind: str, rows: int) -> None:
        """Past the values of a column of `rows` rows."""
        name, inner = _split(kind)
        if name == "String":
            self._strings(rows)
        elif name in _SIZES:
            self.position += _SIZES[name] * rows
        elif name == "FixedString":
            self.position += int(inner) * rows
        elif name == "Decimal":
            digits = int(inner.split(",")[0])
            self.position += rows * (4 if digits <= 9 else 8 if digits <= 18 else 16 if digits <= 38 else 32)
        elif name.startswith("Interval"):
            self.position += 8 * rows
        elif name == "Nullable":
            self.position += rows
            self.column(inner, rows)
        elif name in {"Tuple", "SimpleAggregateFunction"}:
            for part in _parts(name, inner):
                self.column(part, rows)
            if name == "Tuple" and not inner.strip():
                self.position += rows
        elif name in {"Array", "Map", "Nested"}:
            total = self.fixed(self.position + 8 * (rows - 1), 8) if rows else 0
            self.position += 8 * rows
            for part in _parts(name, inner):
                self.column(part, total)
        elif name == "LowCardinality":
            self._low_cardinality(inner, rows)
        else:
            raise StoreError(
                NOT_IMPLEMENTED,
                f"columns of type {kind} cannot be sent to a client that asks for a protocol version; "
                "select them as strings, or use a client that does not",
            )

    def _strings(self, rows: int) -> None:
        data, position = self._data, self.position
        for _ in range(rows):
            size = data[position]
            position += 1
            if size >= 0x80:
                self.position = position - 1
                size = self.number()
                position = self.position
            position += size
        self.position = position

    def _low_cardinality(self, inner: str, rows: int) -> None:
        if not rows:
            return
        key_size = _LOW_CARDINALITY_KEY[self.fixed(self.position, 8) & 0xFF]
        dictionary = self.fixed(self.position + 8, 8)
        self.position += 16
        name, nested = _split(inner)
        # A nullable dictionary keeps NULL as its first value and has no null map.
        self.column(nested if name == "Nullable" else inner, dictionary)
        keys = self.fixed(self.position, 8)
        self.position += 8 + key_size * keys


def _split(kind: str) -> tuple[str, str]:
    """`Array(String)` gives `Array` and `String`."""
    match = _NAME.match(_ALIASES.get(kind.strip(), kind))
    return (match[1], match[2] or "") if match is not None else (kind, "")


def _parts(name: str, inner: str) -> list[str]:
    """The types inside of a composite type, without the names of elements."""
    parts = _commas(inner)
    if name in {"Tuple", "Nested"}:
        return [_ELEMENT_NAME.sub("", part, count=1) for part in parts if part.strip()]
    if name == "SimpleAggregateFunction":
        return parts[1:]
    return parts


def _commas(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    parts: list[str] = []
    depth = start = position = 0
    while position < len(text):
        char = text[position]
        if char in "'`":
            position += 1
            while position < len(text) and text[position] != char:
                position += 2 if text[position] == "\\" else 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts
