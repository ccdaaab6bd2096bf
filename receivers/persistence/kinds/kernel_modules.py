"""Kernel modules: loaded now, and configured to be loaded.

Formats: proc(5) /proc/modules, modules-load.d(5), modprobe.d(5), modules(5).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries
from otel_fim.receivers.persistence.formats.lines import joined, plain
from otel_fim.receivers.persistence.formats.whole import overridden
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import digest, text_of

_PROC_MODULES: Final = b"/proc/modules"
_SYS_MODULE: Final = b"/sys/module"
_LOADED: Final = re.compile(rb"(\S+) (\d+) \S+ \S+ (\S+) \S+(?: \(([A-Z+-]+)\))?")
_LOAD_DIRECTORIES: Final = (
    b"/etc/modules-load.d",
    b"/run/modules-load.d",
    b"/usr/local/lib/modules-load.d",
    b"/usr/lib/modules-load.d",
)
_MODPROBE_DIRECTORIES: Final = (
    b"/etc/modprobe.d",
    b"/run/modprobe.d",
    b"/usr/local/lib/modprobe.d",
    b"/usr/lib/modprobe.d",
    b"/lib/modprobe.d",
)
_LISTS: Final = (b"/etc/modules", b"/etc/initramfs-tools/modules")


@dataclasses.dataclass(slots=True, frozen=True)
class Loaded:
    """A line of /proc/modules; `taints` are the letters of the taint flags (O out of tree, E unsigned, …)."""

    name: bytes
    size: int
    taints: bytes


def parse_loaded(data: bytes) -> tuple[list[Loaded], int]:
    """The modules, and how many lines were none."""
    found, rejected = [], 0
    for line in data.split(b"\n"):
        match = _LOADED.fullmatch(line.strip())
        if match is not None and len(match[2]) < 19:
            found.append(Loaded(match[1], int(match[2]), (match[4] or b"").rstrip(b"+-")))
        elif line.strip():
            rejected += 1
    return found, rejected


class LoadedModules(Kind):
    """The hidden ones too: a root kit that takes itself out of /proc/modules often stays in /sys/module."""

    name = "kernel_modules_loaded"

    def __init__(self) -> None:
        self._source_versions: dict[tuple[bytes, int], bytes] = {}

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return ()

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        if not host.is_own:
            return
        # /sys/module first: what is loaded between the two looks is then in the second alone.
        listed = [entry.path for entry in reader.entries(_SYS_MODULE) if entry.is_directory]
        file = reader.file(_PROC_MODULES)
        if file is None:
            return
        loaded, rejected = parse_loaded(file.data)
        reader.rejected += rejected
        versions: dict[tuple[bytes, int], bytes] = {}
        for module in loaded:
            key = (module.name, module.size)
            version = self._source_versions.get(key)
            if version is None:
                source = reader.file(_SYS_MODULE + b"/" + module.name + b"/srcversion")
                version = b"" if source is None else source.data.strip()
            versions[key] = version
            yield self._item(module.name, module.taints, version, "loaded")
        self._source_versions = versions
        names = {module.name for module in loaded}
        for path in listed:
            name = path.rpartition(b"/")[2]
            # What is built into the kernel has no initstate.
            if name in names or reader.stat(path + b"/initstate") is None:
                continue
            yield self._item(name, b"", b"", "loaded, hidden from /proc/modules")

    @staticmethod
    def _item(name: bytes, taints: bytes, version: bytes, when: str) -> Item:
        return Item(
            kind="kernel_module",
            id=f"{text_of(_PROC_MODULES)}:{text_of(name)}",
            path=_PROC_MODULES,
            content_hash=digest(b" ".join((name, taints, version))),
            command=text_of(name),
            user="root",
            trigger=f"{when}; taints {text_of(taints)}" if taints else when,
        )


def parse_list(file: File) -> tuple[Item, ...]:
    """An item for each module of a list: its name, and in `/etc/modules` its parameters."""
    entries = Entries(file)
    for line in plain(file.data, comment=b"#;"):
        entries.add(
            "kernel_module_load",
            text_of(line.split()[0]),
            line,
            command=text_of(line),
            user="root",
            trigger="initramfs" if b"initramfs" in file.path else "boot",
        )
    return entries.done()


def parse_modprobe(file: File) -> tuple[Item, ...]:
    """An item for each command that modprobe runs and for each dependency that it loads."""
    entries = Entries(file)
    for line in joined(file.data):
        word, *rest = line.split(None, 2)
        if word not in (b"install", b"remove", b"softdep", b"weakdep") or not rest:
            continue
        command = text_of(rest[1]) if len(rest) > 1 else ""
        entries.add(
            "modprobe",
            text_of(b" ".join((word, rest[0]))),
            line,
            command=command,
            user="root",
            trigger=f"{'removal' if word == b'remove' else 'loading'} of {text_of(rest[0])}",
        )
    return entries.done()


class ConfiguredModules(FileKind):
    name = "kernel_modules"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            *(Place(path) for path in _LISTS),
            *(Place(path, b"*.conf") for path in (*_LOAD_DIRECTORIES, *_MODPROBE_DIRECTORIES)),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.path in _MODPROBE_DIRECTORIES:
            if place.path == b"/lib/modprobe.d" and reader.resolve(b"/lib") != b"/lib":
                return ()
            directories: tuple[bytes, ...] = _MODPROBE_DIRECTORIES
            found = reader.parsed(path, parse_modprobe, place)
        else:
            directories = _LOAD_DIRECTORIES
            found = reader.parsed(path, parse_list, place)
        if found and place.names is not None and overridden(path, directories, reader):
            return [dataclasses.replace(item, enabled=False) for item in found]
        return found or ()


KINDS: Final[tuple[type[Kind], ...]] = (LoadedModules, ConfiguredModules)
