"""The form of an entry in the lists of names, and the lists themselves in the order of definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True, frozen=True)
class AttributeDefinition:
    """One attribute: `type` is OpenTelemetry's (string, int, boolean, double, bytes, string[]); `source` is
    otel, ecs, audit (the draft audit data model, OTEP 0267) or otel_fim."""

    name: str
    type: str
    stability: str
    source: str
    meaning: str
    example: str


@dataclass(slots=True, frozen=True)
class EventDefinition:
    """One event name with the severity it is born with and the attributes that describe it."""

    name: str
    stability: str
    severity: str
    meaning: str
    attributes: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class MetricDefinition:
    """One of the agent's own metrics: `kind` is counter or gauge, `unit` a UCUM code."""

    name: str
    kind: str
    unit: str
    meaning: str


ATTRIBUTES: Final[dict[str, AttributeDefinition]] = {}
EVENTS: Final[dict[str, EventDefinition]] = {}
METRICS: Final[dict[str, MetricDefinition]] = {}


def attribute(
    name: str,
    kind: str,
    meaning: str,
    example: str,
    *,
    source: str = "otel_fim",
    stability: str = "development",
) -> str:
    """Registers an attribute and gives its name back. Raises `ValueError` for a name defined twice."""
    if name in ATTRIBUTES:
        raise ValueError(f"attribute {name} is defined twice")
    ATTRIBUTES[name] = AttributeDefinition(name, kind, stability, source, meaning, example)
    return name


def event(
    name: str,
    meaning: str,
    attributes: tuple[str, ...],
    *,
    severity: str = "INFO",
    stability: str = "development",
) -> str:
    """Registers an event and gives its name back. Raises `ValueError` for a double or an unknown attribute."""
    if name in EVENTS:
        raise ValueError(f"event {name} is defined twice")
    for key in attributes:
        if key not in ATTRIBUTES:
            raise ValueError(f"event {name} lists {key}, which is no attribute")
    EVENTS[name] = EventDefinition(name, stability, severity, meaning, attributes)
    return name


def metric(name: str, kind: str, unit: str, meaning: str) -> str:
    """Registers a metric and gives its name back."""
    if name in METRICS:
        raise ValueError(f"metric {name} is defined twice")
    METRICS[name] = MetricDefinition(name, kind, unit, meaning)
    return name
