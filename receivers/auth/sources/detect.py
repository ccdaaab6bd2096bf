"""The sources of a Linux host, made with plain arguments; each says itself whether it can be used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from otel_fim.receivers.auth.sources.audit import AuditSource
from otel_fim.receivers.auth.sources.journald import JournaldSource
from otel_fim.receivers.auth.sources.source import Source, StartAt
from otel_fim.receivers.auth.sources.text_log import TEXT_LOGS, TextLogSource
from otel_fim.receivers.auth.sources.utmp_files import BTMP, WTMP, RecordFileSource
from otel_fim.receivers.auth.sources.utmp_table import UTMP, UtmpTableSource


def linux_sources(
    *,
    journald: bool = True,
    journal_directory: str | None = None,
    text_logs: Sequence[str] = TEXT_LOGS,
    wtmp: str | None = WTMP,
    btmp: str | None = BTMP,
    utmp: str | None = UTMP,
    audit: bool = True,
    start_at: StartAt = "end",
    zone: tzinfo | None = None,
) -> list[Source]:
    """All that is asked for, whether it can be used here or not: ask `available` of each. None and False leave out."""
    sources: list[Source] = []
    if journald:
        sources.append(JournaldSource(start_at=start_at, directory=journal_directory))
    sources += [TextLogSource(path, start_at=start_at, zone=zone) for path in text_logs]
    if wtmp is not None:
        sources.append(RecordFileSource("wtmp", wtmp, start_at=start_at))
    if btmp is not None:
        sources.append(RecordFileSource("btmp", btmp, start_at=start_at))
    if utmp is not None:
        sources.append(UtmpTableSource(utmp))
    if audit:
        sources.append(AuditSource())
    return sources
