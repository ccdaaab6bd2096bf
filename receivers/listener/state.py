"""What was told to be listening, kept over restarts: a small JSON file that is the old one or the new one, whole."""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from otel_fim.host.process import Ancestor, Process
from otel_fim.host.procfs import boot_id
from otel_fim.journal.files import replace_file
from otel_fim.receivers.listener.book import Listener, Owner
from otel_fim.receivers.listener.sockets import Identity, ListeningSocket

VERSION: Final = 1
_PROCESS_FIELDS: Final = tuple(each.name for each in fields(Process) if each.name != "ancestors")
_SOCKET_FIELDS: Final = tuple(each.name for each in fields(ListeningSocket) if each.name != "pids")
_ANCESTOR_FIELDS: Final = tuple(each.name for each in fields(Ancestor))
_DAMAGED: Final = ".damaged"

# What comes from a file is held against the types that the rest of the receiver counts on.
_PROCESS: Final = TypeAdapter(Process)
_SOCKET: Final = TypeAdapter(ListeningSocket)
_IDENTITIES: Final = TypeAdapter(set[Identity])
_OTHERS: Final = TypeAdapter(tuple[str, ...])


class StateError(Exception):
    """The file is not what this module writes; the message says where it has been put."""


@dataclass(slots=True)
class Remembered:
    """What the run before told to be listening. `same_boot`: its sockets can still be the ones that are there now."""

    listeners: list[Listener]
    same_boot: bool


class StateFile:
    """`listeners.json`: version, boot id and the listeners."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "listeners.json"

    def read(self) -> Remembered | None:
        """None when there is no file: the first start. Raises `StateError` when it is damaged, which sets it aside."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            document = json.loads(content)
            if document["version"] != VERSION:
                raise ValueError(f"version {document['version']!r}")
            listeners = [_listener(each) for each in document["listeners"]]
            return Remembered(listeners, document["boot"] == _boot())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            aside = self.path.with_name(f"{self.path.name}{_DAMAGED}-{time.time_ns()}")
            os.rename(self.path, aside)
            raise StateError(f"{self.path} cannot be read ({error!r}) and is set aside as {aside}") from error

    def write(self, listeners: Iterable[Listener]) -> None:
        """Durable on return. Raises `OSError`."""
        document = {
            "version": VERSION,
            "boot": _boot(),
            "listeners": [_plain(each) for each in listeners],
        }
        replace_file(self.path, json.dumps(document, separators=(",", ":")).encode() + b"\n")


def _boot() -> str:
    """One boot of the host; where the system has no id of it, the minute in which it was booted."""
    return boot_id() or f"{(time.time() - time.monotonic()) // 60:.0f}"


def _plain(listener: Listener) -> dict[str, Any]:
    owner = listener.owner
    return {
        "socket": {name: getattr(listener.socket, name) for name in _SOCKET_FIELDS},
        "sockets": [list(each) for each in sorted(listener.sockets, key=repr)],
        "backend": listener.backend,
        "owner": None
        if owner is None
        else {
            "pid": owner.pid,
            "others": list(owner.others),
            "process": None if owner.process is None else _plain_process(owner.process),
        },
    }


def _plain_process(process: Process) -> dict[str, Any]:
    plain = {name: getattr(process, name) for name in _PROCESS_FIELDS}
    if process.ancestors:
        parent = process.ancestors[0]
        plain["parent"] = [parent.pid, parent.entity_id, parent.executable_path, parent.command]
    return {name: value for name, value in plain.items() if value is not None}


def _listener(plain: Any) -> Listener:
    socket = _SOCKET.validate_python(plain["socket"])
    ipaddress.ip_address(socket.address)
    owner = plain["owner"]
    return Listener(
        socket,
        None
        if owner is None
        else Owner(int(owner["pid"]), _process(owner["process"]), _OTHERS.validate_python(owner["others"])),
        str(plain["backend"]),
        _IDENTITIES.validate_python(plain["sockets"]),
    )


def _process(plain: Any) -> Process | None:
    if plain is None:
        return None
    parent = plain.pop("parent", None)
    ancestors = () if parent is None else (dict(zip(_ANCESTOR_FIELDS, parent, strict=True)),)
    return _PROCESS.validate_python({**plain, "ancestors": ancestors})
