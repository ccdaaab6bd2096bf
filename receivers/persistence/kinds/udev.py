"""udev rules that run a program: udev(7)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries
from otel_fim.receivers.persistence.formats.lines import joined
from otel_fim.receivers.persistence.formats.whole import overridden
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_DIRECTORIES: Final = (
    b"/etc/udev/rules.d",
    b"/run/udev/rules.d",
    b"/usr/local/lib/udev/rules.d",
    b"/usr/lib/udev/rules.d",
    b"/lib/udev/rules.d",
)
# KEY{attribute}operator"value"; the value may have the prefixes e and i.
_TOKEN: Final = re.compile(
    rb'(?<![A-Za-z_])([A-Z][A-Z_]{1,30}+)(\{[^{}"]*\})?\s{0,8}(==|!=|\+=|-=|:=|=)\s{0,8}[ei]{0,2}"((?:[^"\\]|\\.)*+)',
    re.DOTALL,
)
_RUNS: Final = {(b"RUN", b""), (b"RUN", b"{program}"), (b"RUN", b"{builtin}"), (b"PROGRAM", b"")}
_RUNS_TOO: Final = {(b"IMPORT", b"{program}"), (b"IMPORT", b"{builtin}")}
# Built-in commands that only read: nearly every rule of the system has one.
_HARMLESS: Final = re.compile(
    rb"(?:path_id|usb_id|hwdb|net_id|net_setup_link|input_id|blkid|btrfs|keyboard|uaccess|dissect_image|"
    rb"factory_reset|net_driver)\b"
)


def parse(file: File) -> tuple[Item, ...]:
    """An item for each rule that runs something; it is known by what it matches."""
    entries = Entries(file)
    for line in joined(file.data):
        commands: list[str] = []
        matches: list[str] = []
        any_token = False
        for token in _TOKEN.finditer(line):
            any_token = True
            name, attribute, operator, value = token[1], token[2] or b"", token[3], token[4]
            runs = (name, attribute) in _RUNS or (name, attribute) in _RUNS_TOO
            if runs and not (attribute == b"{builtin}" and _HARMLESS.match(value)) and value:
                commands.append(text_of(value.replace(b'\\"', b'"')))
            elif operator in (b"==", b"!="):
                matches.append(f"{text_of(name + attribute)}{text_of(operator)}{text_of(value)}")
        if not any_token:
            file.reject()
        if commands:
            when = " ".join(matches) or "every event"
            entries.add("udev_rule", when, line, command="; ".join(commands), user="root", trigger=when)
    return entries.done()


class Udev(FileKind):
    name = "udev"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return [Place(path, b"*.rules") for path in _DIRECTORIES]

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.path == b"/lib/udev/rules.d" and reader.resolve(b"/lib") != b"/lib":
            return ()
        found = reader.parsed(path, parse, place) or ()
        if found and overridden(path, _DIRECTORIES, reader):
            return [dataclasses.replace(item, enabled=False) for item in found]
        return found


KINDS: Final[tuple[type[Kind], ...]] = (Udev,)
