"""MITRE ATT&CK for Enterprise: techniques, tactics, data components, and what old ids are called now.

Ids and names are MITRE's (see the NOTICE beside this file); `table.json` is generated from MITRE's data by
`otel_fim.attack.generate` and read when it is first needed.
"""

from otel_fim.attack.annotate import annotate
from otel_fim.attack.data_components import data_components_for
from otel_fim.attack.model import Tactic, Technique
from otel_fim.attack.release import FRAMEWORK
from otel_fim.attack.table import DATA_COMPONENTS, REDIRECTS, RETIRED, TACTICS, TECHNIQUES, resolve
from otel_fim.attack.tags import PREFIX as TAG_PREFIX
from otel_fim.attack.tags import TagReading, read_tags, resolve_tactics, resolve_tag, technique_id

__all__ = [
    "DATA_COMPONENTS",
    "FRAMEWORK",
    "REDIRECTS",
    "RETIRED",
    "TACTICS",
    "TAG_PREFIX",
    "TECHNIQUES",
    "Tactic",
    "TagReading",
    "Technique",
    "annotate",
    "data_components_for",
    "read_tags",
    "resolve",
    "resolve_tactics",
    "resolve_tag",
    "technique_id",
]
