"""What a rule says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid5

from sigma.rule import SigmaRuleBase

from otel_fim.attack import read_tags
from otel_fim.sigma.ir import Level, Meta
from otel_fim.sigma.load.documents import Document

_NAMESPACE: Final = UUID("1c0f2f0e-6d0b-5f2c-9f6a-0a1d5c3d2a11")
_CONFIDENCES: Final = ("low", "medium", "high")
_COMPLIANCE: Final = ("pci_dss.", "nist_800_53.", "hipaa.", "soc2.", "cis.")
CONFIDENCE: Final = "confidence"


def meta_of(rule: SigmaRuleBase, document: Document) -> Meta:
    """Raises `ValueError` for a `confidence` that is none."""
    confidence = rule.custom_attributes.get(CONFIDENCE, "medium")
    if confidence not in _CONFIDENCES:
        raise ValueError(f"confidence is {confidence!r}; it is low, medium or high")
    tags = tuple(str(tag) for tag in rule.tags)
    attack = read_tags(tags)
    return Meta(
        id=str(rule.id) if rule.id is not None else made_id(document, rule.name or rule.title),
        title=rule.title,
        level=Level(str(rule.level)) if rule.level is not None else Level.MEDIUM,
        name=rule.name or "",
        description=(rule.description or "").strip(),
        status=str(rule.status) if rule.status is not None else "",
        author=rule.author or "",
        license=rule.license or "",
        references=_texts(rule.references),
        tags=tags,
        false_positives=_texts(rule.falsepositives),
        date=_date(rule.date),
        modified=_date(rule.modified),
        techniques=attack.techniques,
        tactics=attack.tactics,
        redirected=attack.redirected,
        compliance=tuple(tag for tag in tags if tag.startswith(_COMPLIANCE)),
        confidence=confidence,
        ruleset=document.file.ruleset,
        path=document.file.relative,
    )


def made_id(document: Document, what: str) -> str:
    """An id for a rule that has none: the same as long as its ruleset, file and name stay."""
    return str(uuid5(_NAMESPACE, f"{document.file.ruleset}/{document.file.relative}:{what}"))


def _texts(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(str(value) for value in values or () if value is not None)


def _date(value: dt.date | None) -> str:
    if value is None:
        return ""
    return (value.date() if isinstance(value, dt.datetime) else value).isoformat()
