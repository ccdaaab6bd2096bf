"""A processor that adds one attribute."""

from __future__ import annotations

from otel_fim.component import Processor
from otel_fim.config.model import ComponentConfig
from otel_fim.record import Record


class LabelConfig(ComponentConfig):
    """The settings of the label."""

    text: str = "example"
    """What every record is labelled with."""


class LabelProcessor(Processor[LabelConfig]):
    """Sets `example.label`."""

    Config = LabelConfig

    def process(self, records: list[Record]) -> list[Record]:
        for record in records:
            record.attributes["example.label"] = self.config.text
        return records
