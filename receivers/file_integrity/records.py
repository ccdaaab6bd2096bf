"""Builds the records: what a state, a difference and a process look like as attributes."""

from __future__ import annotations

import os
import stat
from typing import Final

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.names import events
from otel_fim.names.registry import EVENTS
from otel_fim.pipeline.coverage import timestamp
from otel_fim.receivers.file_integrity.backend import Actor
from otel_fim.receivers.file_integrity.metadata import (
    Difference,
    FileState,
    Unhashed,
    is_directory,
    type_name,
)
from otel_fim.receivers.file_integrity.paths import display, is_utf8, split, text_of
from otel_fim.record import AnyValue, Attributes, Record, Severity

_WORDS: Final = {
    events.FILE_CREATED: "created",
    events.FILE_MODIFIED: "modified",
    events.FILE_DELETED: "deleted",
    events.FILE_RENAMED: "renamed",
    events.FILE_ATTRIBUTES_CHANGED: "changed attributes of",
}
_SEVERITIES: Final = {name: Severity[EVENTS[name].severity] for name in _WORDS}

# The attributes of a state that go together: a change of the first is told with both.
_TOGETHER: Final = {
    names.FILE_OWNER_ID: names.FILE_OWNER_NAME,
    names.FILE_GROUP_ID: names.FILE_GROUP_NAME,
}


class RecordBuilder:
    """Makes the records of one receiver."""

    def __init__(self, context: Context, identities: Identities) -> None:
        self._resource = context.resource
        self._scope = context.scope
        self._identities = identities

    def build(
        self,
        event: str,
        path: bytes,
        state: FileState | None,
        before: FileState | None,
        *,
        backend: str,
        time_unix_nano: int,
        observed_unix_nano: int,
        difference: Difference | None = None,
        old_path: bytes | None = None,
        actor: Actor | None = None,
        others: tuple[Actor, ...] = (),
        while_down: bool = False,
        unhashed: Unhashed | None = None,
        directory: bool = False,
    ) -> Record:
        """One record. `before` is told in full for a deletion and as far as `difference` says otherwise;
        `unhashed` and `directory` describe a file of which no state could be taken."""
        attributes: Attributes = {}
        _put_path(attributes, path)
        if state is not None:
            attributes.update(self.describe(state))
        else:
            attributes[names.FILE_TYPE] = (
                type_name(before.mode) if before is not None else "dir" if directory else "file"
            )
            if unhashed is not None:
                attributes[names.OTEL_FIM_FILE_NOT_HASHED] = unhashed.label
        if old_path is not None:
            attributes[names.before(names.FILE_PATH)] = text_of(old_path)
            if not is_utf8(old_path):
                attributes[names.before(names.OTEL_FIM_FILE_PATH_BYTES)] = old_path
        if difference is not None and before is not None:
            attributes[names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES] = list(difference.attributes)
            if difference.replaced:
                attributes[names.OTEL_FIM_FILE_REPLACED] = True
            old = self.describe(before)
            for name in difference.attributes:
                for part in (name, _TOGETHER.get(name)):
                    if part is not None and part in old:
                        attributes[names.before(part)] = old[part]
        elif event == events.FILE_DELETED and before is not None:
            for name, value in self.describe(before).items():
                attributes[names.before(name)] = value
        attributes[names.OTEL_FIM_FILE_BACKEND] = backend
        if while_down:
            attributes[names.OTEL_FIM_FILE_WHILE_DOWN] = True
        if actor is not None:
            self._put_actor(attributes, actor, others)
        severity = _SEVERITIES[event]
        body = f"{_WORDS[event]} {display(path)}"
        if event == events.FILE_RENAMED and old_path is not None:
            body = f"renamed {display(old_path)} to {display(path)}"
        return Record(
            time_unix_nano,
            observed_unix_nano,
            event,
            int(severity),
            severity.name,
            body,
            attributes,
            self._resource,
            self._scope,
        )

    def describe(self, state: FileState) -> Attributes:
        """A state as attributes. A directory has no size, link count, times: they tell of its entries."""
        mode = state.mode
        attributes: Attributes = {
            names.FILE_TYPE: type_name(mode),
            names.FILE_MODE: f"{stat.S_IMODE(mode):04o}",
            names.FILE_INODE: str(state.ino),
            names.FILE_OWNER_ID: str(state.uid),
            names.FILE_GROUP_ID: str(state.gid),
        }
        if (owner := self._identities.user(state.uid)) is not None:
            attributes[names.FILE_OWNER_NAME] = owner
        if (group := self._identities.group(state.gid)) is not None:
            attributes[names.FILE_GROUP_NAME] = group
        attributes[names.OTEL_FIM_FILE_DEVICE] = f"{os.major(state.dev)}:{os.minor(state.dev)}"
        attributes[names.FILE_CHANGED] = timestamp(state.ctime_ns)
        if is_directory(state):
            return attributes
        attributes[names.FILE_SIZE] = state.size
        attributes[names.OTEL_FIM_FILE_NLINK] = state.nlink
        attributes[names.FILE_MODIFIED] = timestamp(state.mtime_ns)
        if state.sha256 is not None:
            attributes[names.FILE_HASH_SHA256] = state.sha256.hex()
        elif state.unhashed is not None:
            attributes[names.OTEL_FIM_FILE_NOT_HASHED] = Unhashed(state.unhashed).label
        if state.target is not None:
            attributes[names.FILE_SYMBOLIC_LINK_TARGET_PATH] = text_of(state.target)
        return attributes

    def _put_actor(self, attributes: Attributes, actor: Actor, others: tuple[Actor, ...]) -> None:
        found: dict[str, AnyValue] = {
            names.PROCESS_PID: actor.pid,
            names.PROCESS_EXECUTABLE_PATH: actor.executable_path,
            names.PROCESS_COMMAND: actor.command,
            names.PROCESS_USER_ID: actor.effective_user_id,
            names.PROCESS_USER_NAME: self._identities.user(actor.effective_user_id),
            names.PROCESS_REAL_USER_ID: actor.real_user_id,
            names.PROCESS_REAL_USER_NAME: self._identities.user(actor.real_user_id),
            names.PROCESS_PARENT_PID: actor.parent_pid,
            names.PROCESS_PARENT_EXECUTABLE_PATH: actor.parent_executable_path,
            names.PROCESS_PARENT_COMMAND: actor.parent_command,
            names.OTEL_FIM_LOGIN_USER_ID: actor.login_user_id,
            names.OTEL_FIM_LOGIN_USER_NAME: self._identities.user(actor.login_user_id),
            names.OTEL_FIM_LOGIN_SESSION_ID: actor.session_id,
        }
        if actor.executable_path is not None:
            found[names.PROCESS_EXECUTABLE_NAME] = actor.executable_path.rsplit("/", 1)[-1]
        if actor.effective_user_id is not None:
            found[names.USER_ID] = str(actor.effective_user_id)
            found[names.USER_NAME] = found[names.PROCESS_USER_NAME]
        if actor.creation_time_unix_nano is not None:
            found[names.PROCESS_CREATION_TIME] = timestamp(actor.creation_time_unix_nano)
        attributes.update((name, value) for name, value in found.items() if value is not None)
        attributes[names.OTEL_FIM_ACTOR_STATE] = "exited" if actor.exited else "running"
        rest = [other for other in others if other.pid != actor.pid]
        if rest:
            attributes[names.OTEL_FIM_ACTOR_OTHERS] = [
                f"{other.pid} {other.executable_path or other.command or '?'}" for other in rest
            ]


def _put_path(attributes: Attributes, path: bytes) -> None:
    directory, name = split(path)
    text = text_of(name)
    attributes[names.FILE_PATH] = text_of(path)
    attributes[names.FILE_NAME] = text or "/"
    attributes[names.FILE_DIRECTORY] = text_of(directory)
    stem, dot, extension = text.rpartition(".")
    if dot and stem and extension:
        attributes[names.FILE_EXTENSION] = extension
    if not is_utf8(path):
        attributes[names.OTEL_FIM_FILE_PATH_BYTES] = path
