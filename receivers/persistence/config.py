"""`receivers.persistence`: which kinds are looked at, how often, and what is told of them."""

from __future__ import annotations

import difflib
from typing import Literal

from pydantic import Field, field_validator

from otel_fim.config.model import ByteSize, ComponentConfig, Duration
from otel_fim.receivers.persistence.kinds import all_kinds


class PersistenceConfig(ComponentConfig):
    """The settings of the persistence receiver."""

    root: str = Field(default="/", pattern="^/")
    """The root of the file system that is looked at: `/`, or the root of a container or an image. Symbolic links in it
    are followed inside it only."""
    kinds: list[str] = []
    """The kinds to look at; empty: all of them. They are listed on the receiver's page. A kind that is switched on
    later is taken as it is found then."""
    exclude_kinds: list[str] = []
    """Kinds that are left out."""
    include: list[str] = []
    """When given, only items in files that match one of these shell patterns are told (`*` matches slashes too)."""
    exclude: list[str] = []
    """Items in files that match one of these shell patterns are not told."""
    interval: Duration = Field(default=300.0, ge=1)
    """Time between two scans of everything, give or take a tenth. They find what no file event tells: places that the
    file integrity receiver does not watch, kernel modules. A file that has not changed costs one system call."""
    setuid_scan_interval: Duration = Field(default=86_400.0, ge=60)
    """Time between two walks over all local file systems for setuid and setgid files and file capabilities (kind
    `special_bits`); there is one at each start. A walk has the lowest priority and looks at 10,000 files in a second at
    the start, at 1,000 later. Between walks such files are found through file events only."""
    setuid_scan_skip: list[str] = [
        "/var/lib/docker",
        "/var/lib/containerd",
        "/var/lib/containers/storage",
        "/var/lib/rancher",
    ]
    """Directories that these walks do not enter. The default ones hold layers of containers: what is in them has no
    rights on the host until it is mounted, and where it is mounted it is seen."""
    debounce: Duration = Field(default=0.1, ge=0, le=10)
    """A place is read again when no file event has come for this long (ten times as long at the most)."""
    command_line: Literal["none", "redacted", "full"] = "redacted"
    """What the records say of commands: nothing, everything but what looks like a secret, or everything. A changed
    command is told as changed in any case."""
    baseline_records: bool = False
    """At the very first start, tell of everything that is there (`event.action` = scan). When false, what is there is
    taken as given."""
    max_file_size: ByteSize = Field(default=4 * 2**20, ge=4096)
    """Larger files are not read, and a gap says so."""
    batch_size: int = Field(default=100, ge=1, le=10_000)
    """Records that are handed on at once."""

    @field_validator("kinds", "exclude_kinds")
    @classmethod
    def _kinds_exist(cls, kinds: list[str]) -> list[str]:
        known = all_kinds()
        for kind in kinds:
            if kind not in known:
                close = difflib.get_close_matches(kind, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
                raise ValueError(f"there is no kind {kind!r}; {hint}")
        return kinds
