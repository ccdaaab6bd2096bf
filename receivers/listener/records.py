"""Builds the records: what listens, who holds it, who can reach it."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.component import Context
from otel_fim.host.identities import Identities
from otel_fim.host.process import Process
from otel_fim.names import events
from otel_fim.pipeline.coverage import timestamp
from otel_fim.receivers.listener.book import Listener, Owner
from otel_fim.receivers.listener.sockets import exposure
from otel_fim.record import AnyValue, Attributes, Record, Severity, make_event

_REACHABLE: Final = frozenset(("any", "public"))


class RecordBuilder:
    """Makes the records of one receiver. `client_ports` are the ports that the system gives to clients."""

    def __init__(self, context: Context, identities: Identities, client_ports: range) -> None:
        self._context = context
        self._identities = identities
        self._client_ports = client_ports

    def opened(
        self,
        listener: Listener,
        *,
        time_unix_nano: int | None = None,
        first: bool = False,
        while_down: bool = False,
        running: bool = True,
    ) -> Record:
        """`first`: it was there when the receiver was started for the first time."""
        reach = exposure(listener.socket.address)
        # What a client uses for its answers is no service, whoever can reach it.
        client = listener.socket.transport == "udp" and listener.socket.port in self._client_ports
        warn = reach in _REACHABLE and not first and not client
        return self._record(
            events.LISTENER_OPENED,
            "scan" if first else "opened",
            "listens on",
            listener,
            Severity.WARN if warn else Severity.INFO,
            time_unix_nano,
            while_down,
            "running" if running else "exited",
        )

    def closed(
        self,
        listener: Listener,
        *,
        time_unix_nano: int | None = None,
        while_down: bool = False,
        running: bool = False,
    ) -> Record:
        return self._record(
            events.LISTENER_CLOSED,
            "closed",
            "no longer listens on",
            listener,
            Severity.INFO,
            time_unix_nano,
            while_down,
            "running" if running else "recorded",
        )

    def _record(
        self,
        event: str,
        action: str,
        verb: str,
        listener: Listener,
        severity: Severity,
        time_unix_nano: int | None,
        while_down: bool,
        actor_state: str,
    ) -> Record:
        socket, owner = listener.socket, listener.owner
        attributes: Attributes = {
            names.EVENT_ACTION: action,
            names.NETWORK_TRANSPORT: socket.transport,
            names.NETWORK_TYPE: f"ipv{socket.family}",
            names.NETWORK_LOCAL_ADDRESS: socket.address,
            names.NETWORK_LOCAL_PORT: socket.port,
            names.OTEL_FIM_LISTENER_EXPOSURE: exposure(socket.address),
            names.OTEL_FIM_LISTENER_BACKEND: listener.backend,
        }
        if socket.ipv6_only is not None:
            attributes[names.OTEL_FIM_LISTENER_IPV6_ONLY] = socket.ipv6_only
        if socket.namespace is not None:
            attributes[names.OTEL_FIM_LISTENER_NETWORK_NAMESPACE] = str(socket.namespace)
        if while_down:
            attributes[names.OTEL_FIM_LISTENER_WHILE_DOWN] = True
        self._put_owner(attributes, owner, socket.user_id, actor_state)
        who = (owner and owner.name) or "an unknown process"
        return make_event(
            event,
            attributes,
            resource=self._context.resource,
            scope=self._context.scope,
            severity=severity,
            body=f"{_printable(who)} {verb} {socket}",
            time_unix_nano=time_unix_nano,
        )

    def _put_owner(
        self, attributes: Attributes, owner: Owner | None, socket_user: int | None, actor_state: str
    ) -> None:
        process = None if owner is None else owner.process
        user = socket_user
        if process is not None and process.effective_user_id is not None:
            user = process.effective_user_id
        found: dict[str, AnyValue] = {} if process is None else self._process(process)
        if owner is not None:
            found[names.PROCESS_PID] = owner.pid
            found[names.OTEL_FIM_ACTOR_STATE] = actor_state if process is not None else "exited"
            if owner.others:
                found[names.OTEL_FIM_LISTENER_PROCESSES] = list(owner.others)
        if user is not None:
            found[names.USER_ID] = str(user)
            found[names.USER_NAME] = self._identities.user(user)
        attributes.update((name, value) for name, value in found.items() if value is not None)

    def _process(self, process: Process) -> dict[str, AnyValue]:
        parent = process.ancestors[0] if process.ancestors else None
        path = process.executable_path
        return {
            names.PROCESS_CREATION_TIME: timestamp(process.created_unix_nano),
            names.PROCESS_ENTITY_ID: process.entity_id,
            names.PROCESS_EXECUTABLE_PATH: path,
            names.PROCESS_EXECUTABLE_NAME: None if path is None else path.rsplit("/", 1)[-1],
            names.PROCESS_COMMAND: process.command,
            names.PROCESS_USER_ID: process.effective_user_id,
            names.PROCESS_USER_NAME: self._identities.user(process.effective_user_id),
            names.PROCESS_REAL_USER_ID: process.real_user_id,
            names.PROCESS_REAL_USER_NAME: self._identities.user(process.real_user_id),
            names.PROCESS_PARENT_PID: process.parent_pid,
            names.PROCESS_PARENT_EXECUTABLE_PATH: None if parent is None else parent.executable_path,
            names.PROCESS_PARENT_COMMAND: None if parent is None else parent.command,
            names.OTEL_FIM_LOGIN_USER_ID: process.login_user_id,
            names.OTEL_FIM_LOGIN_USER_NAME: self._identities.user(process.login_user_id),
            names.OTEL_FIM_LOGIN_SESSION_ID: process.session_id,
            names.OTEL_FIM_SYSTEMD_UNIT: process.systemd_unit,
            names.CONTAINER_ID: process.container_id,
        }


def _printable(text: str) -> str:
    """A process chooses its own name: no line break or escape of it gets into a sentence."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
