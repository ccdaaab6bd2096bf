"""One rule document, or one filter, in lowered form."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaDetections, SigmaLogSource, SigmaRule

from otel_fim.sigma import ir
from otel_fim.sigma.load.documents import Document
from otel_fim.sigma.load.meta import meta_of
from otel_fim.sigma.lower.expressions import MeaninglessError, expression
from otel_fim.sigma.lower.simplify import any_of, both, split_events
from otel_fim.sigma.mapping.pipeline import otel_fim_pipeline, row_of
from otel_fim.sigma.parse.detections import MalformedError, detections_of

_PLACEHOLDER_DETECTION: Final[Mapping[str, Any]] = {"x": {"x": "x"}, "condition": "x"}


@dataclass(slots=True)
class ReadRule:
    """A rule that was read. `logsource` is pySigma's, which correlations and filters need beside the rule."""

    document: Document
    rule: ir.Rule
    logsource: SigmaLogSource


@dataclass(slots=True)
class ReadFilter:
    """A filter that was read: what it says of rules, not yet of any rule's records. `rules` is None for any."""

    document: Document
    title: str
    id: str
    detection: SigmaDetections
    logsource: SigmaLogSource
    rules: tuple[str, ...] | None


@dataclass(slots=True)
class RuleReader:
    """Reads rules and filters with one pipeline. All methods raise pySigma's and our errors for bad documents."""

    placeholders: Mapping[str, Sequence[str]]
    pipeline: ProcessingPipeline = field(default_factory=otel_fim_pipeline)

    def rule(self, document: Document) -> ReadRule:
        """A document with `detection`."""
        content = document.content
        parsed = SigmaRule.from_dict({**content, "detection": dict(_PLACEHOLDER_DETECTION)})
        logsource = _known(parsed.logsource)
        row_of(logsource)
        parsed.detection = detections_of(content["detection"], placeholders=self.placeholders)
        condition = self._lowered(parsed)
        if condition == ir.Const(False):
            raise MeaninglessError("its condition can never be true")
        names, condition = split_events(condition)
        if names is not None and not names:
            raise MeaninglessError("its condition can never be true: no record has two event names")
        rule = ir.Rule(
            meta=meta_of(parsed, document),
            condition=condition,
            logsource=ir.LogSource(
                logsource.category or "", logsource.product or "", logsource.service or ""
            ),
            event_names=names,
        )
        return ReadRule(document, rule, logsource)

    def filter(self, document: Document) -> ReadFilter:
        """A document with `filter`."""
        content = document.content
        section = content["filter"]
        parsed = SigmaRule.from_dict({**content, "detection": dict(_PLACEHOLDER_DETECTION)})
        detection = detections_of(section, "filter", self.placeholders)
        row_of(_known(parsed.logsource))
        return ReadFilter(
            document,
            parsed.title,
            str(parsed.id or ""),
            detection,
            parsed.logsource,
            _named_rules(section.get("rules")),
        )

    def filtered(self, read: ReadRule, chosen: ReadFilter) -> ir.Rule:
        """The rule with a filter's condition, as it is for the rule's records."""
        made = SigmaRule(
            title=chosen.title, logsource=read.logsource, detection=copy.deepcopy(chosen.detection)
        )
        names, extra = split_events(self._lowered(made))
        rule = read.rule
        if names is None or rule.event_names is None:
            names = rule.event_names if names is None else names
        else:
            names &= rule.event_names
        if extra == ir.Const(False) or (names is not None and not names):
            raise MeaninglessError(f"nothing would be left of {rule.meta.title!r}: exclude that rule instead")
        return replace(rule, condition=both((rule.condition, extra)), event_names=names)

    def _lowered(self, parsed: SigmaRule) -> ir.Expression:
        self.pipeline.apply(parsed)
        return any_of([expression(each.parsed) for each in parsed.detection.parsed_condition])


def _known(logsource: SigmaLogSource) -> SigmaLogSource:
    """Raises `MalformedError` for a key that would be left without a word, and the rule be about more than it says."""
    for key in logsource.custom_attributes or ():
        raise MalformedError(f"logsource has no {key!r}; there are category, product, service and definition")
    return logsource


def _named_rules(value: object) -> tuple[str, ...] | None:
    if value is None or value == []:
        raise MalformedError(
            "a filter must say to which rules it applies: `rules: any`, or a list of ids and names"
        )
    if isinstance(value, str) and value.lower() == "any":
        return None
    named = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in named):
        raise MalformedError("the rules of a filter must be ids and names")
    return tuple(named)
