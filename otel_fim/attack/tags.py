"""Sigma's `attack.` tags: techniques, also by ids that were revoked since, and tactics, also by names of old."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from otel_fim.attack.model import Tactic, Technique
from otel_fim.attack.table import REDIRECTS, RETIRED, TACTICS, resolve

PREFIX: Final = "attack."

_TECHNIQUE: Final = re.compile(r"t\d{4}(?:[._-]\d{3})?")
_TACTIC_ID: Final = re.compile(r"ta\d{4}")
_OTHER_OBJECT: Final = re.compile(r"(?:s|g|c|m|ds|dc|det|an)\d{4}")

DEFENSE_EVASION: Final = "defense-evasion"
_SPLIT: Final = {DEFENSE_EVASION: ("TA0005", "TA0112")}
"""Tactics that were split: Defense Evasion became Stealth and Defense Impairment with ATT&CK v19."""


@dataclass(slots=True, frozen=True)
class TagReading:
    """What the tags of a rule say about ATT&CK, in current terms.

    `techniques` are current ids and `tactics` ids of tactics: those that the tags name, and without any those of the
    techniques. `redirected` are the (old, current) pairs among the technique ids. `retired` are technique ids that
    were withdrawn without a successor, `unknown` the `attack.` tags that mean nothing.
    """

    techniques: tuple[str, ...] = ()
    tactics: tuple[str, ...] = ()
    redirected: tuple[tuple[str, str], ...] = ()
    retired: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def resolve_tag(tag: str) -> Technique | None:
    """The current technique that a tag such as `attack.t1070.002` names; None for every other tag."""
    id_ = technique_id(tag)
    return resolve(id_) if id_ else None


def technique_id(tag: str) -> str:
    """The technique id that a tag names, as written (`T1070.002`), whether it exists or not; empty for other tags."""
    rest = _rest(tag)
    if not _TECHNIQUE.fullmatch(rest):
        return ""
    return rest.upper().replace("_", ".").replace("-", ".")


def resolve_tactics(tag: str) -> tuple[Tactic, ...]:
    """The tactics that a tag such as `attack.persistence`, `attack.privilege_escalation` or `attack.ta0003` names:
    two for `attack.defense-evasion`, which was split; none for every other tag."""
    rest = _rest(tag)
    if _TACTIC_ID.fullmatch(rest):
        tactic = TACTICS.get(rest.upper())
        return (tactic,) if tactic else ()
    return _by_short_name().get(rest.replace("_", "-"), ())


def read_tags(tags: Iterable[str]) -> TagReading:
    """What a rule's tags say. Tags of other namespaces, and those that name software or a group, are left out."""
    techniques: dict[str, Technique] = {}
    stated: dict[str, Tactic] = {}
    split: list[Tactic] = []
    redirected: list[tuple[str, str]] = []
    retired: list[str] = []
    unknown: list[str] = []
    for tag in tags:
        rest = _rest(tag)
        if not rest or _OTHER_OBJECT.fullmatch(rest):
            continue
        id_ = technique_id(tag)
        technique = resolve(id_) if id_ else None
        tactics = resolve_tactics(tag)
        if technique is not None:
            techniques[technique.id] = technique
            if id_ in REDIRECTS:
                redirected.append((id_, technique.id))
        elif len(tactics) > 1:
            split.extend(tactics)
        elif tactics:
            stated[tactics[0].id] = tactics[0]
        elif id_ in RETIRED:
            retired.append(id_)
        else:
            unknown.append(tag)
    own = {tactic.id: tactic for technique in techniques.values() for tactic in technique.tactics}
    if split:
        halves = {tactic.id: tactic for tactic in split}
        # A split tactic is the half that the techniques belong to, and both where they say nothing about it.
        stated |= {id_: tactic for id_, tactic in halves.items() if id_ in own} or halves
    return TagReading(
        techniques=tuple(techniques),
        tactics=tuple(id_ for id_ in TACTICS if id_ in (stated or own)),
        redirected=tuple(dict.fromkeys(redirected)),
        retired=tuple(dict.fromkeys(retired)),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def _rest(tag: str) -> str:
    lowered = tag.strip().lower()
    return lowered[len(PREFIX) :] if lowered.startswith(PREFIX) else ""


@cache
def _by_short_name() -> dict[str, tuple[Tactic, ...]]:
    names = {tactic.short_name: (tactic,) for tactic in TACTICS.values()}
    return names | {name: tuple(TACTICS[id_] for id_ in ids) for name, ids in _SPLIT.items()}
