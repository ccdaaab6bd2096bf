"""`service`: the pipelines, where the agent keeps its state, and what it tells about itself."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from otel_fim.config.model import ConfigModel, Duration
from otel_fim.journal.config import JournalConfig
from otel_fim.telemetry.config import TelemetryConfig


class PipelineConfig(ConfigModel):
    """One way from receivers to exporters, with a journal of its own."""

    receivers: list[str] = Field(min_length=1)
    """Ids of the receivers whose records this pipeline takes. A receiver may feed several pipelines."""
    processors: list[str] = []
    """Ids of the processors, in the order in which they work. `chain` seals and can only be the last."""
    exporters: list[str] = Field(min_length=1)
    """Ids of the exporters. Each reads the journal at its own pace."""


class ProcessTableConfig(ConfigModel):
    """The processes that the agent keeps in mind to tell who did what."""

    max_processes: int = Field(default=8192, ge=256)
    """Processes kept, running and ended ones together; about 2 KiB each. The ones that ended first go first."""


class ServiceConfig(ConfigModel):
    """The settings of the agent as a whole."""

    state_directory: str = Field(default="./otel-fim-data", min_length=1)
    """Where everything that must survive a restart lives: journals, baseline, cursors. `~` is the home
    directory; a relative path is taken from the working directory. One agent at a time."""
    extensions: list[str] = []
    """Ids of the extensions to run."""
    pipelines: dict[str, PipelineConfig]
    """The pipelines by id: `logs` or `logs/name`."""
    telemetry: TelemetryConfig = TelemetryConfig()
    """What the agent tells about itself."""
    journal: JournalConfig = JournalConfig()
    """How the journals write, rotate and let go."""
    process_table: ProcessTableConfig = ProcessTableConfig()
    """The process table that all components share."""
    shutdown_timeout: Duration = Field(default=10.0, gt=0)
    """Within this time after SIGTERM the agent has drained its queues to the journal and stopped."""
    queue_size: int = Field(default=8192, ge=1)
    """Records that a pipeline may hold in memory before its receivers wait."""

    @property
    def state_path(self) -> Path:
        """`state_directory` as an absolute path."""
        return Path(os.path.abspath(os.path.expanduser(self.state_directory)))
