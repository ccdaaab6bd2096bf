"""Names the ATT&CK technique that an event shows, where it shows one."""

from __future__ import annotations

from otel_fim import names
from otel_fim.attack import annotate
from otel_fim.component import Processor, ProcessorContext
from otel_fim.processors.attack.config import AttackConfig
from otel_fim.processors.attack.engine import FINDERS, find
from otel_fim.processors.attack.mapping import Confidence, Match
from otel_fim.record import Record


class AttackProcessor(Processor[AttackConfig]):
    """Adds the `threat.` attributes to changes of files, of what starts by itself and of accounts, and to logins and
    the use of others' rights; leaves every other record, and a mapping made before, alone."""

    Config = AttackConfig

    def __init__(self, config: AttackConfig, context: ProcessorContext) -> None:
        super().__init__(config, context)
        self._least = Confidence[config.min_confidence.upper()]

    def process(self, records: list[Record]) -> list[Record]:
        for record in records:
            if record.event_name in FINDERS and names.THREAT_TECHNIQUE_ID not in record.attributes:
                matches = find(record, self._least)
                if matches:
                    _write(record, matches)
        return records


def _write(record: Record, matches: list[Match]) -> None:
    """Writes the matches, best first, into the record; the confidence is that of the best."""
    annotate(
        record.attributes,
        [match.technique.id for match in matches],
        confidence=matches[0].confidence.name.lower(),
        evidence="; ".join(match.evidence for match in matches),
    )
