"""macOS: launchd's agents and daemons, login and logout hooks, login items, periodic scripts.

Formats: launchd.plist(5), periodic(8), com.apple.loginwindow. There are no such places on other systems, which costs
some look-ups that find nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from otel_fim.receivers.persistence.formats.entries import Entries, clipped
from otel_fim.receivers.persistence.formats.plist import RefusedPlistError, parse_plist
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader

_AGENTS: Final = (b"/Library/LaunchAgents", b"/System/Library/LaunchAgents")
_DAEMONS: Final = (b"/Library/LaunchDaemons", b"/System/Library/LaunchDaemons")
_DISABLED: Final = b"/var/db/com.apple.xpc.launchd"
_LOGIN_WINDOW: Final = b"Library/Preferences/com.apple.loginwindow.plist"
_LOGIN_ITEMS: Final = (
    b"Library/Application Support/com.apple.backgroundtaskmanagementagent/backgrounditems.btm",
    b"Library/Preferences/com.apple.loginitems.plist",
)
_PERIODIC: Final = ("daily", "weekly", "monthly")
_SCRIPTS: Final = (b"/etc/rc.common", b"/etc/periodic.conf", b"/etc/periodic.conf.local")
_TRIGGERS: Final = {
    "RunAtLoad": "load",
    "KeepAlive": "always",
    "OnDemand": "on demand",
    "StartOnMount": "mount",
    "Sockets": "socket",
    "MachServices": "mach service",
    "WatchPaths": "change of",
    "QueueDirectories": "files in",
    "LaunchEvents": "event",
}


def parse_launchd(file: File) -> tuple[Item, ...]:
    """A job. One that is no property list or names no program is counted as rejected."""
    try:
        job = parse_plist(file.data)
    except RefusedPlistError:
        file.reject()
        return ()
    command = _command(job)
    if not command:
        file.reject()
        return ()
    is_daemon = b"/LaunchDaemons/" in file.path
    return (
        file.item(
            "launchd_daemon" if is_daemon else "launchd_agent",
            command=clipped(command),
            user=clipped(_text(job.get("UserName")) or ("root" if is_daemon else file.user), 128),
            trigger=clipped(_trigger(job), 512),
            enabled=job.get("Disabled") is not True,
        ),
    )


def _command(job: dict[str, Any]) -> str:
    program = _text(job.get("Program"))
    arguments = job.get("ProgramArguments")
    words = [_text(word) for word in arguments[:200]] if isinstance(arguments, list) else []
    if program and words:
        # The program runs, with the arguments as they are but for the first, which is only a name.
        words[0] = program
    if not words:
        words = [program or _text(job.get("BundleProgram"))]
    variables = job.get("EnvironmentVariables")
    inserted = variables.get("DYLD_INSERT_LIBRARIES") if isinstance(variables, dict) else None
    if inserted and words[0]:
        words.insert(0, f"DYLD_INSERT_LIBRARIES={_text(inserted)}")
    return " ".join(words).strip()


def _trigger(job: dict[str, Any]) -> str:
    found: list[str] = []
    interval = job.get("StartInterval")
    if isinstance(interval, int):
        found.append(f"every {interval} s")
    calendar = job.get("StartCalendarInterval")
    for entry in (
        [calendar] if isinstance(calendar, dict) else calendar[:20] if isinstance(calendar, list) else []
    ):
        if isinstance(entry, dict):
            found.append(
                "at " + " ".join(f"{_text(key)}={_text(entry[key])}" for key in sorted(entry, key=str)[:5])
            )
    for key, word in _TRIGGERS.items():
        value = job.get(key)
        if value is None or value is False:
            continue
        names = [_text(name) for name in list(value)[:10]] if isinstance(value, list | dict) else []
        found.append(" ".join((word, *names)).strip())
    return "; ".join(found) or "on demand"


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")[:4096]
    if isinstance(value, str):
        # A binary property list may hold halves of surrogate pairs.
        return value[:4096].encode("utf-8", "backslashreplace").decode("utf-8")
    return str(value)[:64] if isinstance(value, int | float) else ""


def parse_login_window(file: File) -> tuple[Item, ...]:
    """`LoginHook` and `LogoutHook`, run as root, and applications that start at a login."""
    try:
        values = parse_plist(file.data)
    except RefusedPlistError:
        file.reject()
        return ()
    entries = Entries(file)
    for key, when in (("LoginHook", "login"), ("LogoutHook", "logout")):
        command = _text(values.get(key))
        if command:
            entries.add("login_hook", key, command.encode(), command=command, user="root", trigger=when)
    for where in (values, values.get("SessionItems")):
        listed = (
            where.get("AutoLaunchedApplicationDictionary") or where.get("CustomListItems")
            if isinstance(where, dict)
            else None
        )
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict):
                path = _text(entry.get("Path")) or _text(entry.get("Name"))
                if path:
                    entries.add(
                        "login_item", path, path.encode(), command=path, user=file.user, trigger="login"
                    )
    return entries.done()


def parse_login_items(file: File) -> tuple[Item, ...]:
    """The file as it is: it is an archive of objects."""
    return (file.item("login_item", user=file.user, trigger="login"),)


def parse_disabled(file: File) -> frozenset[str]:
    """Labels that are switched off, whatever their own property list says."""
    try:
        values = parse_plist(file.data)
    except RefusedPlistError:
        file.reject()
        return frozenset()
    return frozenset(label for label, off in values.items() if off is True)


def parse_label(file: File) -> str:
    """The job's label; empty without one."""
    try:
        return _text(parse_plist(file.data).get("Label"))
    except RefusedPlistError:
        return ""


class Launchd(Kind):
    """Whether a job is switched off stands in another file than the job."""

    name = "launchd"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(path, b"*.plist") for path in (*_AGENTS, *_DAEMONS)]
        places.append(Place(_DISABLED, b"disabled*.plist"))
        for home in host.homes():
            places.append(
                Place(
                    home.path.rstrip(b"/") + b"/Library/LaunchAgents",
                    b"*.plist",
                    uid=home.uid,
                    user=home.user,
                )
            )
        return places

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        disabled: set[str] = set()
        places = self.places(host)
        for place in places:
            if place.path == _DISABLED:
                for path in reader.files(place):
                    disabled |= reader.parsed(path, parse_disabled, place) or frozenset()
        for place in places:
            if place.path == _DISABLED:
                continue
            for path in reader.files(place):
                for item in reader.parsed(path, parse_launchd, place) or ():
                    off = bool(disabled) and (reader.parsed(path, parse_label, place) or "") in disabled
                    yield dataclasses.replace(item, enabled=False) if off else item


class LoginItems(FileKind):
    name = "login_items"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(b"/" + _LOGIN_WINDOW), *(Place(path) for path in _SCRIPTS)]
        places += [Place(b"/etc/periodic/" + name.encode(), b"*") for name in _PERIODIC]
        places += [Place(b"/usr/local/etc/periodic/" + name.encode(), b"*") for name in _PERIODIC]
        for home in host.homes():
            for name in (_LOGIN_WINDOW, *_LOGIN_ITEMS):
                places.append(Place(home.path.rstrip(b"/") + b"/" + name, uid=home.uid, user=home.user))
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if path.endswith((_LOGIN_WINDOW, _LOGIN_ITEMS[1])):
            return reader.parsed(path, parse_login_window, place) or ()
        if path.endswith(_LOGIN_ITEMS[0]):
            return reader.parsed(path, parse_login_items, place) or ()
        period = place.path.rpartition(b"/")[2].decode("ascii", "replace") if place.names is not None else ""
        item = whole_file(
            "periodic",
            path,
            reader,
            user="root",
            trigger=period or "boot",
            must_be_executable=place.names is not None,
        )
        return () if item is None else (item,)


KINDS: Final[tuple[type[Kind], ...]] = (Launchd, LoginItems)
