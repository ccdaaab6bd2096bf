"""The event buffer that read(2) on a fanotify group fills, taken apart (fanotify(7), struct fanotify_event_metadata).

A file or directory is named by a key: the eight bytes of the file system's id, then the file handle as
`HandleReader` gives it. Keys from events and from name_to_handle_at(2) are equal for the same file.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from otel_fim.receivers.file_integrity.backends.fanotify_api import (
    FAN_MOVED_FROM,
    FAN_MOVED_TO,
    FAN_ONDIR,
    FAN_RENAME,
    INFO_DFID,
    INFO_DFID_NAME,
    INFO_FID,
    INFO_NEW_DFID_NAME,
    INFO_OLD_DFID_NAME,
    INFO_PIDFD,
    METADATA_VERSION,
)

_METADATA: Final = struct.Struct("=IBxHQii")
_INFO: Final = struct.Struct("=BxH")
_PIDFD: Final = struct.Struct("=i")
_LENGTH: Final = struct.Struct("=I")
_INFO_SIZE: Final = _INFO.size
_FSID_SIZE: Final = 8
_HANDLE_AT: Final = _INFO_SIZE + _FSID_SIZE
_KEY_HEADER: Final = _FSID_SIZE + 8


class Event(NamedTuple):
    """One event. Keys are b"" and names b"" where the event has none; `pidfd` is None when the group reports none.

    `directory` and `name` are the entry that the event is about (for FAN_RENAME the old one); the name of an
    event about a directory itself is b".". `file` is the key of the file that the entry stands for.
    """

    mask: int
    pid: int
    pidfd: int | None
    directory: bytes
    name: bytes
    file: bytes
    new_directory: bytes
    new_name: bytes


class Parsed(NamedTuple):
    """What a buffer held, and what was wrong behind it (None: nothing)."""

    events: list[Event]
    error: str | None


def parse(buffer: bytes) -> Parsed:
    """All events of a buffer in order. Never raises: at the first malformed byte it stops and says so."""
    events: list[Event] = []
    at = 0
    total = len(buffer)
    while at < total:
        if total - at < _METADATA.size:
            return Parsed(events, f"{total - at} bytes are too few for an event")
        length, version, header, mask, _, pid = _METADATA.unpack_from(buffer, at)
        if version != METADATA_VERSION:
            return Parsed(events, f"the event format has version {version} instead of {METADATA_VERSION}")
        end = at + length
        if header < _METADATA.size or length < header or end > total:
            return Parsed(events, f"an event states a length of {length} bytes, {total - at} are there")
        event, error = _parse_records(buffer, at + header, end, mask, pid)
        events.append(event)
        if error is not None:
            return Parsed(events, error)
        at = end
    return Parsed(events, None)


def _parse_records(buffer: bytes, at: int, end: int, mask: int, pid: int) -> tuple[Event, str | None]:
    pidfd: int | None = None
    directory = name = file = new_directory = new_name = b""
    error: str | None = None
    while at < end:
        if end - at < _INFO_SIZE:
            error = f"{end - at} bytes are too few for a record"
            break
        kind, length = _INFO.unpack_from(buffer, at)
        if length < _INFO_SIZE or at + length > end:
            error = f"a record of type {kind} states a length of {length} bytes, {end - at} are there"
            break
        if kind == INFO_PIDFD:
            if length < _INFO_SIZE + _PIDFD.size:
                error = "a pidfd record is too short"
                break
            (pidfd,) = _PIDFD.unpack_from(buffer, at + _INFO_SIZE)
        elif kind in _WITH_HANDLE:
            start = at + _INFO_SIZE
            if length < _INFO_SIZE + _KEY_HEADER:
                error = f"a record of type {kind} is too short for a file handle"
                break
            (size,) = _LENGTH.unpack_from(buffer, at + _HANDLE_AT)
            key_end = start + _KEY_HEADER + size
            if key_end > at + length:
                error = f"a file handle states {size} bytes, which do not fit into its record"
                break
            key = buffer[start:key_end]
            if kind == INFO_FID:
                file = key
            else:
                # The name ends with a NUL and is padded with more of them.
                entry = buffer[key_end : at + length].partition(b"\0")[0]
                if kind == INFO_NEW_DFID_NAME:
                    new_directory, new_name = key, entry
                else:
                    directory, name = key, entry
        at += length
    return Event(mask, pid, pidfd, directory, name, file, new_directory, new_name), error


_WITH_HANDLE: Final = frozenset((INFO_FID, INFO_DFID_NAME, INFO_DFID, INFO_OLD_DFID_NAME, INFO_NEW_DFID_NAME))


def pair_moves(events: list[Event]) -> list[Event]:
    """For kernels that tell a rename as two events: makes one FAN_RENAME of a FAN_MOVED_FROM that is followed at
    once by a FAN_MOVED_TO of the same process. Nothing in the events proves that they belong together; who
    takes the pair for a rename has to compare the files."""
    paired: list[Event] = []
    for event in events:
        if event.mask & ~FAN_ONDIR == FAN_MOVED_TO and paired:
            last = paired[-1]
            if last.mask == event.mask ^ FAN_MOVED_TO ^ FAN_MOVED_FROM and last.pid == event.pid:
                mask = FAN_RENAME | (event.mask & FAN_ONDIR)
                # Of the two pidfds one is used; the caller closes those of the events that were read.
                paired[-1] = last._replace(mask=mask, new_directory=event.directory, new_name=event.name)
                continue
        paired.append(event)
    return paired


def pidfds(events: list[Event]) -> list[int]:
    """Every descriptor that came with the events; the reader has to close them."""
    return [event.pidfd for event in events if event.pidfd is not None and event.pidfd >= 0]
