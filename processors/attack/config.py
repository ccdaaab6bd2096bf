"""`processors.attack`: how sure a mapping has to be."""

from __future__ import annotations

from typing import Literal

from otel_fim.config.model import ComponentConfig


class AttackConfig(ComponentConfig):
    """The settings of the ATT&CK processor."""

    min_confidence: Literal["low", "medium", "high"] = "low"
    """Mappings below this confidence are left out. `low` keeps weak hints (a hidden file in /tmp), `medium`
    keeps changes to places where the technique is carried out, `high` only what is the technique itself."""
