"""Blocks in ClickHouse's Native format.

One block is: number of columns and of rows (LEB128), then for each column its name and type (strings) and its
data. Numbers are little-endian; a string is its length (LEB128) and its bytes. A Map is the end offset of each
row (UInt64), then its keys and its values as columns. LowCardinality is a version (UInt64 1) ahead of all
other data of the column, then flags, the dictionary and an index for each row. Source:
https://clickhouse.com/docs/interfaces/formats/Native and the server's `SerializationLowCardinality`.

Plain columns are written by clickhouse-connect's compiled code. Maps are written here, because nearly all of
a record is in one map whose keys are the same from record to record: keys cost nothing per cell this way.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext

from otel_fim.exporters.clickhouse.rows import MAP_TYPE

_LOW_CARDINALITY_VERSION: Final = 1
# A LowCardinality column whose dictionary comes with it, as an insert's always does.
_HAS_KEYS_AND_UPDATES: Final = (1 << 9) | (1 << 10)
_INDEX_CODES: Final = ("B", "H", "I")
_CONTEXT: Final = InsertContext("", [], [])


class Block:
    """One block, column by column. `rows` is the length of each."""

    def __init__(self, columns: int, rows: int) -> None:
        self._rows = rows
        self._data = bytearray(leb128(columns) + leb128(rows))

    def add(self, name: str, kind: str, values: Sequence[Any]) -> None:
        """A column of any type but Map. Raises `ValueError` (`UnicodeError` included), `TypeError`,
        `OverflowError` or clickhouse-connect's `DataError` for a value that does not fit."""
        self._head(name, kind)
        get_from_name(kind).write_column(values, self._data, _CONTEXT)

    def add_integers(self, name: str, kind: str, values: array[int]) -> None:
        """A column whose memory is its format: Int64, UInt64, UInt8, DateTime64."""
        self._head(name, kind)
        self._data += little_endian(values)

    def add_map(
        self, name: str, lengths: Iterable[int], keys: LowCardinalityIndex, values: bytes | bytearray
    ) -> None:
        """A column of `MAP_TYPE`: entries in each row, the rows' keys, and `strings` of all values."""
        self._head(name, MAP_TYPE)
        offsets = array("Q")
        total = 0
        for length in lengths:
            total += length
            offsets.append(total)
        self._data += _LOW_CARDINALITY_VERSION.to_bytes(8, "little")
        self._data += little_endian(offsets)
        if total:
            keys.write(self._data, total)
            self._data += values

    def _head(self, name: str, kind: str) -> None:
        for text in (name, kind):
            encoded = text.encode()
            self._data += leb128(len(encoded))
            self._data += encoded

    def finish(self) -> bytes:
        """The block's bytes."""
        return bytes(self._data)


class LowCardinalityIndex:
    """The keys of all rows of a map: a dictionary, and each row's place in it.

    `entries` are the rows' distinct key sets; a row is an index into them.
    """

    def __init__(self, entries: Sequence[Sequence[str]], rows: Iterable[int]) -> None:
        places: dict[str, int] = {}
        sets = [[places.setdefault(key, len(places)) for key in keys] for keys in entries]
        self._keys = list(places)
        self._width = next(
            i for i, code in enumerate(_INDEX_CODES) if len(places) <= 1 << 8 * array(code).itemsize
        )
        packed = [little_endian(array(_INDEX_CODES[self._width], places)) for places in sets]
        self._indexes = b"".join([packed[row] for row in rows])

    def write(self, data: bytearray, total: int) -> None:
        """Appends the column's data for `total` keys, without the version."""
        data += (_HAS_KEYS_AND_UPDATES | self._width).to_bytes(8, "little")
        data += len(self._keys).to_bytes(8, "little")
        data += strings(self._keys)
        data += total.to_bytes(8, "little")
        data += self._indexes


def strings(values: Sequence[str]) -> bytearray:
    """The data of a String column. Raises `UnicodeEncodeError` for text that is not Unicode."""
    data = bytearray()
    get_from_name("String").write_column_data(values, data, _CONTEXT)
    return data


def little_endian(values: array[int]) -> bytes:
    """The array's memory, whatever the machine's byte order."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def leb128(number: int) -> bytes:
    """`number` in ClickHouse's variable-length form."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
