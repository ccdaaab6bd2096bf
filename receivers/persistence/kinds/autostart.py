"""What a graphical session starts: XDG autostart entries and the scripts of display managers and desktops.

Format: Desktop Application Autostart Specification 0.5, Desktop Entry Specification 1.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.desktop import group, is_true
from otel_fim.receivers.persistence.formats.entries import clipped
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_ENTRIES: Final = (
    b"/etc/xdg/autostart",
    b"/usr/share/gnome/autostart",
    b"/usr/share/autostart",
    b"/etc/xdg/lxsession",
)
_HOME_ENTRIES: Final = (b".config/autostart", b".kde/Autostart")
_SCRIPTS: Final = {
    b"/etc/X11/Xsession.d": b"*",
    b"/etc/X11/xinit/xinitrc.d": b"*",
    b"/etc/X11/xdm": b"X*",
    b"/etc/xdg/plasma-workspace/env": b"*",
    b"/etc/xdg/plasma-workspace/shutdown": b"*",
    b"/etc/gdm3": b"*",
    b"/etc/gdm": b"*",
    b"/etc/lightdm/lightdm.conf.d": b"*.conf",
    b"/usr/share/sddm/scripts": b"*",
    b"/etc/xdg/openbox": b"autostart",
    b"/etc/xdg/labwc": b"autostart",
}
_FILES: Final = (
    b"/etc/X11/Xsession",
    b"/etc/X11/xinit/xinitrc",
    b"/etc/X11/xinit/xserverrc",
    b"/etc/lightdm/lightdm.conf",
    b"/etc/sddm.conf",
)
_HOME_SCRIPTS: Final = {
    b".config/plasma-workspace/env": b"*",
    b".config/plasma-workspace/shutdown": b"*",
    b".config/autostart-scripts": b"*",
    b".config/openbox": b"autostart",
    b".config/labwc": b"autostart",
}
_DEEP: Final = (b"/etc/gdm3", b"/etc/gdm")


def parse_entry(file: File) -> tuple[Item, ...]:
    """The entry; one without `Exec` (or that is no desktop entry at all) is counted as rejected."""
    entry = group(file.data, b"Desktop Entry")
    if entry is None or not (entry.get(b"Exec") or is_true(entry.get(b"Hidden", b""))):
        file.reject()
        return ()
    conditions = [
        f"{text_of(key)}={text_of(entry[key])}"
        for key in (
            b"OnlyShowIn",
            b"NotShowIn",
            b"AutostartCondition",
            b"TryExec",
            b"X-GNOME-Autostart-Phase",
        )
        if entry.get(key)
    ]
    return (
        file.item(
            "xdg_autostart",
            command=clipped(text_of(entry.get(b"Exec", b""))),
            user=file.user,
            trigger=clipped("; ".join(("graphical login", *conditions)), 512),
            enabled=not is_true(entry.get(b"Hidden", b""))
            and entry.get(b"X-GNOME-Autostart-enabled", b"true").lower() != b"false",
        ),
    )


def parse_script(file: File) -> tuple[Item, ...]:
    return (file.item("session_script", user=file.user, trigger="graphical session"),)


class Autostart(FileKind):
    name = "xdg_autostart"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(path, b"*.desktop") for path in _ENTRIES]
        places += [Place(path, names, recursive=path in _DEEP) for path, names in _SCRIPTS.items()]
        places += [Place(path) for path in _FILES]
        for home in host.homes():
            below = home.path.rstrip(b"/") + b"/"
            places += [
                Place(below + path, b"*.desktop", uid=home.uid, user=home.user) for path in _HOME_ENTRIES
            ]
            places += [
                Place(below + path, name, uid=home.uid, user=home.user)
                for path, name in _HOME_SCRIPTS.items()
            ]
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.names == b"*.desktop":
            return reader.parsed(path, parse_entry, place) or ()
        if place.uid is not None:
            return reader.parsed(path, parse_script, place) or ()
        item = whole_file("session_script", path, reader, trigger="graphical session")
        return () if item is None else (item,)


KINDS: Final[tuple[type[Kind], ...]] = (Autostart,)
