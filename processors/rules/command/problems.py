"""What is wrong with a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from otel_fim.processors.rules.command.reading import Source


@dataclass(slots=True, frozen=True)
class Problem:
    """`check` names what was looked at; `is_error` is false for what may be meant."""

    path: str
    line: int
    title: str
    check: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        kind = "error" if self.is_error else "warning"
        return f"{self.path}:{self.line}: {kind}: {self.message} [{self.check}]"


@dataclass(slots=True, frozen=True)
class Subject:
    """A rule that is being looked at: `own` for rules of the project, which have more to keep to; `finds` is false for
    a rule that only feeds correlations, which needs less."""

    source: Source
    own: bool
    finds: bool

    @property
    def content(self) -> dict[Any, Any]:
        return self.source.content

    def text(self, key: str) -> str:
        """A text at the top of the document; empty for anything else."""
        value = self.content.get(key)
        return value.strip() if isinstance(value, str) else ""

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty for anything else."""
        value = self.content.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def error(self, check: str, message: str) -> Problem:
        document = self.source.document
        return Problem(document.file.shown, document.line, self.source.title, check, message)

    def warning(self, check: str, message: str) -> Problem:
        document = self.source.document
        return Problem(document.file.shown, document.line, self.source.title, check, message, False)

    def lacks(self, check: str, message: str) -> Problem:
        """Something that a rule of the project must have, and that is good to have in others."""
        return self.error(check, message) if self.own else self.warning(check, message)


Problems = Iterator[Problem]
