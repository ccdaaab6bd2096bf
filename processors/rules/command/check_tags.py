"""Tags: techniques and tactics of ATT&CK as it is now, controls of compliance schemes."""

from __future__ import annotations

import re
from typing import Final

from otel_fim import attack
from otel_fim.attack.tags import DEFENSE_EVASION
from otel_fim.processors.rules.command.problems import Problems, Subject

NO_TECHNIQUE: Final = "none"
"""`attack: none` at the top of a rule says that it shows no technique."""
_TAG: Final = re.compile(r"[a-z0-9_-]+\.[a-z0-9._-]+")
_CONTROLS: Final = {
    "pci_dss": re.compile(r"(?:1[0-2]|[1-9])(?:\.\d+){0,4}|a[123](?:\.\d+){0,3}"),
    "nist_800_53": re.compile(r"[a-z]{2}-\d{1,2}(?:\.\d{1,2})?"),
    "hipaa": re.compile(r"164\.3\d\d(?:\.[a-z0-9]+)*"),
    "soc2": re.compile(r"(?:cc\d|a\d|c\d|pi\d|p\d)\.\d{1,2}"),
    "cis": re.compile(r"\d{1,2}(?:\.\d{1,2}){0,3}"),
}


def tags(subject: Subject) -> Problems:
    written = subject.content.get("tags")
    if written is not None and (not isinstance(written, list) or len(subject.texts("tags")) != len(written)):
        yield subject.error("tags", "`tags` must be a list of texts")
        return
    said = subject.texts("tags")
    for tag in said:
        if not _TAG.fullmatch(tag):
            yield subject.error("tags", f"{tag[:60]!r} is no tag: namespace.name, in small letters")
    for tag in sorted({tag for tag in said if said.count(tag) > 1}):
        yield subject.error("tags", f"{tag} stands there twice")
    yield from _attack(subject, said)
    yield from _compliance(subject, said)


def _attack(subject: Subject, said: list[str]) -> Problems:
    reading = attack.read_tags(said)
    for old, new in reading.redirected:
        name = attack.TECHNIQUES[new].name
        yield subject.error(
            "attack", f"{old} was revoked: it is {new} ({name}) now, so the tag is attack.{new.lower()}"
        )
    for id_ in reading.retired:
        yield subject.error(
            "attack",
            f"{id_} ({attack.RETIRED[id_]}) was withdrawn without a successor: choose another technique",
        )
    for tag in reading.unknown:
        yield subject.error("attack", f"{tag} is neither a technique nor a tactic of {attack.FRAMEWORK}")
    for tag in said:
        if tag.lower().replace("_", "-") == attack.TAG_PREFIX + DEFENSE_EVASION:
            halves = " or ".join(
                f"{attack.TAG_PREFIX}{each.short_name}" for each in attack.resolve_tactics(tag)
            )
            own = ", ".join(attack.TACTICS[id_].name for id_ in reading.tactics)
            yield subject.error("attack", f"{tag} was split: write {halves} (here: {own})")
        elif "_" in tag and attack.resolve_tactics(tag):
            yield subject.error("attack", f"{tag}: tactics are written with hyphens: {tag.replace('_', '-')}")
    if subject.finds:
        yield from _technique_or_none(subject, said, reading)


def _technique_or_none(subject: Subject, said: list[str], reading: attack.TagReading) -> Problems:
    declared = subject.content.get("attack")
    if declared not in (None, NO_TECHNIQUE):
        yield subject.error(
            "attack", f"`attack` is {declared!r}; `attack: none` says that there is no technique"
        )
    stated = [tactic for tag in said for tactic in attack.resolve_tactics(tag)]
    if reading.techniques and declared == NO_TECHNIQUE:
        yield subject.error("attack", "it says `attack: none` and names a technique")
    if declared == NO_TECHNIQUE:
        return
    if not reading.techniques:
        yield subject.lacks(
            "attack", "it names no technique: add its tag, or `attack: none` when there is none"
        )
        return
    if not stated:
        own = ", ".join(f"{attack.TAG_PREFIX}{attack.TACTICS[id_].short_name}" for id_ in reading.tactics)
        yield subject.lacks("attack", f"it names no tactic; its techniques belong to {own}")
    possible = {tactic for id_ in reading.techniques for tactic in attack.TECHNIQUES[id_].tactics}
    for tactic in dict.fromkeys(stated):
        if tactic not in possible:
            own = ", ".join(each.short_name for each in possible)
            yield subject.warning(
                "attack",
                f"none of its techniques belongs to {tactic.short_name} in {attack.FRAMEWORK} (but to {own})",
            )


def _compliance(subject: Subject, said: list[str]) -> Problems:
    found = 0
    for tag in said:
        scheme, _, control = tag.partition(".")
        form = _CONTROLS.get(scheme)
        if form is None:
            continue
        found += 1
        if not form.fullmatch(control):
            yield subject.error("compliance", f"{tag}: {control!r} is no control of {scheme}")
    if subject.own and subject.finds and not found:
        schemes = ", ".join(_CONTROLS)
        yield subject.error("compliance", f"it serves no control: add at least one tag of {schemes}")
