"""Rules as they stand in their files, beside what the loader made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otel_fim.sigma.ir import Correlation, Meta, Rejected, Rule, RuleSet
from otel_fim.sigma.load import LoadLimits, load_rules, pack_path
from otel_fim.sigma.load.documents import BadDocumentError, Document, documents
from otel_fim.sigma.load.files import RuleFile, find, read

LIMITS: Final = LoadLimits()
SAMPLES: Final = ".samples.yml"


@dataclass(slots=True, frozen=True)
class Source:
    """One document of a rule file: what it says, its text, and the rule that it became, if it did."""

    document: Document
    text: str
    rule: Rule | Correlation | None = None

    @property
    def content(self) -> dict[Any, Any]:
        return self.document.content

    @property
    def path(self) -> str:
        """The file, as it is shown."""
        return self.document.file.shown

    @property
    def title(self) -> str:
        title = self.content.get("title")
        return title if isinstance(title, str) else ""

    @property
    def is_filter(self) -> bool:
        return "filter" in self.content


@dataclass(slots=True)
class Library:
    """All that is in some files and folders."""

    ruleset: RuleSet
    files: list[RuleFile] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    unreadable: list[Rejected] = field(default_factory=list)
    """Files and documents that have no content at all."""

    @property
    def everything(self) -> tuple[Rule | Correlation, ...]:
        return (*self.ruleset.rules, *self.ruleset.correlations)

    def of_file(self, file: RuleFile) -> list[Rule | Correlation]:
        """The rules of one file, in the order in which they stand in it."""
        return [
            source.rule
            for source in self.sources
            if source.document.file.path == file.path and source.rule is not None
        ]

    def source_of(self, rule: Rule | Correlation) -> Source | None:
        return next((source for source in self.sources if source.rule is rule), None)


def library(paths: Sequence[str | Path]) -> Library:
    """Reads files and folders; never raises for what they hold."""
    ruleset = load_rules(paths, limits=LIMITS)
    files, missing = find(paths, LIMITS)
    found = Library(ruleset, files, unreadable=list(missing))
    loaded = _Loaded(ruleset)
    for file in files:
        try:
            text = read(file, LIMITS)
        except ValueError as error:
            found.unreadable.append(Rejected(file.shown, "", str(error)))
            continue
        found.sources += _sources(file, text, loaded, found.unreadable)
    return found


class _Loaded:
    """The rules of a set, by what a document says of itself."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._by_id: dict[str, Rule | Correlation] = {}
        self._by_place: dict[tuple[str, str, str], Rule | Correlation] = {}
        everything: tuple[Rule | Correlation, ...] = (*ruleset.rules, *ruleset.correlations)
        for rule in everything:
            self._by_id[rule.meta.id.lower()] = rule
            self._by_place[_place(rule.meta)] = rule

    def of(self, document: Document) -> Rule | Correlation | None:
        """None for a document that was rejected, and for the second that has the id of another."""
        place = (document.file.ruleset, document.file.relative, str(document.content.get("title", "")))
        id_ = document.content.get("id")
        found = self._by_place.get(place) if id_ is None else self._by_id.get(str(id_).lower())
        if found is None or _place(found.meta)[:2] != place[:2]:
            return None
        return found


def _place(meta: Meta) -> tuple[str, str, str]:
    return meta.ruleset, meta.path, meta.title


def _sources(file: RuleFile, text: str, loaded: _Loaded, unreadable: list[Rejected]) -> Iterator[Source]:
    lines = text.splitlines(keepends=True)
    whole = [*documents(file, text, LIMITS)]
    for number, document in enumerate(whole):
        if isinstance(document, BadDocumentError):
            reason = f"{file.shown}, line {document.line}: {document}"
            unreadable.append(Rejected(file.shown, "", reason))
            continue
        end = whole[number + 1].line - 1 if number + 1 < len(whole) else len(lines)
        part = lines[document.line - 1 : end]
        while part and part[-1].strip() in ("", "---", "..."):
            part.pop()
        yield Source(document, "".join(part), loaded.of(document))


def samples_path(path: str) -> str:
    """Where the samples of a rule file are: `name.samples.yml` beside `name.yml`."""
    return os.path.splitext(path)[0] + SAMPLES


def is_of_pack(path: str) -> bool:
    """Whether a file is one of the project's own rules, which have more to keep to."""
    pack = os.path.realpath(pack_path())
    return os.path.realpath(path).startswith(pack + os.sep)
