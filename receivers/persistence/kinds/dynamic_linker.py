"""Libraries that every program loads (`/etc/ld.so.preload`) and where libraries are looked for (`/etc/ld.so.conf`).

Formats: ld.so(8) FILES, ldconfig(8).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries
from otel_fim.receivers.persistence.formats.includes import expand
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_PRELOAD: Final = b"/etc/ld.so.preload"
_CONF: Final = b"/etc/ld.so.conf"
_MOST_FILES: Final = 256


def parse_preload(file: File) -> tuple[Item, ...]:
    """An item for each library: names are separated by white space or colons, `#` begins a comment."""
    entries = Entries(file)
    for line in file.data.split(b"\n"):
        for library in line.partition(b"#")[0].replace(b":", b" ").split():
            name = text_of(library)
            entries.add("ld_so_preload", name, library, command=name, trigger="start of any program")
    return entries.done()


def parse_conf(file: File) -> tuple[Item, ...]:
    """An item for each directory and each `include`; `hwcap` lines mean nothing any more."""
    entries = Entries(file)
    for raw in file.data.split(b"\n"):
        line = raw.partition(b"#")[0].strip()
        first, *rest = line.split(None, 1) or (b"",)
        if not first or first == b"hwcap":
            continue
        if first == b"include":
            for pattern in rest[0].split() if rest else ():
                entries.add("ld_so_conf", "include " + text_of(pattern), line, trigger="library search")
            continue
        for directory in line.replace(b":", b" ").replace(b",", b" ").split():
            name = text_of(directory.partition(b"=")[0])
            entries.add("ld_so_conf", name, directory, trigger="library search")
    return entries.done()


class DynamicLinker(FileKind):
    name = "dynamic_linker"

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def places(self, host: Host) -> Sequence[Place]:
        reader = self._reader = self._reader or Reader(host.root)
        included = sorted(_included(reader))
        reader.problems.clear()
        return (
            Place(_PRELOAD),
            Place(_CONF),
            *(Place(path) for path in included if path != _CONF),
            Place(b"/etc/ld.so.conf.d", b"*.conf"),
            Place(b"/usr/lib/ld.so.conf.d", b"*.conf"),
            Place(b"/etc/ld-musl-x86_64.path"),
            Place(b"/etc/ld-musl-aarch64.path"),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_preload if path == _PRELOAD else parse_conf, place) or ()


def _included(reader: Reader) -> set[bytes]:
    """`/etc/ld.so.conf` and all that it includes, also what matches no file now but is named without a pattern."""
    seen: set[bytes] = set()
    waiting = [_CONF]
    while waiting and len(seen) < _MOST_FILES:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            for pattern in reader.parsed(path, _patterns) or ():
                waiting += expand(posixpath.join(posixpath.dirname(path), pattern), reader)
    return seen


def _patterns(file: File) -> tuple[bytes, ...]:
    lines = (line.partition(b"#")[0].split() for line in file.data.split(b"\n"))
    return tuple(pattern for words in lines if words[:1] == [b"include"] for pattern in words[1:])


KINDS: Final[tuple[type[Kind], ...]] = (DynamicLinker,)
