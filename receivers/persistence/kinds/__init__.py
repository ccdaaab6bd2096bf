"""The kinds: each module here (and in `platforms`) has `KINDS`, a tuple of `Kind` classes."""

from __future__ import annotations

import importlib
from typing import Final

from otel_fim.receivers.persistence.kind import Kind

MODULES: Final = (
    "cron",
    "at_jobs",
    "systemd",
    "init_scripts",
    "shell_startup",
    "ssh_access",
    "sudoers",
    "pam",
    "dynamic_linker",
    "kernel_modules",
    "udev",
    "autostart",
    "package_hooks",
    "system_hooks",
    "logrotate",
    "on_demand",
    "git_hooks",
    "web_servers",
    "web_documents",
    "python_startup",
    "special_bits",
    "platforms.launchd",
    "platforms.windows",
)
"""In the order in which they are read."""


def all_kinds() -> dict[str, type[Kind]]:
    """Every kind by its name."""
    found: dict[str, type[Kind]] = {}
    for module in MODULES:
        for kind in importlib.import_module(f"{__name__}.{module}").KINDS:
            if kind.name in found:
                raise ValueError(f"two kinds are called {kind.name!r}: give {kind!r} another name")
            found[kind.name] = kind
    return found
