"""`ListenerReceiver`: puts the backends, what is remembered and the engine together."""

from __future__ import annotations

import time

from otel_fim.component import Health, Receiver, ReceiverContext, StartError
from otel_fim.receivers.listener.book import Listener
from otel_fim.receivers.listener.config import ListenerConfig
from otel_fim.receivers.listener.engine import Engine
from otel_fim.receivers.listener.holders import is_ordinary_user
from otel_fim.receivers.listener.memory import Memory
from otel_fim.receivers.listener.state import Remembered, StateError, StateFile
from otel_fim.receivers.listener.views import client_ports
from otel_fim.receivers.listener.watching import Watching


class ListenerReceiver(Receiver[ListenerConfig]):
    """Tells which sockets begin and end to listen, and who holds them."""

    Config = ListenerConfig
    context: ReceiverContext

    def __init__(self, config: ListenerConfig, context: ReceiverContext) -> None:
        super().__init__(config, context)
        self._engine: Engine | None = None

    def start(self) -> None:
        context = self.context
        context.report(Health.STARTING, "looking at what listens")
        file = StateFile(context.state_directory)
        damage: str | None = None
        remembered: Remembered | None = None
        try:
            remembered = file.read()
        except StateError as error:
            damage = str(error)
        except OSError as error:
            raise StartError(f"{file.path} cannot be read: {error}") from error
        ports = client_ports()
        try:
            watching = Watching(self.config, ports, context.logger)
        except OSError as error:
            raise StartError(
                f"{context.id}.backend: listening sockets cannot be listed ({error}); "
                "choose another backend, or leave it at auto"
            ) from error
        memory = Memory(file, self._kept(remembered), known=remembered is not None)
        engine = Engine(self.config, context, watching, memory, ports)
        self._engine = engine
        if damage is not None:
            context.logger.warning("%s", damage)
            engine.gaps.once(
                "io_error", f"{damage}; what changed while the agent was down is not known", time.time_ns()
            )
        self._tell_limits(engine, watching)
        context.logger.info("listening sockets are seen through %s", _described(watching))
        engine.start()

    def stop(self, timeout: float) -> None:
        if self._engine is not None and not self._engine.stop(timeout):
            self.context.logger.warning(
                "listener did not finish within its time; what was told may be told again"
            )
        self.context.report(Health.STOPPED, "")

    def _kept(self, remembered: Remembered | None) -> list[Listener]:
        """What was remembered and is still to be told of."""
        kept: list[Listener] = []
        for listener in remembered.listeners if remembered is not None else ():
            socket = listener.socket
            elsewhere = socket.namespace is not None and self.config.network_namespaces == "own"
            executable = None if listener.owner is None else listener.owner.executable
            if elsewhere or (socket.transport == "udp" and self.config.udp == "none"):
                continue
            if not self.config.takes(socket, executable):
                continue
            if remembered is not None and not remembered.same_boot:
                # Another boot: whatever its number was, none of those sockets is left.
                listener.sockets = {(*each[:2], -each[2] - 1, *each[3:]) for each in listener.sockets}
            kept.append(listener)
        return kept

    def _tell_limits(self, engine: Engine, watching: Watching) -> None:
        if is_ordinary_user():
            engine.tell_who_is_unknown()
        if not self.config.real_time:
            return
        limits = watching.limits
        if watching.name != "sock_diag":
            limits = [f"{watching.name} tells only what is there when it is asked"]
        if limits:
            detail = (
                f"listeners that live shorter than {self.config.interval:g} s may be missed: "
                f"{'; '.join(limits)}"
            )
            self.context.logger.warning("%s", detail)
            engine.gaps.open("backend_limited", "real_time", detail)


def _described(watching: Watching) -> str:
    parts = [watching.name]
    if watching.tracepoint is not None:
        parts.append("the tracepoint inet_sock_set_state")
    if any(view.notices is not None for view in watching.views.values()):
        parts.append("the kernel's notices of closed sockets")
    return ", ".join(parts)
