"""What starts when something asks for it: D-Bus services, and interpreters for kinds of programs.

Formats: the D-Bus specification, Message Bus Starting Services; binfmt.d(5) and the kernel's binfmt-misc document.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.desktop import group
from otel_fim.receivers.persistence.formats.entries import Entries, clipped
from otel_fim.receivers.persistence.formats.lines import plain
from otel_fim.receivers.persistence.formats.whole import overridden
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_SYSTEM: Final = (
    b"/etc/dbus-1/system-services",
    b"/run/dbus-1/system-services",
    b"/usr/local/share/dbus-1/system-services",
    b"/usr/share/dbus-1/system-services",
)
_SESSION: Final = (
    b"/run/dbus-1/services",
    b"/usr/local/share/dbus-1/services",
    b"/usr/share/dbus-1/services",
)
_BINFMT: Final = (b"/etc/binfmt.d", b"/run/binfmt.d", b"/usr/local/lib/binfmt.d", b"/usr/lib/binfmt.d")
_BINFMT_KERNEL: Final = b"/proc/sys/fs/binfmt_misc"


def parse_service(file: File) -> tuple[Item, ...]:
    """A D-Bus service; one without a name or a program is counted as rejected."""
    values = group(file.data, b"D-BUS Service")
    if (
        values is None
        or not values.get(b"Name")
        or not (values.get(b"Exec") or values.get(b"SystemdService"))
    ):
        file.reject()
        return ()
    unit = values.get(b"SystemdService", b"")
    is_system = b"/system-services/" in file.path
    return (
        file.item(
            "dbus_service",
            command=clipped(text_of(values.get(b"Exec", b""))),
            user=text_of(values[b"User"]) if b"User" in values else "root" if is_system else file.user,
            trigger=clipped(
                f"call of {text_of(values[b'Name'])} on D-Bus" + (f"; unit {text_of(unit)}" if unit else ""),
                512,
            ),
        ),
    )


def parse_binfmt(file: File) -> tuple[Item, ...]:
    """An item for each `:name:type:offset:magic:mask:interpreter:flags` line; the first byte is what separates."""
    entries = Entries(file)
    for line in plain(file.data, comment=b"#;"):
        fields = line[1:].split(line[:1])
        if len(fields) != 7 or not fields[0] or fields[1] not in (b"E", b"M") or not fields[5]:
            file.reject()
            continue
        what = f"extension {text_of(fields[3])}" if fields[1] == b"E" else f"magic {text_of(fields[3])}"
        entries.add(
            "binfmt",
            text_of(fields[0]),
            line,
            command=text_of(fields[5]),
            trigger=f"start of a program with {what}; flags {text_of(fields[6]) or 'none'}",
        )
    return entries.done()


def parse_registered(file: File) -> tuple[Item, ...]:
    """What the kernel tells of one registered format."""
    lines = file.data.split(b"\n")
    values = dict(line.partition(b" ")[::2] for line in lines)
    if b"interpreter" not in values:
        file.reject()
        return ()
    what = " ".join(
        f"{text_of(key)} {text_of(values[key])}"
        for key in (b"extension", b"magic", b"flags:")
        if key in values
    )
    return (
        file.item(
            "binfmt_registered",
            command=clipped(text_of(values[b"interpreter"])),
            trigger=clipped(f"start of a program with {what}", 512),
            enabled=lines[0] == b"enabled",
        ),
    )


class DbusServices(FileKind):
    name = "dbus_services"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(path, b"*.service") for path in (*_SYSTEM, *_SESSION)]
        for home in host.homes():
            path = home.path.rstrip(b"/") + b"/.local/share/dbus-1/services"
            places.append(Place(path, b"*.service", uid=home.uid, user=home.user))
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_service, place) or ()


class Binfmt(Kind):
    """The configured formats, and on the host itself the registered ones."""

    name = "binfmt"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return [Place(path, b"*.conf") for path in _BINFMT]

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        for place in self.places(host):
            for path in reader.files(place):
                found = reader.parsed(path, parse_binfmt, place) or ()
                is_off = bool(found) and overridden(path, _BINFMT, reader)
                yield from (dataclasses.replace(item, enabled=False) if is_off else item for item in found)
        if host.is_own:
            for entry in reader.entries(_BINFMT_KERNEL):
                if entry.name not in (b"register", b"status"):
                    yield from reader.parsed(entry.path, parse_registered) or ()


KINDS: Final[tuple[type[Kind], ...]] = (DbusServices, Binfmt)
