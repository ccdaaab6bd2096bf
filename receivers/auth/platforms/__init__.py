"""The sources that a system has, and a clear word for those that it cannot have."""

from __future__ import annotations

from typing import Final

from otel_fim.receivers.auth.config import AuthConfig
from otel_fim.receivers.auth.sources.source import Source

LINUX: Final = ("journald", "text", "wtmp", "btmp", "utmp", "audit")
_HOMES: Final = {
    "windows_security": ("win32", "Windows"),
    "macos_unified_log": ("darwin", "macOS"),
}
_SYSTEMS: Final = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}


class NotHereError(ValueError):
    """A source that is asked for and that this system cannot have; the message says so."""


def platform_sources(config: AuthConfig, platform: str) -> list[Source]:
    """The sources that the configuration asks for on a system (as `sys.platform` names it), available or not.

    Raises `NotHereError`.
    """
    wanted = None if config.sources == "auto" else list(config.sources)
    system = _SYSTEMS.get(platform, platform)
    for name in wanted or ():
        home, called = _HOMES.get(name, ("linux", "Linux"))
        if home != platform:
            raise NotHereError(f"{name} is not available on {system}: it is a source of {called}")
    if platform == "darwin":
        from otel_fim.receivers.auth.platforms.macos_source import UnifiedLogSource

        return [UnifiedLogSource(config.macos_log_program)]
    if platform == "win32":
        from otel_fim.receivers.auth.platforms.windows_source import WindowsSecuritySource

        return [WindowsSecuritySource(config.windows_event_program, config.poll_interval)]
    if platform == "linux":
        return _linux(config, set(wanted if wanted is not None else LINUX))
    return []


def _linux(config: AuthConfig, wanted: set[str]) -> list[Source]:
    from otel_fim.receivers.auth.sources.detect import linux_sources

    return linux_sources(
        journald="journald" in wanted,
        journal_directory=config.journal_directory,
        text_logs=config.text_logs if "text" in wanted else (),
        wtmp=config.wtmp if "wtmp" in wanted else None,
        btmp=config.btmp if "btmp" in wanted else None,
        utmp=config.utmp if "utmp" in wanted else None,
        audit="audit" in wanted,
        start_at=config.start_at,
    )
