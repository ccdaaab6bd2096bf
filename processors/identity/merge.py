"""Adds what is known of a process to a record, without a word against what a receiver has read itself."""

from __future__ import annotations

from collections.abc import Mapping

from otel_fim import names
from otel_fim.processors.identity.facts import Facts
from otel_fim.processors.identity.families import ACTING, WITH_DIRECTORY
from otel_fim.processors.identity.lookup import EXITED
from otel_fim.record import AnyValue, Attributes, Record

RECORDED = "recorded"


def merge(record: Record, facts: Facts, is_told: bool) -> None:
    """Adds the facts. `is_told` says that the table knows of everything that happened up to the record's time.

    A group of facts of which the record says one thing differently is not told: the process ran another program,
    had other rights or another parent when it did what the record tells of."""
    attributes = record.attributes
    attributes[names.PROCESS_CREATION_TIME] = facts.created
    _add(attributes, facts.life)
    if _is_program_of(record, facts, is_told):
        _add(attributes, facts.program)
        same_rights = _agrees(attributes, facts.users, names.PROCESS_USER_ID) and (
            record.event_name not in ACTING or _agrees(attributes, facts.user, names.USER_ID)
        )
        if same_rights:
            _add(attributes, facts.users)
            if record.event_name in ACTING:
                _add(attributes, facts.user)
        if _agrees(attributes, facts.real_users, names.PROCESS_REAL_USER_ID):
            _add(attributes, facts.real_users)
        directory = facts.process.working_directory
        if directory is not None and record.event_name in WITH_DIRECTORY:
            attributes.setdefault(names.PROCESS_WORKING_DIRECTORY, directory)
    if _agrees(attributes, facts.parent, names.PROCESS_PARENT_PID):
        _add(attributes, facts.parent)
    if (
        attributes.get(names.OTEL_FIM_ACTOR_STATE) == EXITED
        and names.PROCESS_EXECUTABLE_PATH in attributes
        and names.PROCESS_USER_ID in attributes
    ):
        attributes[names.OTEL_FIM_ACTOR_STATE] = RECORDED


def _is_program_of(record: Record, facts: Facts, is_told: bool) -> bool:
    """Whether the program that is known is the one that the process ran at the record's time."""
    attributes, program = record.attributes, facts.program
    path = attributes.get(names.PROCESS_EXECUTABLE_PATH)
    if path is not None and names.PROCESS_EXECUTABLE_PATH in program:
        return path == program[names.PROCESS_EXECUTABLE_PATH]
    command = attributes.get(names.PROCESS_COMMAND)
    if command is not None and command != program.get(names.PROCESS_COMMAND, command):
        return False
    since = facts.process.program_unix_nano
    return is_told and (since is None or since <= record.time_unix_nano)


def _add(attributes: Attributes, more: Mapping[str, AnyValue]) -> None:
    for name, value in more.items():
        if name not in attributes:
            attributes[name] = value


def _agrees(attributes: Attributes, facts: Mapping[str, AnyValue], name: str) -> bool:
    """Whether the record says the same as the fact; nothing said is no difference."""
    return name not in attributes or attributes[name] == facts.get(name)
