"""Content encodings of requests and responses: gzip, deflate, zstd, and lz4 frames."""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from otel_fim.store.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, StoreError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MODULE: Final[Any] = zstd
"""The standard library's module, or its backport before Python 3.14."""


PIECE: Final = 4 * 2**20
"""Decoders give out no more than this at a time: a small body can be a very large one, packed."""


class Encoder(Protocol):
    """A stream of bytes on its way out."""

    def feed(self, data: bytes) -> bytes:
        """What can be given out after `data`."""

    def finish(self) -> bytes:
        """The rest."""


class Decoder(Protocol):
    """A stream of bytes on its way in."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` adds, in pieces of limited size. Raises `StoreError` for broken data."""

    def finish(self) -> None:
        """Raises `StoreError` when the input is cut short."""


def _lz4_frame() -> Any:
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        raise StoreError(
            UNKNOWN_COMPRESSION_METHOD, "LZ4 needs the Python package lz4, which is not installed"
        ) from None


class _Identity:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


class _Decompressor:
    """Any of the decompressors, with members one after the other as gzip has them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._make: Any
        self._errors: tuple[type[Exception], ...]
        if name in {"gzip", "x-gzip", "deflate"}:
            self._make, self._errors = _Zlib, (zlib.error,)
        elif name == "zstd":
            self._make, self._errors = ZSTD_MODULE.ZstdDecompressor, (ZSTD_MODULE.ZstdError,)
        else:
            self._make, self._errors = _lz4_frame().LZ4FrameDecompressor, (RuntimeError,)
        self._state: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._state is None:
                self._state = self._make()
            while True:
                try:
                    piece: bytes = self._state.decompress(data, PIECE)
                except self._errors as error:
                    raise StoreError(CANNOT_DECOMPRESS, f"Content-Encoding {self._name}: {error}") from None
                yield piece
                data = b""
                if self._state.eof or self._state.needs_input:
                    break
            if not self._state.eof:
                return
            data = self._state.unused_data or b""
            self._state = None

    def finish(self) -> None:
        if self._state is not None:
            raise StoreError(CANNOT_DECOMPRESS, f"Content-Encoding {self._name}: the data is cut short")


class _Zlib:
    """zlib's decompressor with the interface that the others have."""

    def __init__(self) -> None:
        # 32 adds to 15: gzip and zlib headers are told apart by themselves.
        self._inner = zlib.decompressobj(wbits=47)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Encoder:
    def __init__(self, compress: Any, flush: Any, begin: bytes = b"") -> None:
        self._compress, self._flush, self._begin = compress, flush, begin
        self._used = False

    def feed(self, data: bytes) -> bytes:
        begin, self._begin = self._begin, b""
        self._used = True
        return begin + bytes(self._compress(data))

    def finish(self) -> bytes:
        # Nothing in, nothing out: an empty answer has no encoding.
        return bytes(self._flush()) if self._used else b""


_REQUEST: Final = {"gzip", "x-gzip", "deflate", "zstd", "lz4"}
_RESPONSE: Final = ("zstd", "lz4", "gzip", "deflate")
"""In the order of preference when a client takes several."""


def request_decoder(name: str) -> Decoder:
    """The decoder for a request's Content-Encoding. Raises `StoreError` for one that is not known."""
    name = name.strip().lower()
    if name in {"", "identity"}:
        return _Plain()
    if name not in _REQUEST:
        raise StoreError(
            UNKNOWN_COMPRESSION_METHOD,
            f"Content-Encoding '{name}' is not supported: use gzip, deflate, zstd, lz4 or none",
        )
    return _Decompressor(name)


def choose_encoding(accepted: str) -> str | None:
    """The encoding to answer with, from the Accept-Encoding header; None for none."""
    names: set[str] = set()
    for part in accepted.split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            names.add(name.strip().lower())
    for name in _RESPONSE:
        if name in names and (name != "lz4" or _has_lz4()):
            return name
    return None


def _has_lz4() -> bool:
    try:
        _lz4_frame()
    except StoreError:
        return False
    return True


def response_encoder(name: str | None) -> Encoder:
    """The encoder for what `choose_encoding` chose. Fast levels: the network here is mostly loopback."""
    if name in {"gzip", "deflate"}:
        packer = zlib.compressobj(level=3, wbits=31 if name == "gzip" else 15)
        return _Encoder(packer.compress, packer.flush)
    if name == "zstd":
        compressor = zstd.ZstdCompressor(level=1)
        return _Encoder(compressor.compress, compressor.flush)
    if name == "lz4":
        frame = _lz4_frame().LZ4FrameCompressor()
        return _Encoder(frame.compress, frame.flush, frame.begin())
    return _Identity()
