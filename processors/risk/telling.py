"""What folding reads in a finding, and the records that tell how a series of duplicates went on."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.otlp import OtlpDecodeError, clean_record, decode_logs_data_json, encode_logs_data_json
from otel_fim.pipeline.coverage import timestamp
from otel_fim.processors.risk.facts import count_of, text
from otel_fim.processors.risk.series import MAX_EVIDENCE, One, Series
from otel_fim.record import AnyValue, Record, Severity

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z")
_TEMPLATE_TEXT: Final = 1024
_TEMPLATE_LIST: Final = 64
_UID_TEXT: Final = 64
_SIMPLE: Final = (str, bytes, bool, int, float)


def one_of(record: Record, score: int) -> One:
    """A finding with its score."""
    attributes = record.attributes
    moment = record.time_unix_nano or record.observed_time_unix_nano
    evidence = attributes.get(names.OTEL_FIM_FINDING_EVIDENCE)
    if not isinstance(evidence, list | tuple):
        evidence = []
    uids = [text(each, _UID_TEXT).encode("ascii", "replace").decode() for each in evidence[:MAX_EVIDENCE]]
    return One(
        time_unix_nano=moment,
        first=_time(attributes.get(names.OTEL_FIM_FINDING_FIRST_SEEN), moment),
        last=_time(attributes.get(names.OTEL_FIM_FINDING_LAST_SEEN), moment),
        score=score,
        evidence=uids,
        evidence_count=count_of(attributes.get(names.OTEL_FIM_FINDING_EVIDENCE_COUNT)) or len(uids),
    )


def _time(value: AnyValue, otherwise: int) -> str:
    return value if isinstance(value, str) and _TIME.fullmatch(value) else timestamp(otherwise)


def tell_series(record: Record, series: Series) -> None:
    """Makes of a finding the record that tells how its series goes on."""
    attributes = record.attributes
    attributes[names.OTEL_FIM_FINDING_COUNT] = series.count
    attributes[names.OTEL_FIM_FINDING_DUPLICATE_OF] = series.uid
    attributes[names.OTEL_FIM_FINDING_FIRST_SEEN] = series.first
    attributes[names.OTEL_FIM_FINDING_LAST_SEEN] = series.last
    attributes[names.OTEL_FIM_FINDING_EVIDENCE] = list(series.evidence)
    attributes[names.OTEL_FIM_FINDING_EVIDENCE_COUNT] = series.evidence_count
    if isinstance(record.body, str):
        record.body = f"{record.body} ({series.count} times since {series.first})"


def template(record: Record) -> str:
    """The finding as a line of OTLP/JSON, with long values cut: it is kept for as long as its series is open."""
    slim = record.copy()
    slim.attributes = {
        name: short
        for name, value in record.attributes.items()
        if name != names.OTEL_FIM_FINDING_EVIDENCE and (short := _short(value)) is not None
    }
    slim.body = _short(record.body)
    try:
        return encode_logs_data_json([slim]).decode()
    except ValueError:
        clean_record(slim)
        return encode_logs_data_json([slim]).decode()


def _short(value: AnyValue) -> AnyValue:
    if isinstance(value, str | bytes):
        return value[:_TEMPLATE_TEXT]
    if isinstance(value, Mapping):
        return None
    if isinstance(value, Sequence):
        return [_short(each) for each in value[:_TEMPLATE_LIST] if isinstance(each, _SIMPLE)]
    return value


def last_record(series: Series, uid: str) -> Record:
    """What tells the end of a series."""
    try:
        (record,) = decode_logs_data_json(series.template.encode())
    except (OtlpDecodeError, ValueError):
        record = Record(event_name=events.FINDING, severity_number=int(Severity.INFO), body="A finding")
    record.time_unix_nano = series.newest
    record.observed_time_unix_nano = time.time_ns()
    record.attributes[names.LOG_RECORD_UID] = uid
    tell_series(record, series)
    return record
