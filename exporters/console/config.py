"""`exporters.console`: what is shown on standard output."""

from __future__ import annotations

from typing import Literal

from otel_fim.config.model import ComponentConfig
from otel_fim.names import events
from otel_fim.record import Severity


def _family(event_name: str) -> str:
    """The pattern for an event and its siblings: `otel_fim.file.created` gives `otel_fim.file.*`."""
    return event_name.rpartition(".")[0] + ".*"


def default_events() -> list[str]:
    """What concerns people: findings, changed files, logins and accounts, open ports, what starts by itself, and what
    could not be seen. Processes are too many."""
    first = (
        events.FILE_CREATED,
        events.AUTH_LOGIN,
        events.LISTENER_OPENED,
        events.PERSISTENCE_ADDED,
        events.COVERAGE_GAP,
    )
    return [events.FINDING, *(_family(event) for event in first)]


class ConsoleConfig(ComponentConfig):
    """The settings of the console exporter."""

    output: Literal["text", "json"] = "text"
    """`text` is one line for people, `json` one flat JSON object a line with every attribute."""
    events: list[str] = default_events()
    """Shell patterns of the event names that are shown. `["*"]` shows all, heartbeats too."""
    inventory: bool = False
    """Whether what the agent finds when it looks for the first time (`event.action` = scan: open ports, what starts
    by itself) is shown too. It is sent to every other exporter either way."""
    suppressed: bool = False
    """Whether findings that met a suppression are shown as text too. As JSON they always are, and they are sent to
    every other exporter either way."""
    min_severity: Literal["trace", "debug", "info", "warn", "error", "fatal"] = "trace"
    """Records below this severity are not shown. A record without a severity is."""

    @property
    def least_severity(self) -> int:
        return int(Severity[self.min_severity.upper()])
