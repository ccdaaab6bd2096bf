"""What the processor writes into a record, and that no record can make it fail."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.names import events
from otel_fim.processors.attack import AttackConfig, AttackProcessor
from otel_fim.processors.attack.engine import path_index
from otel_fim.processors.attack.index import PathIndex
from otel_fim.record import EMPTY_SCOPE, Record, Resource


def processor(**settings: Any) -> AttackProcessor:
    context = ProcessorContext(
        id="attack",
        kind="processor",
        state_directory=Path("state"),
        service_directory=Path("state"),
        agent_directories=(),
        resource=Resource(),
        scope=EMPTY_SCOPE,
        logger=logging.getLogger("test"),
        report=lambda health, message: None,
        count=lambda *args, **kwargs: None,
        pipeline="logs",
        last_record=lambda: None,
    )
    return AttackProcessor(AttackConfig(**settings), context)


def modified(path: str, **more: Any) -> Record:
    return Record(event_name=events.FILE_MODIFIED, attributes={names.FILE_PATH: path, **more})


def test_writes_technique_subtechnique_and_tactics() -> None:
    record = modified("/etc/passwd")
    assert processor().process([record]) == [record]
    assert record.attributes == {
        names.FILE_PATH: "/etc/passwd",
        names.THREAT_FRAMEWORK: "MITRE ATT&CK v19.2",
        names.THREAT_TACTIC_ID: ["TA0003"],
        names.THREAT_TACTIC_NAME: ["Persistence"],
        names.THREAT_TECHNIQUE_ID: ["T1136"],
        names.THREAT_TECHNIQUE_NAME: ["Create Account"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID: ["T1136.001"],
        names.THREAT_TECHNIQUE_SUBTECHNIQUE_NAME: ["Local Account"],
        names.OTEL_FIM_THREAT_CONFIDENCE: "medium",
        names.OTEL_FIM_THREAT_EVIDENCE: "/etc/passwd was modified: it lists the local accounts",
    }


def test_a_technique_without_subtechnique_has_no_subtechnique_attribute() -> None:
    record = modified("/etc/shadow")
    processor().process([record])
    assert record.attributes[names.THREAT_TECHNIQUE_ID] == ["T1098"]
    assert names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID not in record.attributes


def test_two_techniques_best_first() -> None:
    record = Record(
        event_name=events.FILE_CREATED,
        attributes={names.FILE_PATH: "/etc/cron.d/.x", names.FILE_TYPE: "file", names.FILE_MODE: "4755"},
    )
    processor().process([record])
    assert record.attributes[names.THREAT_TECHNIQUE_SUBTECHNIQUE_ID] == [
        "T1053.003",
        "T1548.001",
        "T1564.001",
    ]
    assert record.attributes[names.THREAT_TECHNIQUE_ID] == ["T1053", "T1548", "T1564"]
    assert record.attributes[names.OTEL_FIM_THREAT_CONFIDENCE] == "high"


def test_min_confidence() -> None:
    low, medium = modified("/etc/environment"), modified("/etc/passwd")
    processor(min_confidence="medium").process([low, medium])
    assert names.THREAT_TECHNIQUE_ID not in low.attributes
    assert names.THREAT_TECHNIQUE_ID in medium.attributes


def test_a_mapping_made_before_is_left_alone() -> None:
    record = modified("/etc/passwd", **{names.THREAT_TECHNIQUE_ID: ["T1098"]})
    before = dict(record.attributes)
    processor().process([record])
    assert record.attributes == before


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()),
    st.sampled_from(["4755", "0644", "9999", "file", "dir", "symlink", "/dev/null", "/etc/passwd"]),
)  # fmt: skip
_keys = st.sampled_from([
    names.FILE_PATH, names.before(names.FILE_PATH), names.FILE_TYPE, names.FILE_MODE, names.before(names.FILE_MODE),
    names.FILE_SIZE, names.before(names.FILE_SIZE), names.FILE_MODIFIED, names.before(names.FILE_MODIFIED),
    names.OTEL_FIM_FILE_REPLACED, names.FILE_OWNER_ID, names.before(names.FILE_OWNER_ID),
    names.FILE_SYMBOLIC_LINK_TARGET_PATH,
])  # fmt: skip
_events = st.sampled_from([
    events.FILE_CREATED, events.FILE_MODIFIED, events.FILE_DELETED, events.FILE_RENAMED,
    events.FILE_ATTRIBUTES_CHANGED, events.AGENT_HEARTBEAT, "",
])  # fmt: skip


@given(_events, st.dictionaries(_keys, _values))
def test_no_record_makes_it_fail(event: str, attributes: dict[str, Any]) -> None:
    record = Record(event_name=event, attributes=dict(attributes))
    processor().process([record])
    assert {key: record.attributes[key] for key in attributes} == attributes


@given(st.text(), st.text(alphabet=st.characters(codec="utf-8")))
def test_a_path_is_compared_by_component(before: str, after: str) -> None:
    index: PathIndex[int] = PathIndex()
    index.add(["/etc/"], 1)
    found = list(index.find("/etc" + after))
    assert found == ([1] if after.startswith("/") else [])


@pytest.mark.parametrize("pattern", ["etc/passwd", "/etc/*/x", "/etc/a*b*c", "", "*"])
def test_a_wrong_pattern_is_refused(pattern: str) -> None:
    index: PathIndex[int] = PathIndex()
    with pytest.raises(ValueError, match="not a pattern"):
        index.add([pattern], 1)


def test_the_more_specific_pattern_comes_first() -> None:
    reasons = [row.reason for row in path_index().find("/usr/lib/python3/dist-packages/security/pam_x.so")]
    assert reasons[0].startswith("PAM")
    assert reasons[-1] == "a library was changed"
