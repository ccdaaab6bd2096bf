"""CityHash128, version 1.0.2: the checksum of ClickHouse's compressed blocks.

The algorithm is Google's, by Geoff Pike and Jyrki Alakuijala (MIT licence), in the version that ClickHouse
froze (contrib/cityhash102); later versions give other values. Written here from the algorithm, for bytes of
any length; about 8 MB/s, and it runs over compressed data only.
"""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_K0: Final = 0xC3A5C85C97CB3127
_K1: Final = 0xB492B66FBE98F273
_K2: Final = 0x9AE16A3B2F90404F
_K3: Final = 0xC949D7C7509E6557
_MUL: Final = 0x9DDFEA08EB382D69
_U64: Final = struct.Struct("<Q")
_U32: Final = struct.Struct("<I")
_EIGHT: Final = struct.Struct("<8Q")


def _rotate(value: int, shift: int) -> int:
    return (value >> shift | value << (64 - shift)) & _MASK if shift else value


def _fetch64(data: bytes, offset: int) -> int:
    value: int = _U64.unpack_from(data, offset)[0]
    return value


def _fetch32(data: bytes, offset: int) -> int:
    value: int = _U32.unpack_from(data, offset)[0]
    return value


def _hash_16(low: int, high: int) -> int:
    a = (low ^ high) * _MUL & _MASK
    a ^= a >> 47
    b = (high ^ a) * _MUL & _MASK
    b ^= b >> 47
    return b * _MUL & _MASK


def _hash_0_to_16(data: bytes) -> int:
    size = len(data)
    if size > 8:
        a, b = _fetch64(data, 0), _fetch64(data, size - 8)
        return _hash_16(a, _rotate((b + size) & _MASK, size)) ^ b
    if size >= 4:
        return _hash_16((size + (_fetch32(data, 0) << 3)) & _MASK, _fetch32(data, size - 4))
    if size > 0:
        a, b, c = data[0], data[size >> 1], data[size - 1]
        y = a + (b << 8)
        z = size + (c << 2)
        mixed = (y * _K2 & _MASK) ^ (z * _K3 & _MASK)
        return (mixed ^ mixed >> 47) * _K2 & _MASK
    return _K2


def _weak_32(data: bytes, offset: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = struct.unpack_from("<4Q", data, offset)
    return _weak(w, x, y, z, a, b)


def _weak(w: int, x: int, y: int, z: int, a: int, b: int) -> tuple[int, int]:
    a = (a + w) & _MASK
    b = _rotate((b + a + z) & _MASK, 21)
    c = a
    a = (a + x + y) & _MASK
    b = (b + _rotate(a, 44)) & _MASK
    return (a + z) & _MASK, (b + c) & _MASK


def _murmur(data: bytes, low: int, high: int) -> tuple[int, int]:
    """For fewer than 128 bytes."""
    a, b = low, high
    size = len(data)
    if size <= 16:
        shifted = a * _K1 & _MASK
        a = (shifted ^ shifted >> 47) * _K1 & _MASK
        c = (b * _K1 + _hash_0_to_16(data)) & _MASK
        d_in = (a + (_fetch64(data, 0) if size >= 8 else c)) & _MASK
        d = d_in ^ d_in >> 47
    else:
        c = _hash_16((_fetch64(data, size - 8) + _K1) & _MASK, a)
        d = _hash_16((b + size) & _MASK, (c + _fetch64(data, size - 16)) & _MASK)
        a = (a + d) & _MASK
        offset = 0
        left = size - 16
        while left > 0:
            for position, which in ((offset, 0), (offset + 8, 1)):
                value = _fetch64(data, position) * _K1 & _MASK
                value = (value ^ value >> 47) * _K1 & _MASK
                if which == 0:
                    a = (a ^ value) * _K1 & _MASK
                    b ^= a
                else:
                    c = (c ^ value) * _K1 & _MASK
                    d ^= c
            offset += 16
            left -= 16
    a = _hash_16(a, c)
    b = _hash_16(d, b)
    return a ^ b, _hash_16(b, a)


def _with_seed(data: bytes, low: int, high: int) -> tuple[int, int]:
    size = len(data)
    if size < 128:
        return _murmur(data, low, high)
    x, y = low, high
    z = size * _K1 & _MASK
    v0 = (_rotate((y ^ _K1) & _MASK, 49) * _K1 + _fetch64(data, 0)) & _MASK
    v1 = (_rotate(v0, 42) * _K1 + _fetch64(data, 8)) & _MASK
    w0 = (_rotate((y + z) & _MASK, 35) * _K1 + x) & _MASK
    w1 = _rotate((x + _fetch64(data, 88)) & _MASK, 53) * _K1 & _MASK
    offset = 0
    left = size
    while left >= 128:
        for start in (offset, offset + 64):
            f0, f1, f2, f3, f4, f5, f6, f7 = _EIGHT.unpack_from(data, start)
            x = _rotate((x + y + v0 + f2) & _MASK, 37) * _K1 & _MASK
            y = _rotate((y + v1 + f6) & _MASK, 42) * _K1 & _MASK
            x ^= w1
            y ^= v0
            z = _rotate(z ^ w0, 33)
            v0, v1 = _weak(f0, f1, f2, f3, v1 * _K1 & _MASK, (x + w0) & _MASK)
            w0, w1 = _weak(f4, f5, f6, f7, (z + w1) & _MASK, y)
            z, x = x, z
        offset += 128
        left -= 128
    y = (y + _rotate(w0, 37) * _K0 + z) & _MASK
    x = (x + _rotate((v0 + z) & _MASK, 49) * _K0) & _MASK
    tail = 0
    while tail < left:
        tail += 32
        y = (_rotate((y - x) & _MASK, 42) * _K0 + v1) & _MASK
        w0 = (w0 + _fetch64(data, size - tail + 16)) & _MASK
        x = (_rotate(x, 49) * _K0 + w0) & _MASK
        w0 = (w0 + v0) & _MASK
        v0, v1 = _weak_32(data, size - tail, v0, v1)
    x = _hash_16(x, v0)
    y = _hash_16(y, w0)
    return (_hash_16((x + v1) & _MASK, w1) + y) & _MASK, _hash_16((x + w1) & _MASK, (y + v1) & _MASK)


def city_hash_128(data: bytes) -> bytes:
    """The 16 bytes of the checksum, as they stand in front of a block: low half first, little-endian."""
    size = len(data)
    if size >= 16:
        low, high = _with_seed(data[16:], _fetch64(data, 0) ^ _K3, _fetch64(data, 8))
    elif size >= 8:
        low, high = _with_seed(
            b"",
            _fetch64(data, 0) ^ (size * _K0 & _MASK),
            _fetch64(data, size - 8) ^ _K1,
        )
    else:
        low, high = _with_seed(data, _K0, _K1)
    return struct.pack("<QQ", low, high)
