"""`receivers.file_integrity`: what is watched, how, and what is left out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from otel_fim.config.model import ByteSize, ComponentConfig, Duration
from otel_fim.receivers.file_integrity import globs, profile


class FileIntegrityConfig(ComponentConfig):
    """The settings of the file integrity receiver."""

    paths: list[str] = Field(default_factory=profile.default_paths, min_length=1)
    """Files and directories to watch, with everything below them. `~` is the home directory; shell patterns
    (`/home/*/.ssh`) are matched at start. A path that does not exist yet is watched for. Default: the
    security profile for the user that runs the agent, which `print-config` shows."""
    include: list[str] = []
    """When given, only files that match one of these patterns are watched. A pattern with a slash is matched
    against the full path (`**` crosses directories), one without against the file's name."""
    exclude: list[str] = Field(default_factory=profile.default_excludes)
    """Files and directories that match are left out, and nothing below an excluded directory is looked at."""
    include_hidden: bool = False
    """Watch every hidden file. When false, hidden files and directories below a watched path are skipped
    unless `hidden_names` lists them; a hidden path that stands in `paths` itself is always watched."""
    hidden_names: list[str] = Field(default_factory=profile.default_hidden_names)
    """Names of hidden files and directories that are watched all the same."""
    recursive: bool = True
    """Watch what lies below the sub-directories too."""
    one_file_system: bool = False
    """Do not cross into other file systems mounted below a watched path."""
    backend: Literal["auto", "fanotify", "inotify", "polling"] = "auto"
    """What sees changes. `auto` takes fanotify where the agent may use it (root), else inotify (through
    watchdog), and polling for network file systems. Every record says which one it was."""
    marks: Literal["auto", "directory", "filesystem"] = "auto"
    """fanotify only. `filesystem` marks whole file systems: no gap when directories appear, but every write
    on the file system is looked at. `directory` marks each watched directory and costs other writers
    nothing. `auto` takes directories up to 100,000 of them, file systems beyond."""
    poll_interval: Duration = Field(default=60.0, gt=0)
    """Polling only: time between two scans."""
    rescan_interval: Duration = 6 * 3600.0
    """A full comparison with the baseline this often, whatever the backend: it finds writes through mmap and
    whatever else no event tells. 0 switches it off."""
    settle: Duration = 0.1
    """A path is looked at when it has been quiet for this long (ten times as long at the most), so that a
    burst of writes becomes one record with the final state."""
    hash_max_size: ByteSize = 2**30
    """Larger files are compared by metadata and carry `otel_fim.file.not_hashed` = too_large."""
    hash_threads: int = Field(default=2, ge=1, le=64)
    """Threads that hash; more than the processor has cores does not help."""
    max_pending: int = Field(default=200_000, ge=1000)
    """Paths that may wait to be looked at. Beyond it the receiver records a gap and compares everything."""

    @field_validator("include", "exclude", "hidden_names")
    @classmethod
    def _patterns_are_understood(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            globs.translate(pattern)
        return patterns
