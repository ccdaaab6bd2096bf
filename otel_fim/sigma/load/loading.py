"""Files, documents, rules, filters, correlations: the whole way, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from otel_fim.sigma import ir
from otel_fim.sigma.load import correlations as c
from otel_fim.sigma.load.documents import BadDocumentError, Document, documents
from otel_fim.sigma.load.files import RuleFile, find, read
from otel_fim.sigma.load.kinds import kind_of
from otel_fim.sigma.load.limits import LoadLimits
from otel_fim.sigma.load.names import Names, UnknownRuleError
from otel_fim.sigma.load.reasons import reason_of
from otel_fim.sigma.load.resolve import Resolver, with_emits
from otel_fim.sigma.load.rules import ReadFilter, ReadRule, RuleReader

_NO_PATHS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class Loading:
    """One loading. `began` is told of each file before it is read (and of `""` before what concerns them all)."""

    limits: LoadLimits
    placeholders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    began: Callable[[str], None] = lambda _: None
    names: Names = field(default_factory=Names)
    rules: dict[str, ReadRule] = field(default_factory=dict)
    correlations: dict[str, c.ReadCorrelation] = field(default_factory=dict)
    filters: list[ReadFilter] = field(default_factory=list)
    rejected: list[ir.Rejected] = field(default_factory=list)
    _reader: RuleReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = RuleReader(self.placeholders)

    def load(self, paths: Sequence[str | Path], without: Mapping[str, str] = _NO_PATHS) -> ir.RuleSet:
        """The rules of `paths`; files in `without` are rejected for the reason given there and not read."""
        files, rejected = find(paths, self.limits)
        self.rejected += rejected
        for file in files:
            reason = without.get(file.path)
            if reason is not None:
                self.rejected.append(ir.Rejected(file.shown, "", f"{file.shown}: {reason}"))
                continue
            self.began(file.path)
            self._file(file)
        self.began("")
        self._filter()
        return self._finished()

    def _file(self, file: RuleFile) -> None:
        try:
            text = read(file, self.limits)
        except (ValueError, MemoryError) as error:
            self.rejected.append(ir.Rejected(file.shown, "", str(error) or f"{file.shown}: out of memory"))
            return
        for found in documents(file, text, self.limits):
            if isinstance(found, BadDocumentError):
                what = f", {found.title!r}" if found.title else ""
                reason = f"{file.shown}, line {found.line}{what}: {found}"
                self.rejected.append(ir.Rejected(file.shown, found.title, reason))
            else:
                self._document(found)

    def _document(self, document: Document) -> None:
        try:
            kind = kind_of(document.content)
            if kind == "detection":
                rule = self._reader.rule(document)
                self._register(rule.rule.meta, document)
                self.rules[rule.rule.meta.id] = rule
            elif kind == "correlation":
                correlation = c.read_correlation(document)
                self._register(correlation.meta, document)
                self.correlations[correlation.meta.id] = correlation
            else:
                self.filters.append(self._reader.filter(document))
        except Exception as error:  # noqa: BLE001 - pySigma raises what it likes for what it did not expect
            self._reject(document, error)

    def _register(self, meta: ir.Meta, document: Document) -> None:
        other = self.names.known(meta.id)
        if other is not None:
            where = f"{other.title!r} in {other.ruleset}/{other.path}"
            if document.content.get("id"):
                raise ValueError(f"its id {meta.id} is that of {where} too: give it another")
            raise ValueError(
                f"it has no id, and is called the same as {where}: give each an id, or another name"
            )
        self.names.add(meta)

    def _reject(self, document: Document, error: Exception) -> None:
        content = document.content
        title = content.get("title")
        shown = str(title)[:256] if title is not None else ""
        where = f"{document.file.shown}, line {document.line}"
        what = f"{where}, {shown!r}" if shown else where
        id_ = str(content.get("id") or "")[:64]
        self.names.reject((content.get("id"), content.get("name")), shown or where)
        self.rejected.append(ir.Rejected(document.file.shown, shown, f"{what}: {reason_of(error)}", id_))

    def _filter(self) -> None:
        for each in self.filters:
            try:
                # All of them or none: a filter that is named as rejected has changed no rule.
                self.rules |= {
                    id_: replace(self.rules[id_], rule=self._reader.filtered(self.rules[id_], each))
                    for id_ in self._meant(each)
                }
            except Exception as error:  # noqa: BLE001 - as above
                self._reject(each.document, error)

    def _meant(self, chosen: ReadFilter) -> list[str]:
        if chosen.rules is None:
            return [id_ for id_, rule in self.rules.items() if rule.logsource in chosen.logsource]
        meant = []
        for name in chosen.rules:
            id_ = self.names.id_of(name, chosen.document)
            if id_ not in self.rules:
                raise UnknownRuleError(
                    f"{name!r} is a correlation, and filters are for rules: name the rules that it refers to"
                )
            if self.rules[id_].logsource not in chosen.logsource:
                raise UnknownRuleError(
                    f"{name!r} has another log source than the filter: write a filter for its log source"
                )
            meant.append(id_)
        return meant

    def _finished(self) -> ir.RuleSet:
        resolver = Resolver(self.names, self.rules)
        running = resolver.resolve(self.correlations.values())
        for read_, error in resolver.failed.values():
            self._reject(read_.document, error)
        references: dict[str, bool] = {}
        for each in self.correlations.values():
            for name in each.rules:
                try:
                    id_ = self.names.id_of(name, each.document)
                except UnknownRuleError:
                    continue
                # A rule that was written for a correlation stays silent when that is rejected.
                references[id_] = references.get(id_, False) or each.generate
        rules, correlations = with_emits((each.rule for each in self.rules.values()), running, references)
        return ir.RuleSet(rules, correlations, tuple(self.rejected))
