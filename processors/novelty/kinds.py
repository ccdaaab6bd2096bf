"""What a record says of each kind: which users, programs, sockets and so on it has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from otel_fim import names
from otel_fim.names import NOVELTY_KINDS, events
from otel_fim.normal import normal_path
from otel_fim.otlp import to_text
from otel_fim.record import AnyValue

Seen: TypeAlias = tuple[str, ...]
"""The event name and the values that the kinds are made of, as they stand in the record; empty where there is none."""
Entity: TypeAlias = tuple[int, tuple[str, ...]]
"""The kind (place in `NOVELTY_KINDS`), and what it is."""

SCAN: Final = "scan"
"""`event.action` of what was there when the agent came."""
SHARES: Final[dict[str, int]] = {
    "user": 3,
    "source": 8,
    "user_source": 10,
    "privilege": 3,
    "executable": 15,
    "executable_hash": 15,
    "parent_child": 18,
    "user_executable": 15,
    "listener": 5,
    "persistence": 7,
    "persistence_kind": 1,
}
"""Percent of `max_entries` for each kind."""
FREQUENT: Final = frozenset({"executable", "executable_hash", "parent_child", "user_executable"})
"""Kinds that every host has something of at once. When nothing of it came while a host was learnt, nobody was looking
(the receiver was not there yet), and learning begins with the first that comes."""
EPHEMERAL_PORT: Final = 32_768
"""From here on the kernel gives out ports by itself (Linux, net.ipv4.ip_local_port_range): they are all alike."""

_USER, _SOURCE, _USER_SOURCE, _PRIVILEGE = (
    NOVELTY_KINDS.index(kind) for kind in ("user", "source", "user_source", "privilege")
)
_EXECUTABLE, _HASH, _PARENT_CHILD, _USER_EXECUTABLE = (
    NOVELTY_KINDS.index(kind) for kind in ("executable", "executable_hash", "parent_child", "user_executable")
)
_LISTENER, _PERSISTENCE, _PERSISTENCE_KIND = (
    NOVELTY_KINDS.index(kind) for kind in ("listener", "persistence", "persistence_kind")
)


def _text(value: AnyValue) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else to_text(value)


# --- What is looked at -----------------------------------------------------------------------------------


def _process(attributes: Mapping[str, AnyValue]) -> Seen | None:
    # A fork goes on with the program of its parent.
    if attributes.get(names.EVENT_ACTION) == "fork":
        return None
    get = attributes.get
    user = get(names.PROCESS_USER_ID)
    return (
        events.PROCESS_STARTED,
        _text(get(names.PROCESS_EXECUTABLE_PATH)),
        _text(get(names.PROCESS_HASH_SHA256)),
        _text(get(names.PROCESS_PARENT_EXECUTABLE_PATH)),
        _text(get(names.USER_ID) if user is None else user),
    )


def _login(attributes: Mapping[str, AnyValue]) -> Seen | None:
    # Who merely knocked is not known afterwards: strangers could otherwise teach and crowd out.
    if attributes.get(names.EVENT_OUTCOME) != "success":
        return None
    user = attributes.get(names.USER_NAME)
    return (
        events.AUTH_LOGIN,
        _text(attributes.get(names.USER_ID) if user is None else user),
        _text(attributes.get(names.SOURCE_ADDRESS)),
    )


def _privilege(attributes: Mapping[str, AnyValue]) -> Seen | None:
    if attributes.get(names.EVENT_OUTCOME) != "success":
        return None
    get = attributes.get
    user, effective = get(names.USER_NAME), get(names.USER_EFFECTIVE_NAME)
    return (
        events.AUTH_PRIVILEGE,
        _text(get(names.USER_ID) if user is None else user),
        _text(get(names.USER_EFFECTIVE_ID) if effective is None else effective),
    )


def _listener(attributes: Mapping[str, AnyValue]) -> Seen:
    return (
        events.LISTENER_OPENED,
        _text(attributes.get(names.NETWORK_TRANSPORT)),
        _text(attributes.get(names.OTEL_FIM_LISTENER_EXPOSURE)),
        _text(attributes.get(names.NETWORK_LOCAL_PORT)),
        _text(attributes.get(names.PROCESS_EXECUTABLE_PATH)),
    )


def _persistence(attributes: Mapping[str, AnyValue]) -> Seen:
    identity = attributes.get(names.OTEL_FIM_PERSISTENCE_ID)
    return (
        events.PERSISTENCE_ADDED,
        _text(attributes.get(names.OTEL_FIM_PERSISTENCE_KIND)),
        _text(attributes.get(names.FILE_PATH) if identity is None else identity),
    )


LOOK: Final[dict[str, Callable[[Mapping[str, AnyValue]], Seen | None]]] = {
    events.PROCESS_STARTED: _process,
    events.AUTH_LOGIN: _login,
    events.AUTH_PRIVILEGE: _privilege,
    events.LISTENER_OPENED: _listener,
    events.PERSISTENCE_ADDED: _persistence,
    events.PROCESS_EXITED: _process,
    events.PERSISTENCE_CHANGED: _persistence,
    events.PERSISTENCE_REMOVED: _persistence,
}
"""By event name; records of other events are not looked at."""
TEACHING: Final = frozenset({events.PROCESS_EXITED, events.PERSISTENCE_CHANGED, events.PERSISTENCE_REMOVED})
"""Events of what was there before: nothing is new about them. So a service that ran before the agent did is known when
it is started again."""


# --- What it means ---------------------------------------------------------------------------------------


def _programs(seen: Seen) -> list[Entity]:
    _, raw, digest, raw_parent, user = seen
    path = normal_path(raw)
    found: list[Entity] = []
    if path:
        found.append((_EXECUTABLE, (path,)))
    if digest:
        found.append((_HASH, (digest,)))
    if path and raw_parent:
        found.append((_PARENT_CHILD, (normal_path(raw_parent), path)))
    if path and user:
        found.append((_USER_EXECUTABLE, (user, path)))
    return found


def _logins(seen: Seen) -> list[Entity]:
    _, user, source = seen
    found: list[Entity] = []
    if user:
        found.append((_USER, (user,)))
    if source:
        found.append((_SOURCE, (source,)))
    if user and source:
        found.append((_USER_SOURCE, (user, source)))
    return found


def _privileges(seen: Seen) -> list[Entity]:
    _, user, effective = seen
    return [(_PRIVILEGE, (user, effective))] if user and effective else []


def _listeners(seen: Seen) -> list[Entity]:
    _, transport, exposure, port, executable = seen
    if not port:
        return []
    is_ephemeral = port.isdecimal() and len(port) < 8 and int(port) >= EPHEMERAL_PORT
    port = "ephemeral" if is_ephemeral else port
    return [(_LISTENER, (transport, exposure, port, normal_path(executable)))]


def _persistent(seen: Seen) -> list[Entity]:
    _, kind, identity = seen
    found: list[Entity] = []
    if identity:
        found.append((_PERSISTENCE, (kind, identity)))
    if kind:
        found.append((_PERSISTENCE_KIND, (kind,)))
    return found


_MEANING: Final[dict[str, Callable[[Seen], list[Entity]]]] = {
    events.PROCESS_STARTED: _programs,
    events.AUTH_LOGIN: _logins,
    events.AUTH_PRIVILEGE: _privileges,
    events.LISTENER_OPENED: _listeners,
    events.PERSISTENCE_ADDED: _persistent,
}


def entities(seen: Seen) -> list[Entity]:
    """What was seen, in the order of `NOVELTY_KINDS`; paths of programs in their normal form."""
    return _MEANING[seen[0]](seen)
