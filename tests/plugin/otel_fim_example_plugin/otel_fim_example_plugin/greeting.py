"""A receiver that says hello once."""

from __future__ import annotations

from otel_fim.component import Health, Receiver
from otel_fim.config.model import ComponentConfig
from otel_fim.record import make_event


class GreetingConfig(ComponentConfig):
    """The settings of the greeting."""

    whom: str
    """Who is greeted."""


class GreetingReceiver(Receiver[GreetingConfig]):
    """Emits one `example.greeting` record at start."""

    Config = GreetingConfig
    stability = "development"

    def start(self) -> None:
        self.context.emit(
            [
                make_event(
                    "example.greeting",
                    {"example.whom": self.config.whom},
                    resource=self.context.resource,
                    scope=self.context.scope,
                )
            ]
        )
        self.context.report(Health.OK, "said hello")
