"""What the receiver must not forget: where each source stands, which logins last, what was told lately.

One file, replaced as a whole. It says what was true when all records before it were durable: after a crash the sources
go on from there, and what they tell again is recognised.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from otel_fim.host.procfs import boot_id
from otel_fim.journal.files import replace_file

VERSION: Final = 1


@dataclass(slots=True)
class Kept:
    """`positions` by the name of the source; `sessions` and `stories` in the form of their owners."""

    positions: dict[str, Any] = field(default_factory=dict)
    sessions: list[Any] = field(default_factory=list)
    stories: list[Any] = field(default_factory=list)
    problem: str | None = None


class StateFile:
    """`auth.json` in the receiver's state directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "auth.json"

    def read(self) -> Kept:
        """What was kept, with the logins of this boot only. A file that cannot be used is `problem`, never an error."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return Kept()
        except OSError as error:
            return Kept(problem=f"{self.path} cannot be read: {error.strerror}; the sources begin anew")
        try:
            found = orjson.loads(content)
            if not isinstance(found, dict) or found.get("version") != VERSION:
                raise ValueError("of another version")
            if not isinstance(found["positions"], dict):
                raise TypeError("without positions")
            kept = Kept(found["positions"], list(found["sessions"]), list(found["stories"]))
        except (ValueError, KeyError, TypeError) as error:
            return Kept(problem=f"{self.path} is damaged ({error}); the sources begin anew")
        if found.get("boot") != boot_id():
            kept.sessions = []
        return kept

    def write(self, content: bytes) -> None:
        """Replaces the file. Raises `OSError`; the old one stands then."""
        replace_file(self.path, content)


def encode(positions: dict[str, Any], sessions: list[Any], stories: list[Any]) -> bytes:
    """The file's content."""
    return orjson.dumps(
        {
            "version": VERSION,
            "boot": boot_id(),
            "positions": positions,
            "sessions": sessions,
            "stories": stories,
        }
    )
