"""The extension `embedded_store`: the store as a child process that is watched and started again."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Final

from otel_fim.component import Extension, ExtensionContext, Health, StartError
from otel_fim.config.model import ComponentConfig
from otel_fim.pipeline.retry import RetryConfig, delays
from otel_fim.store.address import listen, parse_listen
from otel_fim.store.child import LOCK_SECONDS, Child
from otel_fim.store.config import EmbeddedStoreConfig
from otel_fim.store.directory import in_use
from otel_fim.store.passwords import READER, WRITER, ensure_password

_CHECK_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 10.0
_FAILED_CHECKS: Final = 6
"""A store that leaves this many checks in a row without an answer hangs, and is ended."""
_STEADY_SECONDS: Final = 60.0
_LETTING_GO_SECONDS: Final = 1.0


class EmbeddedStoreExtension(Extension[EmbeddedStoreConfig]):
    """Keeps a store running beside the agent.

    `start` returns at once, with the passwords in place; exporters retry until the store answers, which takes a
    second or two. The store ends with the agent, also when that is killed.
    """

    Config: ClassVar[type[ComponentConfig]] = EmbeddedStoreConfig

    def __init__(self, config: EmbeddedStoreConfig, context: ExtensionContext) -> None:
        super().__init__(config, context)
        self._directory = (context.service_directory / (config.data or "store")).absolute()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        """Set when the store has ended, and at a stop."""
        self._deadline = 0.0
        self._listener: socket.socket | None = None
        self._child: Child | None = None
        # The child is bound to the thread that starts it (see `parent.follow`): one thread for all of them.
        self._keeper = threading.Thread(target=self._keep, name="store-keeper", daemon=True)

    def directories(self) -> Sequence[Path]:
        """The store's directory."""
        return (self._directory,)

    def child_pids(self) -> Sequence[int]:
        """The store's process, while there is one."""
        child = self._child
        return () if child is None else (child.pid,)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the store listens, or None while it does not."""
        child = self._child
        return None if child is None else child.address()

    def start(self) -> None:
        for module in ("chdb", "uvicorn"):
            if importlib.util.find_spec(module) is None:
                raise StartError(
                    f"{self.context.id} needs the Python package {module}: pip install 'otel-fim[embedded]'"
                )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for user in (WRITER, READER):
                ensure_password(str(self._directory), user)
        except (OSError, ValueError) as error:
            raise StartError(f"{self.context.id}: {error}") from error
        self._listener = self._bind_unless_in_use()
        self.context.report(Health.STARTING, "the store is starting")
        self._keeper.start()

    def stop(self, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._stopping.set()
        self._wake.set()
        if self._keeper.ident is not None:
            self._keeper.join(timeout + 1.0)
        elif self._listener is not None:
            self._listener.close()

    def _bind(self) -> socket.socket:
        """The listening socket. Raises `StartError` when another program has the port."""
        try:
            return listen(*parse_listen(self.config.listen))
        except OSError as error:
            raise StartError(
                f"extensions.{self.context.id}.listen: cannot listen on {self.config.listen}: "
                f"{error.strerror}; choose another address or end the program that has it"
            ) from error

    def _bind_unless_in_use(self) -> socket.socket | None:
        """None while a store of an agent that was killed is on its way out, and may have the port until then."""
        until = time.monotonic() + _LETTING_GO_SECONDS
        while True:
            try:
                return self._bind()
            except StartError:
                if in_use(str(self._directory)):
                    return None
                # One that ends lets go of its locks and of the port, but not at the same moment.
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _keep(self) -> None:
        waits = self._waits()
        while not self._stopping.is_set():
            try:
                self._wake.clear()
                listener = self._listener or self._bind_patiently()
                self._listener = None
                child = self._child = Child(
                    self.config, self._directory, listener, say=self._say, wake=self._wake
                )
            except (OSError, StartError) as error:
                reason = f"the store cannot be started: {error}"
            else:
                reason = self._watch(child)
                self._child = None
                if time.monotonic() - child.started > _STEADY_SECONDS:
                    waits = self._waits()
            if self._stopping.is_set():
                break
            wait = next(waits)
            self.context.report(
                Health.RECOVERABLE_ERROR, f"the store has ended ({reason}); starting it again"
            )
            self.context.logger.warning("the store has ended (%s); next start in %.1f s", reason, wait)
            self._stopping.wait(wait)
        self.context.report(Health.STOPPED, "the store is stopped")

    def _bind_patiently(self) -> socket.socket:
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                return self._bind()
            except StartError:
                if time.monotonic() > until or not in_use(str(self._directory)) or self._wake.wait(0.1):
                    raise

    def _waits(self) -> Iterator[float]:
        restart = self.config.restart
        return delays(
            RetryConfig(initial_interval=restart.initial_interval, max_interval=restart.max_interval)
        )

    def _watch(self, child: Child) -> str:
        """Returns when the child has ended: how."""
        password = ensure_password(str(self._directory), READER)
        ready = False
        failed = 0
        patience = self.config.start_timeout + LOCK_SECONDS
        while True:
            if self._stopping.is_set():
                self._end(child)
                return "stopped"
            if child.wait(0.0):
                return child.ending()
            if not ready:
                ready = child.answers(password, timeout=1.0)
                if ready:
                    self.context.report(Health.OK, "the store answers")
                elif time.monotonic() - child.started > patience:
                    child.kill()
                    return f"no answer {patience:.0f} s after its start"
                self._wake.wait(0.1)
                continue
            self._wake.wait(_CHECK_SECONDS)
            if self._stopping.is_set() or child.wait(0.0):
                continue
            failed = 0 if child.answers(password, timeout=_ANSWER_SECONDS) else failed + 1
            if failed >= _FAILED_CHECKS and not child.wait(0.0):
                child.kill()
                return f"no answer to {failed} checks"

    def _end(self, child: Child) -> None:
        child.terminate()
        if not child.wait(self._deadline - time.monotonic() - 1.0):
            self.context.logger.warning("the store does not end by itself and is killed; nothing is lost")
            with contextlib.suppress(OSError):
                child.kill()

    def _say(self, line: str) -> None:
        self.context.logger.info("%s", line)
