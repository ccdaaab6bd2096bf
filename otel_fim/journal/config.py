"""`service.journal`: how the journal writes, rotates and lets go."""

from __future__ import annotations

from pydantic import Field

from otel_fim.config.model import ByteSize, ConfigModel, Duration


class RetentionConfig(ConfigModel):
    """How long acknowledged segments are kept. What an exporter still needs is kept beyond these limits."""

    max_bytes: ByteSize = 10 * 2**30
    """Oldest segments that every exporter has delivered are removed above this size on disk."""
    max_age: Duration = 30 * 86400.0
    """Segments that every exporter has delivered are removed when their newest record is older than this."""


class JournalConfig(ConfigModel):
    """The journal's settings; one journal for each pipeline."""

    segment_size: ByteSize = Field(default=64 * 2**20, ge=4096)
    """A segment is closed, and compressed, when it has grown to this size."""
    sync_records: int = Field(default=1000, ge=1)
    """At most this many records wait for one fsync."""
    sync_interval: Duration = Field(default=0.05, ge=0.0)
    """A record waits at most this long for its fsync. 0 syncs each append."""
    compression: bool = True
    """Compress closed segments with zstd."""
    retention: RetentionConfig = RetentionConfig()
    """What to remove when everything has been delivered."""
    limit: ByteSize = 0
    """Above this size on disk the oldest segments go even when an exporter still needs them; a coverage gap
    record says how many records that exporter lost. 0 means never: intake then stops when the disk is full."""
    min_free: ByteSize = 16 * 2**20
    """Intake stops, visibly, when the file system has less room than this, and resumes by itself."""
