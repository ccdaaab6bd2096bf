"""ClickHouse's compressed blocks: what `compress=1` and `decompress=1` mean over HTTP.

A block is 16 bytes of checksum, one byte of method (0x82 LZ4, 0x90 ZSTD, 0x02 none), the compressed size with
these nine bytes, the uncompressed size (both little-endian, four bytes), and the data. The checksum is
CityHash128 (version 1.0.2) of everything behind it (src/Compression/CompressedReadBufferBase.cpp).
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from typing import Any, Final

from otel_fim.store.cityhash import city_hash_128
from otel_fim.store.encoding import ZSTD_MODULE
from otel_fim.store.errors import (
    CANNOT_DECOMPRESS,
    CHECKSUM_DOESNT_MATCH,
    UNKNOWN_COMPRESSION_METHOD,
    StoreError,
)

LZ4: Final = 0x82
ZSTD: Final = 0x90
NONE: Final = 0x02
_HEADER: Final = struct.Struct("<BII")
_CHECKSUM_SIZE: Final = 16
MAX_BLOCK: Final = 128 * 2**20
"""No block is larger than this, compressed or not; a corrupt size does not make the store allocate it all."""
BLOCK: Final = 2**18
"""Results are cut to blocks of this many bytes before compression."""


def lz4_block() -> Any:
    """The lz4 package's block functions. Raises `StoreError` when the package is missing."""
    try:
        return importlib.import_module("lz4.block")
    except ImportError:
        raise StoreError(
            UNKNOWN_COMPRESSION_METHOD, "LZ4 needs the Python package lz4, which is not installed"
        ) from None


class BlockDecoder:
    """Compressed blocks in, their contents out, in any pieces."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The contents of the blocks that are complete now. Raises `StoreError` for a broken one."""
        self._pending += data
        offset = 0
        while len(self._pending) - offset >= _CHECKSUM_SIZE + _HEADER.size:
            method, size, plain_size = _HEADER.unpack_from(self._pending, offset + _CHECKSUM_SIZE)
            if size < _HEADER.size or size > MAX_BLOCK or plain_size > MAX_BLOCK:
                raise StoreError(CANNOT_DECOMPRESS, f"compressed block of {size} bytes for {plain_size}")
            end = offset + _CHECKSUM_SIZE + size
            if len(self._pending) < end:
                break
            checksum = bytes(self._pending[offset : offset + _CHECKSUM_SIZE])
            body = bytes(self._pending[offset + _CHECKSUM_SIZE : end])
            if city_hash_128(body) != checksum:
                raise StoreError(CHECKSUM_DOESNT_MATCH, "the checksum of a compressed block does not match")
            yield _decompress(method, body[_HEADER.size :], plain_size)
            offset = end
        del self._pending[:offset]

    def finish(self) -> None:
        """Raises `StoreError` when the last block is cut short."""
        if self._pending:
            raise StoreError(CANNOT_DECOMPRESS, "the last compressed block is incomplete")


def _decompress(method: int, data: bytes, plain_size: int) -> bytes:
    if method == LZ4:
        try:
            plain: bytes = lz4_block().decompress(data, uncompressed_size=plain_size)
        except (ValueError, RuntimeError) as error:
            raise StoreError(CANNOT_DECOMPRESS, f"LZ4: {error}") from None
        except Exception as error:
            if type(error).__name__ != "LZ4BlockError":
                raise
            raise StoreError(CANNOT_DECOMPRESS, f"LZ4: {error}") from None
    elif method == ZSTD:
        plain = _zstd(data, plain_size)
    elif method == NONE:
        plain = data
    else:
        raise StoreError(UNKNOWN_COMPRESSION_METHOD, f"compression method 0x{method:02x} of a block")
    if len(plain) != plain_size:
        raise StoreError(CANNOT_DECOMPRESS, f"a block of {len(plain)} bytes says that it has {plain_size}")
    return plain


def _zstd(data: bytes, plain_size: int) -> bytes:
    decoder = ZSTD_MODULE.ZstdDecompressor()
    try:
        plain: bytes = decoder.decompress(data, max_length=plain_size + 1)
    except ZSTD_MODULE.ZstdError as error:
        raise StoreError(CANNOT_DECOMPRESS, f"ZSTD: {error}") from None
    return plain


class BlockEncoder:
    """Bytes in, LZ4 blocks out."""

    def feed(self, data: bytes) -> bytes:
        """The blocks of `data`."""
        out: list[bytes] = []
        for start in range(0, len(data), BLOCK):
            plain = data[start : start + BLOCK]
            packed: bytes = lz4_block().compress(plain, store_size=False)
            body = _HEADER.pack(LZ4, len(packed) + _HEADER.size, len(plain)) + packed
            out += (city_hash_128(body), body)
        return b"".join(out)

    def finish(self) -> bytes:
        """Nothing is held back."""
        return b""
