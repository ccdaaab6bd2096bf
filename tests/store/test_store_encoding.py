"""Content encodings, and ClickHouse's compressed blocks."""

from __future__ import annotations

import gzip
import itertools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lz4.block
import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.store.blocks import LZ4, NONE, ZSTD, BlockDecoder, BlockEncoder
from otel_fim.store.cityhash import city_hash_128
from otel_fim.store.encoding import (
    PIECE,
    ZSTD_MODULE,
    Decoder,
    Encoder,
    choose_encoding,
    request_decoder,
    response_encoder,
)
from otel_fim.store.errors import StoreError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": ZSTD_MODULE.compress,
    "lz4": lz4.frame.compress,
    "identity": lambda data: data,
}
UNPACKERS: dict[str, Callable[[bytes], Any]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": ZSTD_MODULE.decompress,
    "lz4": lz4.frame.decompress,
}


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


def decode(decoder: Decoder, data: bytes, cuts: list[int] | None = None) -> bytes:
    out = [piece for part in cut(data, cuts or []) for piece in decoder.feed(part)]
    assert all(len(piece) <= PIECE for piece in out)
    decoder.finish()
    return b"".join(out)


def encode(encoder: Encoder, data: bytes, cuts: list[int]) -> bytes:
    return b"".join([*map(encoder.feed, cut(data, cuts)), encoder.finish()])


@given(
    name=st.sampled_from(sorted(PACKERS)),
    parts=st.lists(st.binary(min_size=1, max_size=500), max_size=3),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
)
def test_requests_are_decoded_however_they_are_cut(name: str, parts: list[bytes], cuts: list[int]) -> None:
    # Members one after the other, as `cat a.gz b.gz` makes them, are one stream.
    packed = b"".join(PACKERS[name](part) for part in parts)
    assert decode(request_decoder(name), packed, cuts) == b"".join(parts)


@given(
    name=st.sampled_from(sorted(UNPACKERS)),
    data=st.binary(min_size=1, max_size=2000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
)
def test_answers_can_be_decoded(name: str, data: bytes, cuts: list[int]) -> None:
    assert UNPACKERS[name](encode(response_encoder(name), data, cuts)) == data


@pytest.mark.parametrize("name", sorted(UNPACKERS))
def test_an_empty_answer_stays_empty(name: str) -> None:
    assert response_encoder(name).finish() == b""


@pytest.mark.parametrize("name", sorted(UNPACKERS))
def test_cut_and_broken_requests_are_errors(name: str) -> None:
    packed = PACKERS[name](b"some data, some data, some data" * 20)
    with pytest.raises(StoreError):
        decode(request_decoder(name), packed[:-5])
    with pytest.raises(StoreError):
        decode(request_decoder(name), b"this is not compressed at all, not at all")


def test_encodings_to_choose_from() -> None:
    assert choose_encoding("") is None
    assert choose_encoding("gzip, deflate") == "gzip"
    assert choose_encoding("gzip;q=0, deflate") == "deflate"
    assert choose_encoding("br, zstd, gzip") == "zstd"
    assert choose_encoding("identity") is None
    with pytest.raises(StoreError, match="br"):
        request_decoder("br")


@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_blocks_there_and_back(data: bytes, cuts: list[int]) -> None:
    packed = BlockEncoder().feed(data)
    assert decode(BlockDecoder(), packed, cuts) == data


def block(method: int, payload: bytes, plain_size: int) -> bytes:
    body = struct.pack("<BII", method, len(payload) + 9, plain_size) + payload
    return city_hash_128(body) + body


def test_every_method_of_blocks() -> None:
    data = b"abc" * 1000
    packed = (
        block(NONE, data, len(data))
        + block(LZ4, lz4.block.compress(data, store_size=False), len(data))
        + block(ZSTD, ZSTD_MODULE.compress(data), len(data))
    )
    assert decode(BlockDecoder(), packed) == data * 3


@pytest.mark.parametrize(
    "packed",
    [
        block(0x77, b"x", 1),
        block(LZ4, b"not lz4 at all", 100),
        block(ZSTD, b"not zstd at all", 100),
        block(NONE, b"abc", 4),
        b"\0" * 16 + block(NONE, b"abc", 3)[16:],
        b"\0" * 16 + struct.pack("<BII", NONE, 2**31, 5),
        b"\0" * 16 + struct.pack("<BII", NONE, 3, 5),
    ],
    ids=["method", "lz4", "zstd", "size", "checksum", "huge", "tiny"],
)
def test_broken_blocks_are_errors(packed: bytes) -> None:
    with pytest.raises(StoreError):
        decode(BlockDecoder(), packed)


def test_a_cut_block_is_an_error() -> None:
    with pytest.raises(StoreError, match="incomplete"):
        decode(BlockDecoder(), BlockEncoder().feed(b"abc")[:-1])


@pytest.mark.parametrize("name", sorted(UNPACKERS))
def test_a_small_body_that_is_a_large_one_comes_in_pieces(name: str) -> None:
    size = 50 * 2**20
    packed = PACKERS[name](bytes(size))
    assert len(packed) < size // 100
    assert sum(len(piece) for piece in request_decoder(name).feed(packed)) == size


def test_checksums_are_those_that_the_engine_writes(store: Any) -> None:
    """The engine's own data files hold such blocks: every size class of the hash, thousands of bytes."""
    store.query("CREATE TABLE hashed (n UInt64, s String, r String) ENGINE = MergeTree ORDER BY n")
    try:
        for rows in (1, 3, 10, 20000):
            store.query(
                f"INSERT INTO hashed SELECT number, repeat('x', number % 200), randomString(number % 50) "
                f"FROM numbers({rows})"
            )
        checked = set()
        for path in Path(store.directory).glob("data/store/*/*/*/*.bin"):
            data = path.read_bytes()
            offset = 0
            while offset + 25 <= len(data):
                size = struct.unpack_from("<I", data, offset + 17)[0]
                body = data[offset + 16 : offset + 16 + size]
                assert city_hash_128(body) == data[offset : offset + 16]
                checked.add(min(len(body) // 64, 3))
                offset += 16 + size
        assert checked == {0, 1, 2, 3} or {0, 3} <= checked
    finally:
        store.query("DROP TABLE hashed SYNC")


@pytest.mark.parametrize("size", [0, 1, 4, 8, 15, 16, 17, 31, 32, 127, 128, 143, 144, 159, 272, 1000])
def test_checksums_of_every_length_differ(size: int) -> None:
    data = bytes(range(256)) * 4
    assert len(city_hash_128(data[:size])) == 16
    assert city_hash_128(data[:size]) != city_hash_128(data[: size + 1])
