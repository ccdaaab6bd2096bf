"""The pySigma processing pipeline from Sigma's fields and log sources to this project's attributes and events.

`otel_fim_pipeline` is what the loader uses and what is published as pySigma's plugin `otel_fim`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sigma.conditions import ConditionAND, ConditionOR, SigmaCondition
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaTransformationError
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations.base import ConditionTransformation, FieldMappingTransformationBase
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaLogSource, SigmaRule
from sigma.types import (
    SigmaBool,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaRegularExpression,
    SigmaString,
    SigmaType,
)

from otel_fim.sigma.mapping.fields import COMMON, HASH_FIELDS, QUOTED_FIELDS, table_of
from otel_fim.sigma.mapping.sources import SourceRow, source_row
from otel_fim.sigma.parse.detections import RECORDS, detection_of
from otel_fim.sigma.parse.modifiers import Reference

_HASH: Final = re.compile(r"(md5|sha1|sha256|imphash)=", re.IGNORECASE)
_DIRECTIONS: Final = {"true": "egress", "false": "ingress"}


def row_of(source: SigmaLogSource) -> SourceRow:
    """What the tables say of a log source. Raises `SigmaTransformationError` with the reason when it has no records."""
    found = source_row(source.category, source.product, source.service)
    if isinstance(found, str):
        written = ", ".join(
            f"{key} {value}"
            for key, value in (
                ("category", source.category),
                ("product", source.product),
                ("service", source.service),
            )
            if value
        )
        raise SigmaTransformationError(f"log source ({written}) has no records here: {found}")
    return found


@dataclass
class RecordsOfLogSource(ConditionTransformation):
    """Adds what a log source asks of a record to a rule's condition."""

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> None:
        if isinstance(rule, SigmaRule):
            rule.detection.detections[RECORDS] = detection_of(row_of(rule.logsource).detection, RECORDS)
            super().apply(rule)

    def apply_condition(self, cond: SigmaCondition) -> None:
        if not cond.condition.startswith(f"{RECORDS} and ("):
            cond.condition = f"{RECORDS} and ({cond.condition})"


@dataclass
class FieldsOfLogSource(FieldMappingTransformationBase):
    """Sigma's fields become attributes, each as the rule's log source has it."""

    def __post_init__(self) -> None:
        self._fields: Mapping[str, str] = table_of(COMMON)
        self._hashes: Mapping[str, str] = {}

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> None:
        if isinstance(rule, SigmaRule):
            row = row_of(rule.logsource)
            self._fields, self._hashes = row.fields, row.hashes
        super().apply(rule)

    def apply_field_name(self, field: str | None) -> str | None:
        if field is None:
            return None
        if field.lower() in self._hashes:
            return self._hashes[field.lower()]
        return self._fields.get(field)

    def apply_detection_item(
        self, detection_item: SigmaDetectionItem
    ) -> SigmaDetection | SigmaDetectionItem | None:
        if detection_item.field in HASH_FIELDS and self._hashes:
            return _by_algorithm(detection_item, self._hashes)
        if detection_item.field == "Initiated":
            detection_item.value = [_direction(each) for each in detection_item.value]
            detection_item.original_value = list(detection_item.value)
        if detection_item.field in QUOTED_FIELDS:
            detection_item.value = [_with_closing_quote(each) for each in detection_item.value]
        detection_item.value = [self._reference(each) for each in detection_item.value]
        mapped = self.apply_field_name(detection_item.field)
        if mapped is not None:
            detection_item.field = mapped
        return None

    def _reference(self, value: SigmaType) -> SigmaType:
        if not isinstance(value, SigmaFieldReference):
            return value
        made = Reference(
            self.apply_field_name(value.field) or value.field, value.starts_with, value.ends_with
        )
        made.cased = isinstance(value, Reference) and value.cased
        return made


def _with_closing_quote(value: SigmaType) -> SigmaType:
    """An ending, with and without a quote behind it: `| sh` ends `sh -c 'curl x | sh'`, whose last argument has to be
    quoted, and rules are written for arguments with nothing but spaces between them."""
    if isinstance(value, SigmaExpansion):
        return SigmaExpansion([_with_closing_quote(each) for each in value.values])
    if not isinstance(value, SigmaString) or len(value.s) < 2 or not isinstance(value.s[-1], str):
        return value
    quoted = value.__class__()
    quoted.s = [*value.s[:-1], f"{value.s[-1]}'"]
    return SigmaExpansion([value, quoted])


def _direction(value: SigmaType) -> SigmaType:
    if isinstance(value, SigmaBool | SigmaString):
        told = _DIRECTIONS.get(str(value).lower())
        if told is not None:
            return SigmaString(told)
    return value


def _by_algorithm(item: SigmaDetectionItem, attributes: Mapping[str, str]) -> SigmaDetection:
    """`SHA256=ab…` and `MD5=cd…` as tests of the attributes that hold these hashes."""
    grouped: dict[str, list[SigmaType]] = {}
    for value in item.value:
        algorithm, bare = _without_algorithm(value)
        grouped.setdefault(attributes.get(algorithm, attributes["sha256"]), []).append(bare)
    items: Sequence[SigmaDetectionItem] = [
        replace(item, field=attribute, value=values, negated=False, auto_modifiers=False)
        for attribute, values in grouped.items()
    ]
    for each in items:
        each.negated = item.negated
    # not (a or b) is not a and not b
    linking = _opposite(item) if item.negated else item.value_linking
    return SigmaDetection(list(items), item_linking=linking)


def _opposite(item: SigmaDetectionItem) -> type[ConditionAND] | type[ConditionOR]:
    return ConditionOR if item.value_linking is ConditionAND else ConditionAND


def _without_algorithm(value: SigmaType) -> tuple[str, SigmaType]:
    if isinstance(value, SigmaRegularExpression | SigmaFieldReference):
        raise SigmaTransformationError(
            "Hashes is many attributes here, so neither re nor fieldref can be used with it: name sha256, sha1 or md5"
        )
    if not isinstance(value, SigmaString):
        return "", value
    if sum(part.count("=") for part in value.s if isinstance(part, str)) > 1 or "," in str(value):
        raise SigmaTransformationError(
            "a value of Hashes has several hashes: write each as a value of its own"
        )
    for place, part in enumerate(value.s):
        if isinstance(part, str):
            found = _HASH.match(part)
            if found is None:
                return "", value
            bare = value.__class__()
            bare.s = [*value.s[:place], part[found.end() :], *value.s[place + 1 :]]
            return found[1].lower(), bare
    return "", value


def otel_fim_pipeline() -> ProcessingPipeline:
    """Sigma's fields and log sources as this project's records have them."""
    return ProcessingPipeline(
        name="otel-fim",
        priority=20,
        allowed_backends=frozenset(),
        items=[
            ProcessingItem(identifier="otel_fim_records", transformation=RecordsOfLogSource()),
            ProcessingItem(identifier="otel_fim_fields", transformation=FieldsOfLogSource()),
        ],
    )
