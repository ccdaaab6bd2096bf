"""Closed segments in zstd, in the seekable format: frames of whole lines, then a table of where they are.

Any zstd program reads such a file (`zstd -dc`); the table lies in a skippable frame. The format is facebook/zstd,
contrib/seekable_format/zstd_seekable_compression_format.md, version 0.1.0.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from otel_fim.journal import files

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZstdError = zstd.ZstdError

FRAME_BYTES: Final = 2**20
"""A frame ends at the first line end after this many bytes."""
_FRAME_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC: Final = 0x184D2A5E
_SEEKABLE_MAGIC: Final = 0x8F92EAB1
_ENTRY: Final = struct.Struct("<II")
_HEADER: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")


@dataclass(slots=True, frozen=True)
class Frame:
    """Where a frame lies: in the file (`offset`, `size`) and in the lines (`start`, `length`), bytes."""

    offset: int
    size: int
    start: int
    length: int


def compress(source: int, target: int, length: int, stop: Callable[[], bool]) -> bool:
    """Compresses the first `length` bytes of the file `source` into the empty file `target`.

    False when `stop` said so in between.
    """
    entries = bytearray()
    offset = 0
    for data in _whole_lines(source, length):
        if stop():
            return False
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
        frame = compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)
        files.write_at(target, frame, offset)
        offset += len(frame)
        entries += _ENTRY.pack(len(frame), len(data))
    count = len(entries) // _ENTRY.size
    footer = _FOOTER.pack(count, 0, _SEEKABLE_MAGIC)
    header = _HEADER.pack(_SKIPPABLE_MAGIC, len(entries) + len(footer))
    files.write_at(target, header + bytes(entries) + footer, offset)
    return True


def read_table(descriptor: int) -> list[Frame]:
    """The frames of a file, from its table, or found one by one when the table is damaged or missing."""
    size = os.fstat(descriptor).st_size
    return _from_table(descriptor, size) or _from_frames(os.pread(descriptor, size, 0))


def read_frame(descriptor: int, frame: Frame) -> bytes:
    """The lines of a frame. Raises `ZstdError` when the frame is damaged (its checksum tells)."""
    data = zstd.decompress(os.pread(descriptor, frame.size, frame.offset))
    if len(data) != frame.length:
        raise ZstdError(f"{len(data)} bytes in a frame of {frame.length}")
    return data


def _whole_lines(source: int, length: int) -> Iterator[bytes]:
    """Pieces of about `FRAME_BYTES` that end with a line."""
    position, pending = 0, b""
    while position < length:
        piece = os.pread(source, min(FRAME_BYTES, length - position), position)
        if not piece:
            raise OSError(f"the segment ends after {position} of {length} bytes")
        position += len(piece)
        pending += piece
        cut = pending.rfind(b"\n") + 1
        if cut:
            yield pending[:cut]
            pending = pending[cut:]
    if pending:
        yield pending


def _from_table(descriptor: int, size: int) -> list[Frame] | None:
    if size < _HEADER.size + _FOOTER.size:
        return None
    footer = os.pread(descriptor, _FOOTER.size, size - _FOOTER.size)
    if len(footer) != _FOOTER.size:
        return None
    count, flags, magic = _FOOTER.unpack(footer)
    # Bit 7 announces a checksum in each entry, which `compress` does not write.
    table_start = size - _FOOTER.size - count * _ENTRY.size
    if magic != _SEEKABLE_MAGIC or flags or table_start < _HEADER.size:
        return None
    table = os.pread(descriptor, count * _ENTRY.size, table_start)
    frames, offset, start = [], 0, 0
    for compressed, plain in _ENTRY.iter_unpack(table):
        frames.append(Frame(offset, compressed, start, plain))
        offset += compressed
        start += plain
    return frames if offset + _HEADER.size == table_start else None


def _from_frames(data: bytes) -> list[Frame]:
    """Walks the frames; jumps over what is no frame to the next one."""
    frames: list[Frame] = []
    view = memoryview(data)
    position = data.find(_FRAME_MAGIC)
    start = 0
    while position >= 0:
        try:
            size = zstd.get_frame_size(view[position:])
            length = zstd.get_frame_info(view[position:]).decompressed_size
        except ZstdError:
            size, length = 1, None
        if length is not None:
            frames.append(Frame(position, size, start, length))
            start += length
        position = data.find(_FRAME_MAGIC, position + size)
    return frames
