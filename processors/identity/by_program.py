"""Finds the process of a log line that names a program but no pid, as sudo writes them to /var/log/auth.log."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.host.process import Process
from otel_fim.host.table import ProcessTable
from otel_fim.processors.identity.families import FAMILIES, Family
from otel_fim.processors.identity.lookup import integer, window
from otel_fim.record import AnyValue, Record

_ROOT: Final = 0


def names_program_only(record: Record) -> bool:
    """Whether it is such a record."""
    attributes = record.attributes
    return (
        FAMILIES.get(record.event_name) is Family.AUTH
        and names.PROCESS_PID not in attributes
        and isinstance(attributes.get(names.OTEL_FIM_AUTH_SERVICE), str)
    )


def find_by_program(table: ProcessTable, record: Record, now_unix_nano: int) -> Process | None:
    """The only process that ran the program at the record's time and may have said this: whoever became root on the
    way is root by now, so that a process is the user's or root's. None when there are several, or when not all
    processes of that time are known."""
    since, until = window(record, now_unix_nano)
    if since <= 0:
        return None
    alive = table.alive_between(since, until)
    if alive is None:
        return None
    attributes = record.attributes
    program = attributes[names.OTEL_FIM_AUTH_SERVICE]
    user = integer(attributes.get(names.USER_ID))
    directory = attributes.get(names.PROCESS_WORKING_DIRECTORY)
    fits = [
        process
        for process in alive
        if (process.executable_path or "").rsplit("/", 1)[-1] == program
        and (user is None or process.real_user_id in (user, _ROOT))
        and _is_same(directory, process.working_directory)
    ]
    found = {process.entity_id for process in fits}
    # sudo watches over the command with a child of its own.
    first = [process for process in fits if not any(each.entity_id in found for each in process.ancestors)]
    return first[0] if len(first) == 1 else None


def _is_same(said: AnyValue, known: str | None) -> bool:
    return said is None or known is None or said == known
