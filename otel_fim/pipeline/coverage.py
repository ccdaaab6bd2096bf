"""Builds the records that say what could not be seen."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from otel_fim import names
from otel_fim.names import events
from otel_fim.record import Attributes, Record, Resource, Scope, Severity, make_event

if TYPE_CHECKING:
    from otel_fim.component import Context


def timestamp(unix_nano: int) -> str:
    """ISO 8601 in UTC with nine decimals: `2026-01-13T14:32:15.000000000Z`."""
    seconds, nanos = divmod(unix_nano, 1_000_000_000)
    return f"{_second(seconds)}.{nanos:09d}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def coverage_record(
    *,
    reason: str,
    scope_text: str,
    detail: str,
    component: str,
    resource: Resource,
    scope: Scope,
    start_unix_nano: int,
    end_unix_nano: int | None = None,
    records_lost: int | None = None,
    restored: bool = False,
) -> Record:
    """A gap (`restored=False`; still open when it has no end) or the closing of one."""
    attributes: Attributes = {
        names.OTEL_FIM_COVERAGE_REASON: reason,
        names.OTEL_FIM_COVERAGE_SCOPE: scope_text,
        names.OTEL_FIM_COVERAGE_START: timestamp(start_unix_nano),
        names.OTEL_FIM_COVERAGE_DETAIL: detail,
        names.OTEL_FIM_COMPONENT_ID: component,
    }
    if end_unix_nano is not None:
        attributes[names.OTEL_FIM_COVERAGE_END] = timestamp(end_unix_nano)
    if records_lost is not None:
        attributes[names.OTEL_FIM_COVERAGE_RECORDS_LOST] = records_lost
    word = "coverage restored" if restored else "coverage gap"
    return make_event(
        events.COVERAGE_RESTORED if restored else events.COVERAGE_GAP,
        attributes,
        resource=resource,
        scope=scope,
        severity=Severity.INFO if restored else Severity.WARN,
        body=f"{word}: {detail}",
    )


def component_coverage(
    context: Context,
    reason: str,
    detail: str,
    start_unix_nano: int,
    end_unix_nano: int | None = None,
    *,
    restored: bool = False,
    scope_text: str | None = None,
    records_lost: int | None = None,
) -> Record:
    """A component's own gap, or its closing; without `scope_text` it covers all that the component watches."""
    return coverage_record(
        reason=reason,
        scope_text=context.id if scope_text is None else scope_text,
        detail=detail,
        component=context.id,
        resource=context.resource,
        scope=context.scope,
        start_unix_nano=start_unix_nano,
        end_unix_nano=end_unix_nano,
        records_lost=records_lost,
        restored=restored,
    )
