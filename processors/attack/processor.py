"""Names the ATT&CK technique that an event shows, where it shows one."""

from __future__ import annotations

from otel_fim import names
from otel_fim.component import Processor, ProcessorContext
from otel_fim.processors.attack.config import AttackConfig
from otel_fim.processors.attack.engine import FINDERS, find
from otel_fim.processors.attack.mapping import Confidence, Match
from otel_fim.processors.attack.techniques import FRAMEWORK, TECHNIQUES
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
                    annotate(record, matches)
        return records


def annotate(record: Record, matches: list[Match]) -> None:
    """Writes the matches, best first, into the record: lists as the Elastic Common Schema has them, the
    confidence that of the best."""
    techniques = list(dict.fromkeys(match.technique.parent_id for match in matches))
    tactics = list(dict.fromkeys(tactic for match in matches for tactic in match.technique.tactics))
    sub = [match.technique for match in matches if match.technique.is_subtechnique]
    attributes = record.attributes
    attributes[names.THREAT_FRAMEWORK] = FRAMEWORK
    attributes[names.THREAT_TACTIC_ID] = [tactic[0] for tactic in tactics]
    attributes[names.THREAT_TACTIC_NAME] = [tactic[1] for tactic in tactics]
    attributes[names.THREAT_TECHNIQUE_ID] = techniques
    attributes[names.THREAT_TECHNIQUE_NAME] = [TECHNIQUES[technique].name for technique in techniques]
    if sub:
        attributes[names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID] = [technique.id for technique in sub]
        attributes[names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME] = [technique.name for technique in sub]
    attributes[names.OTEL_FIM_THREAT_CONFIDENCE] = matches[0].confidence.name.lower()
    attributes[names.OTEL_FIM_THREAT_EVIDENCE] = "; ".join(match.evidence for match in matches)
