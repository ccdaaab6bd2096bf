"""The state directory: who runs in it, and how the run before ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim.component import StartError
from otel_fim.journal.files import replace_file

_VERSION: Final = 1


@dataclass(slots=True, frozen=True)
class PreviousRun:
    """`ending` is none (there was no run), clean or unclean; `last_alive_unix_nano` is 0 without a run."""

    ending: str
    last_alive_unix_nano: int


class StateDirectory:
    """One agent at a time in a directory: locked while open.

    Holds `agent.json` (version, instance id, how the last run ended, when it was last alive) and the lock
    `agent.lock`, whose content is the pid of the agent that holds it.
    """

    def __init__(self, path: Path) -> None:
        """Opens and locks the directory, creating it (0700) if need be. Raises `StartError`."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"service.state_directory: {path} cannot be used: {error.strerror}; choose another directory"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise StartError(
                f"service.state_directory: {path} is in use by another otel-fim (pid {holder}); "
                "stop that one, or give this one a state directory of its own"
            ) from None
        # Over what is there, and without being needed: a full disk must not keep the agent from starting.
        with contextlib.suppress(OSError):
            os.pwrite(self._lock, f"{os.getpid():<15}\n".encode(), 0)
        known = (path / "agent.json").exists()
        state = self._read()
        self.instance_id = str(state.get("instance_id") or uuid.uuid4())
        ended = state.get("ended")
        alive = state.get("alive_unix_nano")
        self.previous = PreviousRun(
            "none" if not known else "clean" if ended == "clean" else "unclean",
            alive if isinstance(alive, int) else 0,
        )

    def alive(self) -> None:
        """Notes that the agent runs; called now and then, so that the next start knows when it was last seen."""
        self._write("running")

    def close(self, *, clean: bool, until_unix_nano: int | None = None) -> None:
        """Notes how the run ended and lets go of the directory. `until_unix_nano` is given when the records end
        before now, because the disk was full."""
        with contextlib.suppress(OSError):
            self._write("clean" if clean else "unclean", until_unix_nano)
        os.close(self._lock)

    def release(self) -> None:
        """Lets go of the directory as if it had never been opened: for a start that failed."""
        os.close(self._lock)

    def component_directory(self, kind: str, component_id: str, pipeline: str | None = None) -> Path:
        """The private directory of a component (of one pipeline), created if need be. Raises `OSError`."""
        parts = [kind, component_id.replace("/", "_")]
        if pipeline is not None:
            parts.insert(1, pipeline.replace("/", "_"))
        path = self.path.joinpath(*parts)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def _read(self) -> dict[str, str | int]:
        try:
            value = json.loads((self.path / "agent.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _write(self, ended: str, alive_unix_nano: int | None = None) -> None:
        value = {
            "version": _VERSION,
            "instance_id": self.instance_id,
            "ended": ended,
            "alive_unix_nano": time.time_ns() if alive_unix_nano is None else alive_unix_nano,
        }
        replace_file(self.path / "agent.json", json.dumps(value).encode() + b"\n")
