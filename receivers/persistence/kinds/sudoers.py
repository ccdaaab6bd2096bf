"""Who may become whom: sudoers(5), doas.conf(5) and polkit(8) rules."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, command_key, one_space
from otel_fim.receivers.persistence.formats.lines import ini, joined, words
from otel_fim.receivers.persistence.formats.sudo import logical_lines, parse_line
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_SUDOERS: Final = (b"/etc/sudoers", b"/usr/local/etc/sudoers", b"/usr/etc/sudoers")
_MOST_INCLUDES: Final = 128


def parse_sudoers(file: File) -> tuple[Item, ...]:
    """An item for each rule, alias, default and include."""
    entries = Entries(file)
    for raw in logical_lines(file.data):
        line = parse_line(raw)
        if line is None:
            file.reject()
            continue
        tags = "".join(f" {text_of(tag)}" for tag in line.tags)
        entries.add(
            "sudoers",
            text_of(line.key),
            line.content,
            command=text_of(line.command),
            user=text_of(line.run_as),
            trigger=f"sudo by {text_of(line.key)}{tags}" if line.what == "rule" else one_space(line.content),
        )
    return entries.done()


def parse_doas(file: File) -> tuple[Item, ...]:
    """An item for each `permit` or `deny` rule: `permit [options] who [as whom] [cmd command [args …]]`."""
    entries = Entries(file)
    for line in joined(file.data):
        found = words(line.replace(b"{", b" { ").replace(b"}", b" } "))
        if not found or found[0] not in (b"permit", b"deny"):
            file.reject()
            continue
        target = command = b""
        rest = found
        if b"cmd" in rest:
            at = rest.index(b"cmd")
            command = b" ".join(word for word in rest[at + 1 :] if word != b"args")
            rest = rest[:at]
        if b"as" in rest:
            at = rest.index(b"as")
            target = b" ".join(rest[at + 1 : at + 2])
            rest = rest[:at]
        who = rest[-1] if len(rest) > 1 else b""
        entries.add(
            "doas",
            _doas_key(found[0], who, target, command),
            line,
            command=text_of(command) or "ALL",
            user=text_of(target) or "ALL",
            trigger="doas by " + text_of(b" ".join(rest[1:])),
            enabled=found[0] == b"permit",
        )
    return entries.done()


def _doas_key(action: bytes, who: bytes, target: bytes, command: bytes) -> str:
    words = [action, who, *((b"as", target) if target else ())]
    return text_of(b" ".join(words)) + (f" {command_key(command)}" if command else "")


def parse_polkit_rules(file: File) -> tuple[Item, ...]:
    """The file: it is a program in JavaScript."""
    return (file.item("polkit", trigger="polkit authorization", user="polkitd"),)


def parse_pkla(file: File) -> tuple[Item, ...]:
    """An item for each group of a pkla file: pklocalauthority(8)."""
    groups: dict[bytes, dict[bytes, bytes]] = {}
    for section, key, value in ini(file.data):
        groups.setdefault(section, {})[key] = value
    entries = Entries(file)
    for section, values in groups.items():
        content = b"\n".join(b"%s=%s" % pair for pair in sorted(values.items()))
        results = "".join(
            f"; {text_of(key)}={text_of(value)}"
            for key, value in sorted(values.items())
            if key.startswith(b"Result")
        )
        entries.add(
            "polkit",
            text_of(section),
            content,
            trigger=f"polkit authorization of {text_of(values.get(b'Action', b''))}{results}",
            user=text_of(values.get(b"Identity", b"")),
        )
    return entries.done()


class Sudoers(FileKind):
    name = "sudoers"

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def places(self, host: Host) -> Sequence[Place]:
        reader = self._reader = self._reader or Reader(host.root)
        places = [Place(path) for path in _SUDOERS]
        places += [Place(path + b".d", b"*") for path in _SUDOERS]
        seen: set[bytes] = set(_SUDOERS)
        waiting = list(_SUDOERS)
        while waiting and len(seen) < _MOST_INCLUDES:
            path = waiting.pop()
            for what, target in reader.parsed(path, _includes) or ():
                where = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
                if where in seen:
                    continue
                seen.add(where)
                if what == "include":
                    places.append(Place(where))
                    waiting.append(where)
                else:
                    places.append(Place(where, b"*"))
                    waiting += [entry.path for entry in reader.entries(where) if _is_taken(entry.name)]
        reader.problems.clear()
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        found = reader.parsed(path, parse_sudoers, place) or ()
        if place.names is not None and not _is_taken(path.rpartition(b"/")[2]):
            return [dataclasses.replace(item, enabled=False) for item in found]
        return found


def _is_taken(name: bytes) -> bool:
    """Whether sudo reads a file of this name in an `@includedir` directory."""
    return b"." not in name and not name.endswith(b"~")


def _includes(file: File) -> tuple[tuple[str, bytes], ...]:
    lines = (parse_line(raw) for raw in logical_lines(file.data))
    return tuple((line.what, line.target) for line in lines if line is not None and line.target)


class Doas(FileKind):
    name = "doas"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            Place(b"/etc/doas.conf"),
            Place(b"/usr/local/etc/doas.conf"),
            Place(b"/etc/doas.d", b"*.conf"),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_doas, place) or ()


class Polkit(FileKind):
    name = "polkit"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            Place(b"/etc/polkit-1/rules.d", b"*.rules"),
            Place(b"/run/polkit-1/rules.d", b"*.rules"),
            Place(b"/usr/local/share/polkit-1/rules.d", b"*.rules"),
            Place(b"/usr/share/polkit-1/rules.d", b"*.rules"),
            Place(b"/etc/polkit-1/localauthority", b"*.pkla", recursive=True),
            Place(b"/var/lib/polkit-1/localauthority", b"*.pkla", recursive=True),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_pkla if path.endswith(b".pkla") else parse_polkit_rules, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (Sudoers, Doas, Polkit)
