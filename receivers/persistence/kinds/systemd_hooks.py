"""Programs that systemd runs beside units: generators, at shutdown and sleep; and the environment that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Place
from otel_fim.receivers.persistence.reader import File, Reader

GENERATOR: Final = "systemd_generator"
HOOK: Final = "systemd_hook"
ENVIRONMENT: Final = "systemd_environment"

_ROOTS: Final = (b"/etc/systemd/", b"/run/systemd/", b"/usr/local/lib/systemd/", b"/usr/lib/systemd/")
_PROGRAMS: Final = {
    b"system-generators": (GENERATOR, "root", "boot, daemon-reload"),
    b"user-generators": (GENERATOR, "*", "login, daemon-reload"),
    b"system-environment-generators": (GENERATOR, "root", "boot, daemon-reload"),
    b"user-environment-generators": (GENERATOR, "*", "login, daemon-reload"),
    b"system-shutdown": (HOOK, "root", "shutdown"),
    b"system-sleep": (HOOK, "root", "sleep, wake-up"),
}
_BACKUPS: Final = (
    b"~",
    *(b".rpm" + end for end in (b"new", b"save", b"orig")),
    *(b".dpkg-" + end for end in (b"old", b"new", b"tmp", b"dist", b"bak", b"backup", b"remove")),
    *(b".ucf-" + end for end in (b"new", b"old", b"dist")),
    b".swp",
    b".bak",
    b".old",
    b".new",
)
_ENVIRONMENTS: Final = (
    b"/etc/environment.d",
    b"/run/environment.d",
    b"/usr/local/lib/environment.d",
    b"/usr/lib/environment.d",
)


class SystemdHooks(FileKind):
    """One item a file."""

    name = "systemd_hooks"

    def places(self, host: Host) -> Sequence[Place]:
        return (
            *(Place(root + name, b"*") for name in _PROGRAMS for root in _ROOTS),
            *(Place(directory, b"*.conf") for directory in _ENVIRONMENTS),
            *(
                Place(
                    home.path.rstrip(b"/") + b"/.config/environment.d",
                    b"*.conf",
                    uid=home.uid,
                    user=home.user,
                )
                for home in host.homes()
            ),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.names == b"*":
            return _program(path, reader)
        return reader.parsed(path, environment, place) or ()


def _program(path: bytes, reader: Reader) -> Iterable[Item]:
    """Programs may be large: they are hashed, not held."""
    found = reader.stat(path)
    hashed = reader.sha256(path)
    if found is None or hashed is None:
        return ()
    kind, user, trigger = _PROGRAMS[path.split(b"/")[-2]]
    return (
        Item(
            kind=kind,
            id=path.decode("utf-8", "backslashreplace"),
            path=path,
            content_hash=hashed,
            command=path.decode("utf-8", "backslashreplace"),
            user=user,
            trigger=trigger,
            enabled=bool(found.st_mode & 0o111) and not _is_passed_over(path.rpartition(b"/")[2]),
            uid=found.st_uid,
            gid=found.st_gid,
            mode=found.st_mode & 0o7777,
            file_hash=hashed,
        ),
    )


def _is_passed_over(name: bytes) -> bool:
    """Whether systemd takes it for hidden or a backup (`hidden_or_backup_file` in its source, the usual ones)."""
    return name.startswith(b".") or name.endswith(_BACKUPS)


def environment(file: File) -> tuple[Item, ...]:
    """A file of environment.d(5): `KEY=value` lines."""
    lines = [line.strip() for line in file.data.decode("utf-8", "backslashreplace").split("\n")]
    settings = [line for line in lines if line and not line.startswith(("#", ";"))]
    file.reject(sum(1 for line in settings if "=" not in line))
    return (
        file.item(
            ENVIRONMENT,
            command="; ".join(settings),
            user=file.user or "*",
            trigger="start of the user's systemd",
        ),
    )
