"""The store's process as the agent sees it: started, asked how it is, ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from otel_fim.store.address import parse_listen
from otel_fim.store.config import EmbeddedStoreConfig
from otel_fim.store.directory import ADDRESS_FILE, announce
from otel_fim.store.passwords import READER

LOCK_SECONDS: Final = 30.0
"""A store whose agent was killed may still be on its way out; the new one waits this long for it."""


class Child:
    """One run of the store, which takes over `listener`. `say` is given each line that it writes, `wake` is set
    when it has ended.

    Must be created on a thread that lives as long as the child: the kernel ends the child with that thread.
    """

    def __init__(
        self,
        config: EmbeddedStoreConfig,
        directory: Path,
        listener: socket.socket,
        *,
        say: Callable[[str], None],
        wake: threading.Event,
    ) -> None:
        self._directory = directory
        with contextlib.suppress(FileNotFoundError):
            (directory / ADDRESS_FILE).unlink()
        command = [sys.executable, "-P", "-m", "otel_fim.store", "--data", str(directory)]
        command += ["--listen", config.listen, "--memory", str(config.memory) + "B"]
        command += ["--concurrency", str(config.concurrency), "--lock-timeout", str(LOCK_SECONDS)]
        command += ["--parent", str(os.getpid()), "--listener", str(listener.fileno())]
        if not config.sandbox:
            command.append("--no-sandbox")
        with listener, os.fdopen(announce(str(directory))) as announced:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C goes to the terminal's whole group; the store must outlive the exporters' last deliveries.
                start_new_session=True,
                pass_fds=(listener.fileno(), announced.fileno()),
            )
        self.started = time.monotonic()
        self._last_words: deque[str] = deque(maxlen=5)
        self._ended = threading.Event()
        self._listener = threading.Thread(
            target=self._listen, args=(say, wake), name="store-log", daemon=True
        )
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait(self, seconds: float) -> bool:
        """Whether the process has ended, after waiting up to `seconds` for it."""
        return self._ended.wait(max(0.0, seconds))

    def ending(self) -> str:
        """How the process ended, and the last that it said."""
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"ended by {signal.Signals(-code).name}"
                return f"{how}: {self._last_words[-1]}" if self._last_words else how
        return self._last_words[-1] if self._last_words else f"ended with status {code}"

    def address(self) -> tuple[str, int] | None:
        """Where the store listens, or None as long as it does not."""
        try:
            return parse_listen((self._directory / ADDRESS_FILE).read_text("ascii").strip())
        except (OSError, ValueError):
            return None

    def answers(self, password: str, timeout: float) -> bool:
        """Whether a query gets any answer, be it that the store is busy."""
        address = self.address()
        if address is None:
            return False
        connection = http.client.HTTPConnection(*address, timeout=timeout)
        try:
            headers = {"X-ClickHouse-User": READER, "X-ClickHouse-Key": password}
            connection.request("GET", f"/?query={quote('SELECT 1')}", headers=headers)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process, and wait for that."""
        self._process.kill()
        self._ended.wait()

    def _listen(self, say: Callable[[str], None], wake: threading.Event) -> None:
        stream = self._process.stderr
        if stream is not None:
            with stream:
                for line in stream:
                    text = line.decode("utf-8", "backslashreplace").rstrip().removeprefix("otel-fim store: ")
                    if text:
                        self._last_words.append(text)
                        say(text)
        self._process.wait()
        self._ended.set()
        wake.set()
