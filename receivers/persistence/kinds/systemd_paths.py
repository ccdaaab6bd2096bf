"""Where systemd looks for units, in its own order. Source: systemd.unit(5), `systemd-analyze unit-paths`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.persistence.hosts import Home, Host

SYSTEM: Final = (
    b"/etc/systemd/system.control",
    b"/run/systemd/system.control",
    b"/run/systemd/transient",
    b"/run/systemd/generator.early",
    b"/etc/systemd/system",
    b"/etc/systemd/system.attached",
    b"/run/systemd/system",
    b"/run/systemd/system.attached",
    b"/run/systemd/generator",
    b"/usr/local/lib/systemd/system",
    b"/lib/systemd/system",
    b"/usr/lib/systemd/system",
    b"/run/systemd/generator.late",
)
USER: Final = (
    b"/etc/xdg/systemd/user",
    b"/etc/systemd/user",
    b"/run/systemd/user",
    b"/usr/local/share/systemd/user",
    b"/usr/share/systemd/user",
    b"/usr/local/lib/systemd/user",
    b"/lib/systemd/user",
    b"/usr/lib/systemd/user",
)
_HOME_FIRST: Final = (b".config/systemd/user.control", b".config/systemd/user")
_HOME_LAST: Final = (b".local/share/systemd/user",)
_RUNTIME: Final = (
    b"user.control",
    b"transient",
    b"generator.early",
    b"user",
    b"generator",
    b"generator.late",
)


@dataclass(slots=True, frozen=True)
class UnitDirectory:
    """A directory of units. `home` is set for those of one user."""

    path: bytes
    home: Home | None = None

    @property
    def transient(self) -> bool:
        """Whether it holds what was made by a call (systemd-run), and goes with it."""
        return self.path.endswith(b"/transient")


def system_directories() -> list[UnitDirectory]:
    return [UnitDirectory(path) for path in SYSTEM]


def user_directories() -> list[UnitDirectory]:
    """Those that hold for every user."""
    return [UnitDirectory(path) for path in USER]


def home_directories(host: Host, logged_in: Sequence[int]) -> list[list[UnitDirectory]]:
    """For each home the directories of its user alone; `logged_in` are the user ids that have a directory in
    /run/user."""
    found = []
    seen: set[int] = set()
    for home in host.homes():
        prefix = home.path.rstrip(b"/") + b"/"
        runtime: list[bytes] = []
        if home.uid in logged_in and home.uid not in seen:
            seen.add(home.uid)
            runtime = [b"/run/user/%d/systemd/%s" % (home.uid, name) for name in _RUNTIME]
        paths = [*(prefix + name for name in _HOME_FIRST), *runtime, *(prefix + name for name in _HOME_LAST)]
        found.append([UnitDirectory(path, home) for path in paths])
    return found
