"""Where a stream goes on: after the journal's last record, or, when that cannot be, with a new stream."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim.chain import EMPTY_HASH, sealed_record
from otel_fim.journal.files import replace_file
from otel_fim.record import Record

STATE_FILE: Final = "stream.json"


@dataclass(slots=True)
class Position:
    """The end of a stream: the last number given out, its hash and the resource hash that holds there.

    `previous` and `reason` tell of a stream that has no record yet what was before it: `none`, or `unknown` and
    a sentence why.
    """

    stream_id: str
    number: int = 0
    hash: str = EMPTY_HASH
    resource_hash: str = ""
    previous: str = "none"
    reason: str = ""


def find_position(last: Record | None, remembered: str | None) -> Position:
    """The position to go on from, given the journal's last record and the stream id that was remembered."""
    if last is None:
        if remembered is None:
            return Position(new_stream_id())
        return _lost(f"the journal is empty, but there was a stream {remembered}")
    try:
        sealed = sealed_record(last)
    except ValueError as error:
        return _lost(f"the journal's last record cannot be verified: {error}")
    if sealed is None:
        return _lost("the journal's last record is not sealed")
    if not sealed.is_whole or sealed.number < 1 or not sealed.stream_id:
        return _lost(f"the journal's last record (number {sealed.number}) is not what was sealed")
    if remembered is not None and remembered != sealed.stream_id:
        return _lost(f"the journal ends in stream {sealed.stream_id}, but the last stream was {remembered}")
    return Position(sealed.stream_id, sealed.number, sealed.claimed_hash, sealed.resource_hash)


def _lost(reason: str) -> Position:
    return Position(new_stream_id(), previous="unknown", reason=reason)


def new_stream_id() -> str:
    """A UUID of version 7 (RFC 9562): ids sort by the time at which their streams began."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def remembered_stream(directory: Path) -> str | None:
    """The id of the last stream begun here; None when there was none, "" when the file cannot be read.

    Raises `OSError` other than for a missing file.
    """
    try:
        content = (directory / STATE_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        stream_id = json.loads(content)["stream_id"]
    except (ValueError, KeyError, TypeError):
        return ""
    return stream_id if isinstance(stream_id, str) else ""


def remember_stream(directory: Path, stream_id: str) -> None:
    """Writes the id down, durably. Raises `OSError`."""
    content = json.dumps({"version": 1, "stream_id": stream_id}) + "\n"
    replace_file(directory / STATE_FILE, content.encode())
