"""`receivers.process`: which processes are reported, and how much of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from otel_fim.config.model import ByteSize, ComponentConfig, ConfigModel, Duration
from otel_fim.host.process import MAX_ANCESTORS


class ProcessFilter(ConfigModel):
    """Processes by what they run, who runs them and what started them. A process matches when it matches each of the
    lists that are not empty."""

    executables: list[str] = []
    """Shell patterns for the full path of the executable; `*` matches slashes too. One without a slash is matched
    against the executable's name."""
    users: list[str] = []
    """Names or numbers of effective users."""
    parents: list[str] = []
    """Shell patterns for the parent's executable, as in `executables`."""

    def is_empty(self) -> bool:
        """Whether nothing was given."""
        return not (self.executables or self.users or self.parents)


class ProcessConfig(ComponentConfig):
    """The settings of the process receiver."""

    backend: Literal["auto", "proc_connector", "psutil"] = "auto"
    """What sees processes. `proc_connector` is told of each by the kernel (Linux; root, or any user from Linux 6.6
    on); `psutil` looks every `interval` and misses what comes and goes in between. `auto` takes the first where it
    works. Every record says which one it was."""
    interval: Duration = Field(default=2.0, ge=0.1)
    """psutil only: time between two looks."""
    command_line: Literal["none", "redacted", "full"] = "none"
    """Command lines often hold secrets, so none are sent by default. `redacted` takes out what looks like one."""
    forks: bool = True
    """Report a process that goes on with its parent's program (`event.action` fork), when it has not started
    another one after a second or at its end."""
    exits: bool = True
    """Report ends, with exit code or signal and duration."""
    existing: bool = False
    """Report the processes that run when the agent starts (`event.action` scan)."""
    include: ProcessFilter = ProcessFilter()
    """When given, only processes that match are reported, and those of which it cannot be told."""
    exclude: ProcessFilter = ProcessFilter()
    """Processes that match are not reported."""
    max_ancestors: int = Field(default=MAX_ANCESTORS, ge=0, le=MAX_ANCESTORS)
    """Parents told with each process."""
    hash: bool = True
    """Send the SHA-256 of executables. Each is read once, and again when it has changed."""
    hash_max_size: ByteSize = 256 * 2**20
    """Larger executables carry `otel_fim.process.not_hashed` = too_large."""
    receive_buffer: ByteSize = Field(default=32 * 2**20, ge=4096)
    """proc_connector only: the kernel's buffer for events that the agent has not read yet. What does not fit is
    lost, which is told as a coverage gap."""
    max_pending: int = Field(default=32768, ge=256)
    """Records that may wait when the pipelines are slow. Beyond it they are dropped, and told as a coverage gap."""
