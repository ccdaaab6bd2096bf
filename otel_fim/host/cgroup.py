"""Control groups: which container and which systemd unit a process belongs to.

Format: cgroups(7), `/proc/PID/cgroup`. The kernel allows no newline in a group's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_CACHE_SIZE: Final = 1024
_CONTAINER: Final = re.compile(
    r"""
    (?:^|[-:])                           # docker-ID.scope, cri-containerd-ID.scope, SLICE:cri-containerd:ID
    (?P<id>[0-9a-f]{64} | [0-9a-f]{32}-[0-9]{1,10})   # the second form: Amazon ECS
    (?:\.scope)?$
    """,
    re.VERBOSE,
)
_NOT_A_CONTAINER: Final = re.compile(r"conmon|^(?:lxc\.monitor|buildkit-)")
"""Beside each container of podman and CRI-O there is a monitor process in a group named after it."""
_LXC: Final = re.compile(r"lxc\.payload\.(?P<id>.+)")
_NSPAWN: Final = re.compile(r"systemd-nspawn@(?P<id>.+)\.service")
_UNIT: Final = re.compile(r".+\.(?:service|scope|socket|mount|swap|slice)")


@dataclass(slots=True, frozen=True)
class CGroup:
    """`path` is the group's path; `container_id` is the container runtime's id (for LXC and nspawn: the name);
    `systemd_unit` is the unit of the system's manager, as `sd_pid_get_unit(3)` gives it, `user@1000.service` for what
    a user's own manager started: a user can name their units at will. `line` is the line of the file that says so."""

    path: str
    container_id: str | None = None
    systemd_unit: str | None = None
    line: str = ""


@lru_cache(maxsize=_CACHE_SIZE)
def parse_cgroup(content: bytes) -> CGroup:
    """`/proc/PID/cgroup`, version 1, 2 or both. Never raises; malformed lines are left out, and without any other the
    path is empty."""
    found = list(_groups(content))
    if not found:
        return CGroup("")
    line, path = _telling(found)
    containers = (_container(each) for each in (path, *(each for _, _, each in found)))
    return CGroup(path, next((each for each in containers if each is not None), None), _unit(path), line)


def _groups(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Line, controllers and path."""
    for raw in content.split(b"\n"):
        line = raw.decode("utf-8", "backslashreplace")
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if number.isdigit() and colon and path.startswith("/"):
            yield line, controllers, path


def _telling(found: list[tuple[str, str, str]]) -> tuple[str, str]:
    """Version 2's group; where version 1 is in use, systemd's, else the deepest."""

    def rank(group: tuple[str, str, str]) -> tuple[bool, int, int]:
        _, controllers, path = group
        systemd = {"": 2, "name=systemd": 1}.get(controllers, 0)
        return path != "/", systemd, path.count("/")

    line, _, path = max(found, key=rank)
    return line, path


def _container(path: str) -> str | None:
    parts = path.split("/")
    for at in range(len(parts) - 1, 0, -1):
        part = parts[at]
        if _NOT_A_CONTAINER.search(part):
            continue
        match = _CONTAINER.search(part) or _LXC.fullmatch(part) or _NSPAWN.fullmatch(part)
        if match is not None:
            return match["id"]
        if parts[at - 1] in ("lxc", "lxc.payload") and part:
            return part
    return None


def _unit(path: str) -> str | None:
    last_slice = None
    for part in path.split("/")[1:]:
        # systemd puts a _ before a name that the kernel would take for a file of its own.
        name = part.removeprefix("_")
        if not _UNIT.fullmatch(name):
            break
        if not name.endswith(".slice"):
            return name
        last_slice = name
    return last_slice
