"""From what happened to a record."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Mapping
from operator import attrgetter
from typing import Final, Literal

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.cache import BoundedCache
from otel_fim.host.identities import Identities
from otel_fim.host.process import Ancestor, Process
from otel_fim.host.redaction import redact_args
from otel_fim.host.sessions import LoginSessions
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.receivers.process.happening import Happening, Image
from otel_fim.record import Attributes, Record, make_event

_CORE_DUMPED: Final = 0x80
_ARGUMENT_NAMES: Final[Mapping[str, str]] = {
    "created_unix_nano": names.PROCESS_CREATION_TIME,
    "working_directory": names.PROCESS_WORKING_DIRECTORY,
    "cgroup": names.PROCESS_LINUX_CGROUP,
    "effective_user_id": names.PROCESS_USER_ID,
    "login_user_id": names.OTEL_FIM_LOGIN_USER_ID,
}
_EXPECTED: Final[tuple[tuple[str, str], ...]] = (
    ("parent_pid", names.PROCESS_PARENT_PID),
    ("effective_user_id", names.PROCESS_USER_ID),
    ("saved_user_id", names.PROCESS_SAVED_USER_ID),
    ("effective_group_id", names.PROCESS_GROUP_ID),
    ("working_directory", names.PROCESS_WORKING_DIRECTORY),
    ("session_leader_pid", names.PROCESS_SESSION_LEADER_PID),
    ("group_leader_pid", names.PROCESS_GROUP_LEADER_PID),
    ("cgroup", names.PROCESS_LINUX_CGROUP),
)
_VALUES: Final = attrgetter(*(field for field, _ in _EXPECTED))
_CACHE_SIZE: Final = 512


class Records:
    """For one thread. `command_line` is as in the configuration."""

    def __init__(
        self,
        context: Context,
        identities: Identities,
        *,
        command_line: Literal["none", "redacted", "full"],
        max_ancestors: int,
        hashes: bool,
    ) -> None:
        self._context = context
        self._identities = identities
        self._sessions: LoginSessions = context.processes.sessions
        self._command_line = command_line
        self._max_ancestors = max_ancestors
        self._hashes = hashes
        self._ancestors: BoundedCache[tuple[str, str | None], tuple[str, ...]] = BoundedCache(_CACHE_SIZE)

    def make(self, happening: Happening) -> Record:
        """The record; the image has been resolved."""
        process, image = happening.process, happening.image
        exited = happening.action == "exit"
        attributes: Attributes = {
            names.EVENT_ACTION: "exited" if exited else happening.action,
            names.PROCESS_PID: process.pid,
        }
        missing = [_ARGUMENT_NAMES[name] for name in happening.missing]
        if process.entity_id:
            attributes[names.PROCESS_CREATION_TIME] = timestamp(process.created_unix_nano)
            attributes[names.PROCESS_ENTITY_ID] = process.entity_id
        self._add_program(attributes, process, image, missing)
        self._add_users(attributes, process)
        _add_place(attributes, process)
        self._add_parents(attributes, process)
        if happening.parent is not None and self._command_line != "none":
            line = self._line(happening.parent)
            if line is not None:
                attributes[names.PROCESS_PARENT_COMMAND_LINE] = line
        self._add_login(attributes, process)
        attributes[names.OTEL_FIM_PROCESS_BACKEND] = happening.backend
        if exited:
            _add_end(attributes, happening)
        missing += [
            name for field, name in _EXPECTED if getattr(process, field) is None and name not in missing
        ]
        if missing:
            attributes[names.OTEL_FIM_PROCESS_MISSING] = missing
        return make_event(
            events.PROCESS_EXITED if exited else events.PROCESS_STARTED,
            attributes,
            resource=self._context.resource,
            scope=self._context.scope,
            body=_body(happening, attributes),
            time_unix_nano=happening.time_unix_nano,
        )

    def _add_program(
        self, attributes: Attributes, process: Process, image: Image, missing: list[str]
    ) -> None:
        if image.executable is not None:
            attributes[names.PROCESS_EXECUTABLE_PATH] = image.executable
            attributes[names.PROCESS_EXECUTABLE_NAME] = image.executable.rpartition("/")[2]
        else:
            missing.append(names.PROCESS_EXECUTABLE_PATH)
        command = None if image.doubtful else process.command or image.command
        if command is not None:
            attributes[names.PROCESS_COMMAND] = command
        else:
            missing.append(names.PROCESS_COMMAND)
        if self._command_line != "none":
            line = self._line(image)
            if line is not None and image.arguments is not None:
                attributes[names.PROCESS_COMMAND_LINE] = line
                attributes[names.PROCESS_ARGS_COUNT] = len(image.arguments)
            else:
                missing.append(names.PROCESS_COMMAND_LINE)
        if image.sha256 is not None:
            attributes[names.PROCESS_HASH_SHA256] = image.sha256
        elif self._hashes and image.not_hashed is not None:
            attributes[names.OTEL_FIM_PROCESS_NOT_HASHED] = image.not_hashed

    def _line(self, image: Image) -> str | None:
        if image.line is None:
            arguments = image.certain_arguments()
            if arguments is None:
                return None
            image.line = shlex.join(redact_args(arguments) if self._command_line == "redacted" else arguments)
        return image.line

    def _add_users(self, attributes: Attributes, process: Process) -> None:
        user, group = self._identities.user, self._identities.group
        for number, name, key, name_key in (
            (process.effective_user_id, user, names.PROCESS_USER_ID, names.PROCESS_USER_NAME),
            (process.real_user_id, user, names.PROCESS_REAL_USER_ID, names.PROCESS_REAL_USER_NAME),
            (process.saved_user_id, user, names.PROCESS_SAVED_USER_ID, names.PROCESS_SAVED_USER_NAME),
            (process.effective_group_id, group, names.PROCESS_GROUP_ID, names.PROCESS_GROUP_NAME),
            (process.real_group_id, group, names.PROCESS_REAL_GROUP_ID, names.PROCESS_REAL_GROUP_NAME),
        ):
            if number is None:
                continue
            # Elastic's names for groups are texts, OpenTelemetry's for users are numbers.
            attributes[key] = str(number) if name == group else number
            found = name(number)
            if found is not None:
                attributes[name_key] = found

    def _add_parents(self, attributes: Attributes, process: Process) -> None:
        if process.parent_pid is not None:
            attributes[names.PROCESS_PARENT_PID] = process.parent_pid
        if not process.ancestors:
            return
        parent = process.ancestors[0]
        attributes[names.PROCESS_PARENT_ENTITY_ID] = parent.entity_id
        if parent.executable_path is not None:
            attributes[names.PROCESS_PARENT_EXECUTABLE_PATH] = parent.executable_path
        if parent.command is not None:
            attributes[names.PROCESS_PARENT_COMMAND] = parent.command
        if self._max_ancestors:
            attributes[names.OTEL_FIM_PROCESS_ANCESTORS] = self._told_ancestors(process.ancestors)

    def _told_ancestors(self, ancestors: tuple[Ancestor, ...]) -> tuple[str, ...]:
        key = (ancestors[0].entity_id, ancestors[0].executable_path)
        told = self._ancestors.get(key)
        if told is None:
            told = tuple(str(each) for each in ancestors[: self._max_ancestors])
            self._ancestors.put(key, told)
        return told

    def _add_login(self, attributes: Attributes, process: Process) -> None:
        if process.login_user_id is not None:
            attributes[names.OTEL_FIM_LOGIN_USER_ID] = process.login_user_id
            name = self._identities.user(process.login_user_id)
            if name is not None:
                attributes[names.OTEL_FIM_LOGIN_USER_NAME] = name
        if process.session_id is None:
            return
        attributes[names.OTEL_FIM_LOGIN_SESSION_ID] = process.session_id
        session = self._sessions.get(process.session_id)
        if session is None:
            return
        for key, value in (
            (names.OTEL_FIM_LOGIN_SOURCE_ADDRESS, session.source_address),
            (names.OTEL_FIM_LOGIN_SOURCE_PORT, session.source_port),
            (names.OTEL_FIM_LOGIN_METHOD, session.method),
            (names.OTEL_FIM_LOGIN_SERVICE, session.service),
            (names.OTEL_FIM_LOGIN_TERMINAL, session.terminal),
            (names.OTEL_FIM_LOGIN_TIME, session.time_unix_nano and timestamp(session.time_unix_nano)),
        ):
            if value is not None:
                attributes[key] = value


def _add_place(attributes: Attributes, process: Process) -> None:
    for key, value in (
        (names.PROCESS_WORKING_DIRECTORY, process.working_directory),
        (names.OTEL_FIM_PROCESS_TERMINAL, process.terminal),
        (names.PROCESS_SESSION_LEADER_PID, process.session_leader_pid or None),
        (names.PROCESS_GROUP_LEADER_PID, process.group_leader_pid or None),
        (names.PROCESS_LINUX_CGROUP, process.cgroup),
        (names.CONTAINER_ID, process.container_id),
        (names.OTEL_FIM_SYSTEMD_UNIT, process.systemd_unit),
    ):
        if value is not None:
            attributes[key] = value
    if process.session_leader_pid is not None:
        attributes[names.PROCESS_INTERACTIVE] = process.terminal is not None


def _add_end(attributes: Attributes, happening: Happening) -> None:
    status = happening.process.exit_status
    attributes[names.PROCESS_EXIT_TIME] = timestamp(happening.time_unix_nano)
    if happening.duration_ns is not None:
        attributes[names.OTEL_FIM_PROCESS_DURATION] = happening.duration_ns / 1e9
    if status is None:
        return
    number = status & ~_CORE_DUMPED & 0x7F
    if number:
        attributes[names.OTEL_FIM_PROCESS_EXIT_SIGNAL] = _signal_name(number)
    else:
        attributes[names.PROCESS_EXIT_CODE] = status >> 8 & 0xFF


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _body(happening: Happening, attributes: Attributes) -> str:
    what = attributes.get(names.PROCESS_EXECUTABLE_PATH) or happening.process.command or "a process"
    who = attributes.get(names.PROCESS_USER_NAME) or attributes.get(names.PROCESS_USER_ID)
    by = "" if who is None else f" by {who!s}"
    if happening.action != "exit":
        verb = {"exec": "started", "fork": "forked", "scan": "running"}[happening.action]
        return f"{verb}: {what!s} (pid {happening.process.pid}){by}"
    ended = attributes.get(names.OTEL_FIM_PROCESS_EXIT_SIGNAL)
    if ended is None and names.PROCESS_EXIT_CODE in attributes:
        ended = f"code {attributes[names.PROCESS_EXIT_CODE]!s}"
    return f"exited: {what!s} (pid {happening.process.pid}){by}" + (f", {ended!s}" if ended else "")
