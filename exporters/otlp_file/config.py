"""`exporters.otlp_file`: where the file is, and when a new one is begun."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from otel_fim.config.model import ComponentConfig, ConfigModel
from otel_fim.pipeline.retry import RetryConfig


class RotationConfig(ConfigModel):
    """When a file is closed and renamed to `name-2026-01-13T14-32-15.123.ext`, and which of these are kept."""

    max_megabytes: int = Field(default=100, ge=1)
    """A new file is begun when the old one would grow beyond this many megabytes. One batch is never split,
    so a file that holds nothing else may be larger."""
    max_days: int = Field(default=0, ge=0)
    """Closed files older than this many days are removed; 0 keeps them whatever their age."""
    max_backups: int = Field(default=100, ge=0)
    """At most this many closed files are kept, the newest; 0 keeps them all."""
    compression: Literal["none", "gzip", "zstd"] = "none"
    """Compresses closed files whole. `gzip` is what the collector's `otlpjsonfile` receiver can read; the file
    being written is never compressed."""


class OtlpFileConfig(ComponentConfig):
    """The settings of the OTLP file exporter; the keys are those of the collector's file exporter."""

    path: str = Field(min_length=1)
    """The file. Its directory is made when it is missing. The file is readable by its owner and group."""
    append: bool = True
    """Go on with a file that is there. False empties it at each start."""
    format: Literal["json"] = "json"
    """OTLP/JSON, one `LogsData` a line."""
    fsync: bool = True
    """A batch counts as delivered when it is on the disk. False leaves the time to the kernel: a power failure
    may then take records that this exporter will not write again (they are still in the journal)."""
    rotation: RotationConfig | None = None
    """Begin new files. Without it the file grows without end."""
    retry_on_failure: RetryConfig = RetryConfig()
    """How writes that failed, on a full disk for example, are tried again."""
