"""cron: crontabs of the system and of users, the scripts that run hourly, daily, weekly, monthly, and anacron.

Formats: crontab(5) of Debian's cron and of cronie, anacrontab(5), run-parts(8).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Place
from otel_fim.receivers.persistence.kinds.crontab import MAX_LINES, Line, parse_anacrontab, parse_crontab
from otel_fim.receivers.persistence.reader import File, Reader

CRON: Final = "cron"
CRON_ENVIRONMENT: Final = "cron_environment"
CRON_SCRIPT: Final = "cron_script"
ANACRON: Final = "anacron"

_SPOOLS: Final = (b"/var/spool/cron/crontabs", b"/var/spool/cron/tabs", b"/var/spool/cron", b"/etc/crontabs")
_SCRIPTS: Final = {
    **{
        b"/etc/cron." + name: name.decode()
        for name in (b"hourly", b"daily", b"weekly", b"monthly", b"yearly")
    },
    # Alpine's; the daily ones and longer are those of `platforms.launchd`, as on macOS and FreeBSD.
    b"/etc/periodic/15min": "15min",
    b"/etc/periodic/hourly": "hourly",
}
_DEBIAN_NAME: Final = re.compile(rb"[A-Za-z0-9_-]+")
_CRONIE_IGNORES: Final = re.compile(rb"[.#].*|.*~|.*\.(rpmsave|rpmorig|rpmnew)|.*,v|.*\.cfsaved", re.DOTALL)
# What editors leave beside a file while it is open; neither cron nor run-parts nor any other runner takes them.
_LEFTOVER: Final = re.compile(rb"\..*|.*~|#.*#", re.DOTALL)
# dpkg renames such a file when it has unpacked all of its package.
_BEING_UNPACKED: Final = (b".dpkg-new", b".dpkg-tmp")
# crontab(1) writes the new table under such a name before it renames it.
_TEMPORARY: Final = re.compile(rb"\..*|tmp\..*|.*\.tmp", re.DOTALL)


class Cron(FileKind):
    """Everything that cron and anacron start."""

    name = "cron"

    def __init__(self) -> None:
        self._users: frozenset[str] = frozenset()
        self._cronie: bool | None = None

    def places(self, host: Host) -> Sequence[Place]:
        self._users = host.user_names()
        self._cronie = None
        return (
            Place(b"/etc/crontab"),
            Place(b"/etc/anacrontab"),
            Place(b"/etc/cron.d", b"*"),
            *(Place(directory, b"*") for directory in _SPOOLS),
            *(Place(directory, b"*") for directory in _SCRIPTS),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        name = path.rpartition(b"/")[2]
        if place.path in _SPOOLS:
            return self._of_user(path, name, place, reader)
        if place.names is not None and _LEFTOVER.fullmatch(name):
            return ()
        if place.path in _SCRIPTS:
            items = reader.parsed(path, script, place) or ()
        else:
            items = reader.parsed(path, _PARSERS.get(path, system_crontab), place) or ()
        if place.names is not None and items and not self._is_run(name, reader):
            if name.endswith(_BEING_UNPACKED):
                return ()
            return [replace(item, enabled=False) for item in items]
        return items

    def _of_user(self, path: bytes, name: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        user = name.decode("utf-8", "backslashreplace")
        known = user in self._users
        if not known and _TEMPORARY.fullmatch(name):
            return ()
        items = reader.parsed(path, user_crontab, place) or ()
        # cron calls such a table an orphan and does not run it.
        return items if known else [replace(item, enabled=False) for item in items]

    def _is_run(self, name: bytes, reader: Reader) -> bool:
        """Whether the runner takes a file of that name in a directory: Debian's run no name with a dot."""
        if self._cronie is None:
            self._cronie = (
                reader.stat(b"/usr/sbin/crond") is not None and reader.stat(b"/usr/sbin/cron") is None
            )
        if self._cronie:
            return _CRONIE_IGNORES.fullmatch(name) is None
        return _DEBIAN_NAME.fullmatch(name) is not None


KINDS: Final = (Cron,)


@dataclass(slots=True, frozen=True)
class _Names:
    job: str
    user: str


def system_crontab(file: File) -> tuple[Item, ...]:
    """The items of /etc/crontab or of a file in /etc/cron.d: each line says as whom."""
    # cron refuses a table that somebody else could write.
    trusted = file.stat.st_uid == 0 and not file.stat.st_mode & 0o022
    return _items(file, parse_crontab(file.data, system=True), _Names(CRON, "root"), live=trusted)


def user_crontab(file: File) -> tuple[Item, ...]:
    """The items of a user's own table, which is named after the user."""
    user = file.text_path.rpartition("/")[2]
    return _items(file, parse_crontab(file.data, system=False), _Names(CRON, user))


def anacrontab(file: File) -> tuple[Item, ...]:
    """The items of /etc/anacrontab."""
    return _items(file, parse_anacrontab(file.data), _Names(ANACRON, "root"))


def script(file: File) -> tuple[Item, ...]:
    """A script in /etc/cron.daily and the like, which must be executable to be run."""
    directory = file.path.rpartition(b"/")[0]
    return (
        file.item(
            CRON_SCRIPT,
            command=file.text_path,
            user="root",
            trigger=_SCRIPTS.get(directory, ""),
            enabled=bool(file.stat.st_mode & 0o111),
        ),
    )


def _items(file: File, lines: Sequence[Line], names: _Names, *, live: bool = True) -> tuple[Item, ...]:
    too_many = max(0, file.data.count(b"\n") - MAX_LINES)
    file.reject(too_many + sum(1 for line in lines if not line.valid))
    return tuple(
        file.item(
            CRON_ENVIRONMENT if line.is_environment else names.job,
            line.content,
            line=line.number,
            command=line.command,
            user=line.user or names.user,
            trigger=line.trigger,
            enabled=line.valid and live,
        )
        for line in lines
    )


_PARSERS: Final[dict[bytes, Callable[[File], tuple[Item, ...]]]] = {b"/etc/anacrontab": anacrontab}
