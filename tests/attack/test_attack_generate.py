"""The generator, on small sources that were written for this test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from otel_fim.attack.generate import Named, generate, main, render
from otel_fim.attack.sources import SourceError
from otel_fim.attack.table import Table, parse


def reference(id_: str) -> list[dict[str, str]]:
    return [{"source_name": "elsewhere"}, {"source_name": "mitre-attack", "external_id": id_}]


def pattern(id_: str, name: str, *tactics: str, **more: Any) -> dict[str, Any]:
    phases = [{"kill_chain_name": "mitre-attack", "phase_name": tactic} for tactic in tactics]
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{id_}",
        "name": name,
        "external_references": reference(id_),
        "kill_chain_phases": [*phases, {"kill_chain_name": "other", "phase_name": "other"}],
        **more,
    }


def tactic(id_: str, name: str, short_name: str) -> dict[str, Any]:
    return {
        "type": "x-mitre-tactic",
        "id": f"x-mitre-tactic--{id_}",
        "name": name,
        "x_mitre_shortname": short_name,
        "external_references": reference(id_),
    }


def revoked_by(old: str, new: str) -> dict[str, Any]:
    return {
        "type": "relationship",
        "id": f"relationship--{old}",
        "relationship_type": "revoked-by",
        "source_ref": f"attack-pattern--{old}",
        "target_ref": f"attack-pattern--{new}",
    }


def bundle(version: str = "20.1") -> dict[str, Any]:
    return {
        "type": "bundle",
        "objects": [
            {"type": "x-mitre-collection", "id": "x-mitre-collection--1", "x_mitre_version": version},
            {
                "type": "x-mitre-matrix",
                "id": "x-mitre-matrix--1",
                "tactic_refs": ["x-mitre-tactic--TA0002", "x-mitre-tactic--TA0001"],
            },
            tactic("TA0001", "Second", "second"),
            tactic("TA0002", "First", "first"),
            pattern("T1000", "A Technique", "second", "first"),
            pattern("T1000.001", "A Part", "second"),
            pattern("T0900", "Old", "first", revoked=True),
            pattern("T0800", "Older", "first", revoked=True),
            pattern("T0700", "Gone", "first", x_mitre_deprecated=True),
            revoked_by("T0900", "T1000.001"),
            revoked_by("T0800", "T0900"),
            revoked_by("T0600", "T1000"),
            {
                "type": "x-mitre-data-component",
                "id": "x-mitre-data-component--1",
                "name": "File Creation",
                "external_references": reference("DC0039"),
            },
            {"type": "malware", "id": "malware--1", "name": "Left out"},
        ],
    }


def named(name: str, data: Any) -> Named:
    return Named(name, orjson.dumps(data))


def table_of(*sources: Named) -> Table:
    return parse(render(generate(sources, 2026)))


def test_a_bundle_gives_everything() -> None:
    table = table_of(named("bundle.json", bundle()))
    assert table.version == "20.1"
    assert table.notice.startswith("© 2026 The MITRE Corporation")
    assert [tactic.name for tactic in table.tactics.values()] == ["First", "Second"]
    assert [tactic.id for tactic in table.techniques["T1000"].tactics] == ["TA0002", "TA0001"]
    assert [tactic.id for tactic in table.techniques["T1000.001"].tactics] == ["TA0001"]
    assert set(table.techniques) == {"T1000", "T1000.001"}
    assert table.redirects == {"T0800": "T1000.001", "T0900": "T1000.001"}
    assert table.retired == {"T0700": "Gone"}
    assert table.data_components == {"DC0039": "File Creation"}


CATALOGUE = {
    "version": "20.2",
    "tactics": [{"id": "TA0001", "name": "Only", "shortname": "only"}],
    "techniques": [
        {"id": "T1000", "name": "Renamed", "tactics": ["Only"]},
        {"id": "T1001", "name": "New", "tactics": ["Only"]},
    ],
}
GALAXY = {
    "type": "mitre-attack-pattern",
    "values": [
        {
            "uuid": "1",
            "meta": {"external_id": "T0500"},
            "related": [{"dest-uuid": "2", "type": "revoked-by"}, {"dest-uuid": "2", "type": "related-to"}],
        },
        {"uuid": "2", "meta": {"external_id": "T1001"}},
        {
            "uuid": "3",
            "meta": {"external_id": "T1400"},
            "related": [
                {"dest-uuid": "4", "type": "revoked-by"},
                {"dest-uuid": "unknown", "type": "revoked-by"},
            ],
        },
        {"uuid": "4", "meta": {"external_id": "T1401"}},
    ],
}
PATTERNS = {
    "_metadata": {"source_file": "enterprise-attack-18.1.json"},
    "attack_patterns": [
        {"external_id": "T0400", "name": "Withdrawn", "deprecated": True, "revoked": False},
        {"external_id": "T0500", "name": "Revoked", "deprecated": True, "revoked": True},
        {"external_id": "T1000", "name": "Current", "deprecated": False, "revoked": False},
    ],
}
COMPONENTS = {
    "data_components": [
        {"external_id": "DC0002", "name": "Two", "domains": ["enterprise-attack"], "revoked": False},
        {
            "external_id": "DC0001",
            "name": "One",
            "domains": ["ics-attack", "enterprise-attack"],
            "revoked": False,
        },
        {"external_id": "DC0003", "name": "Mobile", "domains": ["mobile-attack"], "revoked": False},
    ]
}


def test_parts_from_elsewhere_make_a_table_too() -> None:
    sources = [named(str(n), data) for n, data in enumerate((CATALOGUE, GALAXY, PATTERNS, COMPONENTS))]
    table = table_of(*sources)
    assert table.version == "20.2"
    assert {id_: technique.name for id_, technique in table.techniques.items()} == {
        "T1000": "Renamed",
        "T1001": "New",
    }
    # The pair of another domain is left out.
    assert table.redirects == {"T0500": "T1001"}
    assert table.retired == {"T0400": "Withdrawn"}
    assert table.data_components == {"DC0001": "One", "DC0002": "Two"}


def test_the_newest_release_counts_whatever_the_order() -> None:
    old, new = named("old", bundle("9.5")), named("new", CATALOGUE)
    assert table_of(old, new).version == table_of(new, old).version == "20.2"
    assert table_of(old, new).retired == {"T0700": "Gone"}


def test_sources_are_named_in_the_table_and_the_same_sources_give_the_same_bytes() -> None:
    source = named("bundle.json", bundle())
    table = generate([source], 2026)
    assert table["sources"] == [
        {
            "name": "bundle.json",
            "form": "STIX bundle",
            "version": "20.1",
            "gives": ["tactics", "techniques", "revoked", "retired", "data_components"],
            "sha256": table["sources"][0]["sha256"],
        }
    ]
    assert render(table) == render(generate([source], 2026))


def test_rings_of_revoked_ids_lead_nowhere() -> None:
    data = bundle()
    data["objects"] += [revoked_by("T0900", "T0800")]
    assert table_of(named("ring", data)).redirects == {}


def without(kind: str) -> dict[str, Any]:
    data = bundle()
    data["objects"] = [item for item in data["objects"] if item["type"] != kind]
    return data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "neither a STIX bundle"),
        (b'{"type": "bundle", "objects": []}', "no x-mitre-collection"),
        (orjson.dumps(without("x-mitre-tactic")), "no tactic of this release"),
        (orjson.dumps(without("attack-pattern")), "none of the sources holds techniques"),
        (orjson.dumps(COMPONENTS), "none of the sources holds techniques"),
    ],
)
def test_what_makes_no_table_is_told(content: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        generate([Named("source.json", content)], 2026)


def test_a_part_without_its_technique_is_told() -> None:
    data = bundle()
    data["objects"] = [item for item in data["objects"] if item.get("name") != "A Technique"]
    with pytest.raises(SourceError, match=r"T1000\.001: its technique T1000 is not in the source"):
        generate([named("source", data)], 2026)


def test_the_command_writes_table_and_release(tmp_path: Path) -> None:
    source = tmp_path / "enterprise-attack-20.1.json"
    source.write_bytes(orjson.dumps(bundle()))
    out = tmp_path / "out"
    out.mkdir()
    assert main([f"MITRE's bundle={source}", "--year", "2026", "--out", str(out)]) == 0
    assert parse((out / "table.json").read_bytes()).version == "20.1"
    assert b"MITRE's bundle" in (out / "table.json").read_bytes()
    assert 'VERSION: Final = "20.1"' in (out / "release.py").read_text()


def test_the_command_tells_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.json"), "--year", "2026", "--out", str(tmp_path)]) == 1
    assert "missing.json" in capsys.readouterr().err
