"""What the journal has to tell: losses, repairs, and what an opening found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

NoticeKind: TypeAlias = Literal[
    "torn_tail",  # bytes after the last whole line were cut at the opening
    "damaged",  # lines of a segment cannot be read, or are gone
    "retention_forced",  # segments went although this reader still needed them
    "cursor_reset",  # a reader's cursor could not be used; records may be delivered twice
    "write_failed",  # an fsync or a write failed; what was not durable has been written again elsewhere
]
GapReason: TypeAlias = Literal["journal_torn", "journal_retention", "io_error", "disk_full"]


def _nothing() -> None:
    """Nobody waits for the confirmation."""


@dataclass(slots=True, frozen=True)
class JournalNotice:
    """Something that must not stay unsaid.

    `reason` is the value for the attribute `names.OTEL_FIM_COVERAGE_REASON`. `records_lost` is the number of
    records that nobody will read (None when it cannot be known), `reader` the exporter that it concerns (None
    for all). The gap lies between the two times, in nanoseconds since the epoch.

    Call `confirm` when the notice is safe elsewhere, for example as `on_durable` of the coverage record that
    it became: until then it is given again after a restart. `confirm` may be called from any thread.
    """

    kind: NoticeKind
    reason: GapReason
    detail: str
    records_lost: int | None = None
    reader: str | None = None
    start_unix_nano: int = field(default_factory=time.time_ns)
    end_unix_nano: int = field(default_factory=time.time_ns)
    confirm: Callable[[], None] = field(default=_nothing, compare=False, repr=False)


@dataclass(slots=True, frozen=True)
class Recovery:
    """What `Journal.open` found.

    `previous` is how the run before ended (`none`: this is the first). `torn_bytes` were cut from
    `torn_segment`; they had never been acknowledged. Where they held more than one partial line they are
    kept in `kept_in`. `notices` have all been given to `notify`.
    """

    previous: Literal["none", "clean", "unclean"]
    torn_bytes: int = 0
    torn_segment: str | None = None
    kept_in: str | None = None
    notices: tuple[JournalNotice, ...] = ()
