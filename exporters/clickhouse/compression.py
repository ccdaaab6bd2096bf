"""Compression of a request's body, by the names that ClickHouse takes as Content-Encoding."""

from __future__ import annotations

import gzip
import importlib
import sys
from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL = 1


def compressor(name: str) -> Callable[[bytes], bytes] | None:
    """The function for `zstd`, `lz4` or `gzip`, at its fastest useful level; None for `none`.

    Raises `ValueError` when what it takes is not installed.
    """
    if name == "none":
        return None
    if name == "zstd":
        return lambda data: zstd.compress(data, _LEVEL)
    if name == "gzip":
        return lambda data: gzip.compress(data, _LEVEL)
    try:
        lz4 = importlib.import_module(
            "lz4.frame"
        )  # clickhouse-connect brings it along, not on the newest Python
    except ImportError:
        raise ValueError("compress: lz4 needs the package lz4; install it or use zstd") from None
    return lambda data: bytes(lz4.compress(data))
