"""Writes techniques and tactics into a record: the Elastic Common Schema's `threat.` attributes."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from otel_fim import names
from otel_fim.attack.model import Tactic, Technique
from otel_fim.attack.release import FRAMEWORK
from otel_fim.attack.table import TACTICS, TECHNIQUES, resolve
from otel_fim.attack.tags import PREFIX, resolve_tactics


def annotate(
    attributes: MutableMapping[str, Any],
    techniques: Sequence[str],
    tactics: Sequence[str] = (),
    confidence: str = "",
    evidence: str = "",
) -> None:
    """Writes what is known about the technique, the best supported one first.

    `techniques` are ids (revoked ones are replaced, unknown ones left out); `tactics` are ids, names or short names,
    and those of the techniques when there are none. Empty `confidence` and `evidence` are not written. Without any
    technique or tactic nothing is written at all.
    """
    found = list(dict.fromkeys(t for t in map(resolve, techniques) if t is not None))
    shown = list(dict.fromkeys(_stated(tactics))) or _own(found)
    if not found and not shown:
        return
    attributes[names.THREAT_FRAMEWORK] = FRAMEWORK
    if shown:
        attributes[names.THREAT_TACTIC_ID] = [tactic.id for tactic in shown]
        attributes[names.THREAT_TACTIC_NAME] = [tactic.name for tactic in shown]
    if found:
        parents = list(dict.fromkeys(technique.parent_id for technique in found))
        attributes[names.THREAT_TECHNIQUE_ID] = parents
        attributes[names.THREAT_TECHNIQUE_NAME] = [TECHNIQUES[parent].name for parent in parents]
    sub = [technique for technique in found if technique.is_subtechnique]
    if sub:
        attributes[names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID] = [technique.id for technique in sub]
        attributes[names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME] = [technique.name for technique in sub]
    if confidence:
        attributes[names.OTEL_FIM_THREAT_CONFIDENCE] = confidence
    if evidence:
        attributes[names.OTEL_FIM_THREAT_EVIDENCE] = evidence


def _own(techniques: Sequence[Technique]) -> list[Tactic]:
    return list(dict.fromkeys(tactic for technique in techniques for tactic in technique.tactics))


def _stated(tactics: Sequence[str]) -> list[Tactic]:
    stated: list[Tactic] = []
    for text in tactics:
        tactic = TACTICS.get(text)
        stated.extend(
            (tactic,) if tactic else resolve_tactics(PREFIX + text.strip().lower().replace(" ", "-"))
        )
    return stated
