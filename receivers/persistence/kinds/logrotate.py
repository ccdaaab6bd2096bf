"""Scripts in logrotate's configuration: logrotate(8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, clipped, one_space
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_SCRIPTS: Final = frozenset((b"prerotate", b"postrotate", b"firstaction", b"lastaction", b"preremove"))
_COMMANDS: Final = frozenset((b"compresscmd", b"uncompresscmd"))


def parse(file: File) -> tuple[Item, ...]:
    """An item for each script and each command to compress with, known by the log files of its block."""
    entries = Entries(file)
    logs: list[bytes] = []
    names = ""
    user = "root"
    inside = False
    script: tuple[bytes, list[bytes]] | None = None

    def tell(what: bytes, content: bytes) -> None:
        when = f"{text_of(what)} {names}".strip()
        entries.add("logrotate", when, content, command=text_of(content.strip()), user=user, trigger=when)

    for raw in file.data.split(b"\n"):
        line = raw.strip()
        if script is not None:
            if line == b"endscript":
                tell(script[0], b"\n".join(script[1]))
                script = None
            else:
                script[1].append(line)
            continue
        word, *rest = line.split(None, 1) or (b"#",)
        if word.startswith(b"#"):
            continue
        if word in _SCRIPTS:
            script = (word, [])
        elif word in _COMMANDS and rest:
            tell(word, rest[0])
        elif word == b"su" and inside and rest:
            user = text_of(rest[0].split()[0])
        elif line.startswith(b"}"):
            inside, logs, names, user = False, [], "", "root"
        elif not inside:
            before, brace, _ = line.partition(b"{")
            if brace or before[:1] in b"/\"'~":
                logs.append(before)
            if brace:
                inside, names = True, clipped(one_space(b" ".join(logs)), 400)
    if script is not None:
        file.reject()
        tell(script[0], b"\n".join(script[1]))
    return entries.done()


class Logrotate(FileKind):
    name = "logrotate"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (Place(b"/etc/logrotate.conf"), Place(b"/etc/logrotate.d", b"*"))

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (Logrotate,)
