"""`receivers.auth`: which sources are read, what is told of them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from pydantic import Field, field_validator

from otel_fim.config.model import ComponentConfig, Duration

SourceName: TypeAlias = Literal[
    "journald", "text", "wtmp", "btmp", "utmp", "audit", "windows_security", "macos_unified_log"
]
TEXT_LOGS: Final = ["/var/log/auth.log", "/var/log/secure"]


class AuthConfig(ComponentConfig):
    """The settings of the auth receiver."""

    sources: Literal["auto"] | list[SourceName] = "auto"
    """What to read. `auto` takes all that the host has and says in one line of the log which these are. A source that
    is listed and not there is a coverage gap until it appears; one that this system cannot have is an error."""
    text_logs: list[str] = Field(default_factory=lambda: list(TEXT_LOGS))
    """The log files of the source `text`."""
    journal_directory: str | None = None
    """Read the journal in this directory instead of the host's own."""
    wtmp: str = "/var/log/wtmp"
    """Logins and logouts, as utmp(5) has them."""
    btmp: str = "/var/log/btmp"
    """Failed logins."""
    utmp: str = "/run/utmp"
    """Who is logged in now: from here come the logins from before the agent was started."""
    start_at: Literal["end", "beginning"] = "end"
    """Where to begin in a log at the first start: with what comes from now on, or with what is there. Later starts
    go on where the last one ended."""
    merge_window: Duration = Field(default=2.0, gt=0, le=60)
    """How long a record waits for other sources that tell of the same thing. A longer window costs that much delay; a
    shorter one loses no record, but names fewer sources."""
    command_line: Literal["none", "redacted", "full"] = "redacted"
    """Whether the command that was run with another user's rights is told. It is the point of the record, and sudo
    writes it to the log anyway; secrets in it are removed unless `full`."""
    original: bool = False
    """Put the deciding line's own text into `log.record.original`, with what secrets may stand in it."""
    include_users: list[str] = []
    """When given, only what concerns one of these users (shell patterns, matched against who acts, whom they become and
    whose account changes)."""
    exclude_users: list[str] = []
    """Leaves out what one of these users does (shell patterns, matched against who acts). Failed logins with such a
    name are left out too, whoever tried."""
    shadow_file: str = "/etc/shadow"
    """Where passwords are kept: `passwd -l` and `passwd -u` write the same line, and only whether the password was
    locked before and is locked after tells them apart. Nothing else of it is kept."""
    group_file: str = "/etc/group"
    """Where groups are kept: some tools tell the new list of members only."""
    macos_log_program: str = "/usr/bin/log"
    """macOS: the program that gives the unified log."""
    windows_event_program: str = "wevtutil"
    """Windows: the program that gives the Security log."""
    poll_interval: Duration = Field(default=10.0, ge=1)
    """Windows: time between two readings of the Security log."""

    @field_validator("sources")
    @classmethod
    def _sources_are_some(cls, sources: object) -> object:
        if isinstance(sources, list) and not sources:
            raise ValueError("no source is listed; write auto, or leave the receiver out")
        if isinstance(sources, list) and len(set(sources)) != len(sources):
            raise ValueError("a source is listed twice")
        return sources

    @field_validator("text_logs")
    @classmethod
    def _text_logs_are_absolute(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if not path.startswith("/"):
                raise ValueError(f"{path!r} is not an absolute path")
        return paths
