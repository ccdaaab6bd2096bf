"""`journal.json`, which says what the directory is, and `clean.json`, which says how the last run ended."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from otel_fim.journal import files
from otel_fim.journal.errors import JournalFormatError
from otel_fim.journal.segment import Segment

FORMAT: Final = "otel-fim-journal"
VERSION: Final = 1
"""The newest format that this program writes and reads; docs/journal.md describes it."""


@dataclass(slots=True, frozen=True)
class Metadata:
    """`id` tells this journal from another that may one day lie in the same place; `created` is new."""

    id: str
    created: bool


def load_metadata(directory: Path, known: Collection[str], logger: logging.Logger) -> Metadata:
    """Reads `journal.json`, or writes it for a new journal. Raises `JournalFormatError` for a newer format.

    `known` are the journals that the cursors belong to: where there is only one, a `journal.json` that was lost
    gets its id back, and readers go on where they were.
    """
    path = directory / "journal.json"
    try:
        content = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return _create(path, known)
    except ValueError:
        # Nothing in it is needed to read the segments, so a damaged one must not keep the agent down.
        logger.error("%s is damaged; it is kept as journal.json.damaged and written anew", path)
        path.replace(path.with_name("journal.json.damaged"))
        return _create(path, known)
    version = content.get("version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(version, int):
        raise JournalFormatError(
            f"{path}: this is not a journal of otel-fim; set another service.state_directory"
        )
    if version > VERSION:
        raise JournalFormatError(
            f"{path}: the journal has format version {version}, this program knows up to {VERSION}; run the "
            "newer otel-fim that wrote it, or set another service.state_directory"
        )
    return Metadata(str(content.get("id")), created=False)


def _create(path: Path, known: Collection[str]) -> Metadata:
    identity = next(iter(known)) if len(known) == 1 else str(uuid.uuid4())
    content = {
        "format": FORMAT,
        "version": VERSION,
        "id": identity,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    files.replace_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return Metadata(identity, created=True)


@dataclass(slots=True, frozen=True)
class CleanStop:
    """How a run left the newest segment: its first record, its length in bytes, and the next record's number."""

    segment: int
    length: int
    next_record: int

    def fits(self, segment: Segment) -> bool:
        """Whether the segment is as it was left."""
        return (self.segment, self.length) == (segment.first, segment.length)


def write_clean_stop(directory: Path, stop: CleanStop) -> None:
    """Says that nothing was under way at the end."""
    content = {"segment": stop.segment, "length": stop.length, "next_record": stop.next_record}
    files.replace_file(directory / "clean.json", orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))


def take_clean_stop(directory: Path) -> CleanStop | None:
    """Reads and removes what `write_clean_stop` wrote; None after a crash."""
    path = directory / "clean.json"
    try:
        content = orjson.loads(path.read_bytes())
        stop = CleanStop(int(content["segment"]), int(content["length"]), int(content["next_record"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        stop = None
    files.remove(path)
    files.sync_directory(directory)
    return stop
