"""What the table holds: tactics and techniques."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Tactic(NamedTuple):
    """A tactic: id (`TA0005`), name (`Stealth`), and the short name that tags use (`stealth`)."""

    id: str
    name: str
    short_name: str


@dataclass(slots=True, frozen=True)
class Technique:
    """A technique (`T1136`) or sub-technique (`T1136.001`) with its tactics, in the matrix's order."""

    id: str
    name: str
    tactics: tuple[Tactic, ...]

    @property
    def parent_id(self) -> str:
        """The technique's own id, without the sub-technique's number."""
        return self.id.partition(".")[0]

    @property
    def is_subtechnique(self) -> bool:
        return "." in self.id

    @property
    def reference(self) -> str:
        """MITRE's page about it."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"
