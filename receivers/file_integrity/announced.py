"""What a crash leaves open: records that were on their way while their rows of the baseline had not moved.

The record of a change becomes durable first and the row moves after it. Killed in between, the agent comes back with
a row that is older than what its records say. The comparison at start finds every difference between the row and the
disk; what it cannot find is a path that the records brought into being, that has no row, and that is gone again. So
every path is noted in the baseline (`announced`) before its record is handed on, and looked at here after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from otel_fim.names import events
from otel_fim.receivers.file_integrity import paths
from otel_fim.receivers.file_integrity.pending import NOTHING, SCAN, PendingPaths
from otel_fim.receivers.file_integrity.records import RecordBuilder
from otel_fim.receivers.file_integrity.scope import Scope
from otel_fim.receivers.file_integrity.view import Move, View
from otel_fim.record import Record

_BATCH = 256


def settle_announced(
    view: View,
    scope: Scope,
    pending: PendingPaths,
    builder: RecordBuilder,
    emit: Callable[[list[Record], list[Move]], None],
) -> None:
    """Reports as deleted what the run before may have reported as there and is not, and has the rest compared.

    It may tell of a deletion twice, or of one whose creation nobody was told of; it never leaves the records
    saying that something is there that is not. Raises what `emit` raises.
    """
    announced = view.baseline.announced()
    dropped: list[tuple[bytes, int]] = []
    gone: list[bytes] = []
    for path, version in announced.items():
        if not (scope.is_root(path) or scope.wants_entry(path)):
            dropped.append((path, version))
        elif _exists(path) or view.lookup(path)[1] is not None:
            pending.add(path, SCAN, NOTHING, time.time_ns(), while_down=True, force=True)
        else:
            gone.append(path)
    if dropped:
        view.baseline.settle(dropped)
    for start in range(0, len(gone), _BATCH):
        now = time.time_ns()
        some = gone[start : start + _BATCH]
        records = [
            builder.build(
                events.FILE_DELETED,
                path,
                None,
                None,
                backend=SCAN,
                time_unix_nano=now,
                observed_unix_nano=now,
                while_down=True,
            )
            for path in some
        ]
        emit(records, [view.hold(path, None, new=False) for path in some])


def _exists(path: bytes) -> bool:
    try:
        paths.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # Not to be seen is not gone: the comparison says what it is.
        return True
    return True
