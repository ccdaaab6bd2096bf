"""The generated table (`table.json`), read when something is first looked up in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

import orjson

from otel_fim.attack.model import Tactic, Technique

V = TypeVar("V")

FILE: Final = "table.json"


@dataclass(slots=True, frozen=True)
class Table:
    """One release of ATT&CK for Enterprise.

    `redirects` leads from a revoked id to the current one that replaces it, `retired` names ids that were withdrawn
    and replaced by nothing.
    """

    version: str
    notice: str
    tactics: dict[str, Tactic]
    techniques: dict[str, Technique]
    redirects: dict[str, str]
    retired: dict[str, str]
    data_components: dict[str, str]


@cache
def load() -> Table:
    """The table that comes with this version of otel-fim."""
    return parse(files(__package__).joinpath(FILE).read_bytes())


def parse(content: bytes) -> Table:
    """Reads what `otel_fim.attack.generate` writes."""
    data = orjson.loads(content)
    tactics = {id_: Tactic(id_, name, short_name) for id_, name, short_name in data["tactics"]}
    techniques = {
        id_: Technique(id_, name, tuple(tactics[tactic] for tactic in of))
        for id_, (name, *of) in data["techniques"].items()
    }
    return Table(
        version=data["version"],
        notice=data["notice"],
        tactics=tactics,
        techniques=techniques,
        redirects=data["redirects"],
        retired=data["retired"],
        data_components=data["data_components"],
    )


class Lazy(Mapping[str, V]):
    """A part of the table, by id, that costs nothing until it is looked at."""

    def __init__(self, part: Callable[[Table], Mapping[str, V]]) -> None:
        self._part = part

    def __getitem__(self, key: str) -> V:
        return self._part(load())[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._part(load()))

    def __len__(self) -> int:
        return len(self._part(load()))


TECHNIQUES: Final[Mapping[str, Technique]] = Lazy(lambda table: table.techniques)
"""Current techniques and sub-techniques by id; the parent of every sub-technique is in it too."""

TACTICS: Final[Mapping[str, Tactic]] = Lazy(lambda table: table.tactics)
"""Tactics by id, in the matrix's order."""

REDIRECTS: Final[Mapping[str, str]] = Lazy(lambda table: table.redirects)
"""From a revoked id to the current id that replaces it."""

RETIRED: Final[Mapping[str, str]] = Lazy(lambda table: table.retired)
"""Names of techniques that were withdrawn without a successor, by id."""

DATA_COMPONENTS: Final[Mapping[str, str]] = Lazy(lambda table: table.data_components)
"""Names of data components (`DC0039`: File Creation) by id."""


def resolve(technique: str) -> Technique | None:
    """The current technique for an id, in any case, which may be one that was revoked since. None for an id that is
    none, or that was withdrawn without a successor."""
    table = load()
    id_ = technique.strip().upper()
    return table.techniques.get(table.redirects.get(id_, id_))
