"""How each component is, in one place: written by the components, read by the health endpoint."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from otel_fim.component import Health


@dataclass(slots=True, frozen=True)
class ComponentStatus:
    """The last word of a component: `component` is `kind:id`, `since` seconds since the epoch."""

    component: str
    health: Health
    message: str
    since: float


class StatusBoard:
    """The current status of every component of an agent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statuses: dict[str, ComponentStatus] = {}

    def report(self, component: str, health: Health, message: str) -> None:
        """Notes a component's health; the time is kept while the health stays the same."""
        with self._lock:
            before = self._statuses.get(component)
            since = before.since if before is not None and before.health is health else time.time()
            self._statuses[component] = ComponentStatus(component, health, message, since)

    def statuses(self) -> list[ComponentStatus]:
        """All statuses, by component."""
        with self._lock:
            return [self._statuses[key] for key in sorted(self._statuses)]

    def overall(self) -> Health:
        """The worst status: an error outweighs starting, and starting outweighs OK."""
        present = {status.health for status in self.statuses()}
        for health in (Health.PERMANENT_ERROR, Health.RECOVERABLE_ERROR, Health.STARTING):
            if health in present:
                return health
        return Health.OK
