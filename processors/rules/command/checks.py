"""What a rule has to say of itself."""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import Final
from uuid import UUID

from otel_fim.config.errors import did_you_mean
from otel_fim.processors.rules.command.problems import Problems, Subject
from otel_fim.sigma.ir import Level

AUTHOR: Final = "The otel-fim authors"
LICENSE: Final = "Apache-2.0"
TITLE_LENGTH: Final = range(8, 81)
MIN_DESCRIPTION: Final = 40
_STATUSES: Final = ("stable", "test", "experimental", "deprecated", "unsupported")
_CONFIDENCES: Final = ("low", "medium", "high")
_FILE_NAME: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\.yml")
_MAX_FILE_NAME: Final = 70
_KEYS: Final = frozenset(
    (
        *("title", "id", "name", "related", "taxonomy", "status", "description", "license", "author"),
        *("references", "date", "modified", "logsource", "detection", "correlation", "filter", "fields"),
        *("falsepositives", "level", "tags", "scope", "confidence", "attack"),
    )
)
_EMPTY_WORDS: Final = ("none", "unknown", "unlikely", "n/a", "tbd", "todo")


def identity(subject: Subject) -> Problems:
    """Id, title, name of the file."""
    id_ = subject.content.get("id")
    if id_ is None:
        yield subject.error("id", "it has no `id`: give it a UUID (version 4)")
    else:
        try:
            version = UUID(str(id_)).version
        except ValueError:
            yield subject.error("id", f"the id {str(id_)[:60]!r} is no UUID")
        else:
            if subject.own and version != 4:
                yield subject.error("id", f"the id {id_} is no UUID of version 4")
    title = subject.text("title")
    if not title:
        yield subject.error("title", "it has no `title`")
    elif len(title) not in TITLE_LENGTH:
        yield subject.error(
            "title",
            f"the title has {len(title)} characters; {TITLE_LENGTH.start} to {TITLE_LENGTH.stop - 1} fit a line",
        )
    elif title.endswith("."):
        yield subject.error("title", "the title ends with a full stop")
    file_name = os.path.basename(subject.source.document.file.path)
    if subject.own and (not _FILE_NAME.fullmatch(file_name) or len(file_name) > _MAX_FILE_NAME):
        yield subject.error(
            "file name",
            f"the file is called {file_name}; small letters, digits and single underscores make a name, with .yml",
        )


def keys(subject: Subject) -> Problems:
    """Keys at the top of the document."""
    for key in subject.content:
        if key not in _KEYS:
            hint = did_you_mean(str(key), sorted(_KEYS))
            yield subject.error("keys", f"unknown key {str(key)[:60]!r}{hint}")


def origin(subject: Subject) -> Problems:
    """Whose it is, under which licence, since when."""
    author, license_ = subject.text("author"), subject.text("license")
    if not author:
        yield subject.lacks("author", "it has no `author`")
    elif subject.own and author != AUTHOR:
        yield subject.error("author", f"the author is {author!r}; rules of the pack are by {AUTHOR!r}")
    if not license_:
        yield subject.lacks("license", "it has no `license`: findings carry it")
    elif subject.own and license_ != LICENSE:
        yield subject.error("license", f"the licence is {license_!r}; rules of the pack are under {LICENSE}")
    dates = {}
    for key in ("date", "modified"):
        value = subject.content.get(key)
        if value is None:
            continue
        try:
            dates[key] = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))
        except ValueError:
            yield subject.error("date", f"`{key}` is {value!r}; write it as 2026-11-21")
    if "date" not in subject.content and subject.finds:
        yield subject.lacks("date", "it has no `date`")
    if len(dates) == 2 and dates["modified"] < dates["date"]:
        yield subject.error("date", "it was modified before its date")


def meaning(subject: Subject) -> Problems:
    """What it looks for, how bad it is, what else looks like it. Not asked of what only feeds correlations."""
    if not subject.finds:
        return
    description = subject.text("description")
    if not description:
        yield subject.lacks("description", "it has no `description`")
    elif subject.own and len(description) < MIN_DESCRIPTION:
        yield subject.error(
            "description", "the description does not say what is looked for and what to do about it"
        )
    level = subject.content.get("level")
    levels = [each.value for each in Level]
    if level is None:
        yield subject.error("level", f"it has no `level`: {', '.join(levels)}")
    elif level not in levels:
        yield subject.error("level", f"the level is {level!r}; there are {', '.join(levels)}")
    status = subject.content.get("status")
    if status not in _STATUSES:
        yield subject.error("status", f"the status is {status!r}; there are {', '.join(_STATUSES)}")
    confidence = subject.content.get("confidence")
    if (subject.own or confidence is not None) and confidence not in _CONFIDENCES:
        yield subject.error(
            "confidence", f"`confidence` is {confidence!r}; there are {', '.join(_CONFIDENCES)}"
        )
    yield from _references(subject)
    yield from _false_positives(subject)


def _references(subject: Subject) -> Problems:
    references = subject.texts("references")
    if not references:
        yield subject.lacks("references", "it has no `references`: name a page that says why this matters")
    for reference in references:
        if not reference.startswith(("https://", "http://")) or " " in reference:
            yield subject.lacks("references", f"{reference[:80]!r} is no address of a page")


def _false_positives(subject: Subject) -> Problems:
    said = subject.texts("falsepositives")
    if not said:
        yield subject.lacks("false positives", "it has no `falsepositives`: say what else looks like this")
    for text in said:
        if subject.own and text.strip().strip(".").lower() in _EMPTY_WORDS:
            yield subject.error("false positives", f"{text!r} says nothing: who does this for a good reason?")


CHECKS: Final = (identity, keys, origin, meaning)
