"""What package managers run: hooks of apt, dpkg, dnf, yum, pacman, zypper and apk.

Formats: apt.conf(5), dpkg(1) --pre-invoke/--post-invoke/--status-logger, dnf post-transaction-actions, alpm-hooks(5).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.apt import options
from otel_fim.receivers.persistence.formats.entries import Entries, clipped, hash_key
from otel_fim.receivers.persistence.formats.lines import ini, plain, unquoted
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_APT_HOOK: Final = re.compile(
    rb"(?:(?:.*::)?(?:pre|post)-invoke(?:-success)?|dpkg::pre-install-pkgs"
    rb"|acquire::.*proxy-?auto-?detect|apt::compressor::[^:]*::binary|dir::bin::.*|\#include)(?:::)?",
    re.DOTALL,
)
_APT_NAME: Final = re.compile(rb"[A-Za-z0-9_.-]+")
_DPKG_COMMAND: Final = re.compile(rb"pre-invoke|post-invoke|status-logger|pager")
_PYTHON_DIRECTORIES: Final = tuple(b"/usr/lib/python3.%d/site-packages" % minor for minor in range(6, 16))


def parse_apt(file: File) -> tuple[Item, ...]:
    """An item for each command; those of a list are known by themselves, as they have no name."""
    entries = Entries(file)
    for name, value in options(file.data):
        lower = name.lower()
        if _APT_HOOK.fullmatch(lower) is None:
            continue
        shown = text_of(name.rstrip(b":"))
        is_named = lower.startswith((b"dir::bin", b"acquire::", b"apt::compressor")) or lower == b"#include"
        entries.add(
            "apt_hook",
            shown if is_named else f"{shown} {hash_key(value)}",
            name + b"\n" + value,
            command=text_of(value),
            user="root",
            trigger=shown,
        )
    return entries.done()


def parse_dpkg(file: File) -> tuple[Item, ...]:
    """An item for each option of dpkg.cfg that names a command."""
    entries = Entries(file)
    for line in plain(file.data):
        name, _, value = (
            line.replace(b" ", b"=", 1).partition(b"=") if b"=" not in line else line.partition(b"=")
        )
        name = name.strip().removeprefix(b"--")
        if _DPKG_COMMAND.fullmatch(name) is None:
            continue
        value = unquoted(value.strip())
        entries.add(
            "dpkg_hook",
            f"{text_of(name)} {hash_key(value)}",
            line,
            command=text_of(value),
            user="root",
            trigger=text_of(name),
        )
    return entries.done()


def parse_plugin_conf(file: File) -> tuple[Item, ...]:
    """A dnf or yum plug-in: an item, switched off unless `enabled` is true (it is not by default in yum)."""
    values = {key.lower(): value for section, key, value in ini(file.data) if section == b"main"}
    value = values.get(b"enabled", b"0" if b"/yum/" in file.path else b"1").lower()
    name = text_of(file.path.rpartition(b"/")[2].removesuffix(b".conf"))
    return (
        file.item(
            "package_plugin",
            command=clipped(name),
            user="root",
            trigger="package manager",
            enabled=value in (b"1", b"yes", b"true", b"on"),
        ),
    )


def parse_actions(file: File) -> tuple[Item, ...]:
    """`filter:state:command` of dnf 4, `hook:filter:direction:options:command` of dnf 5."""
    entries = Entries(file)
    fields = 5 if file.path.endswith(b".actions") else 3
    for line in plain(file.data):
        parts = line.split(b":", fields - 1)
        if len(parts) < fields:
            file.reject()
            continue
        when = text_of(b":".join(parts[:-1]))
        entries.add("package_hook", when, line, command=text_of(parts[-1].strip()), user="root", trigger=when)
    return entries.done()


def parse_alpm(file: File) -> tuple[Item, ...]:
    """A hook of pacman: what it does, and for what."""
    values: dict[bytes, list[bytes]] = {}
    for _, key, value in ini(file.data, comment=b"#"):
        values.setdefault(key, []).append(value)
    command = (values.get(b"Exec") or [b""])[-1]
    if not command:
        file.reject()
        return ()
    trigger = b" ".join(
        part for key in (b"When", b"Operation", b"Type", b"Target") for part in values.get(key, ())[:20]
    )
    return (
        file.item(
            "package_hook",
            command=clipped(text_of(command)),
            user="root",
            trigger=clipped(text_of(trigger), 512),
        ),
    )


_Parse = Callable[[File], tuple[Item, ...]]
_PARSED: Final[dict[Place, _Parse]] = {
    Place(b"/etc/apt/apt.conf"): parse_apt,
    Place(b"/etc/apt/apt.conf.d", b"*"): parse_apt,
    Place(b"/etc/dpkg/dpkg.cfg"): parse_dpkg,
    Place(b"/etc/dpkg/dpkg.cfg.d", b"*"): parse_dpkg,
    Place(b"/etc/yum/pluginconf.d", b"*.conf"): parse_plugin_conf,
    Place(b"/etc/dnf/plugins", b"*.conf"): parse_plugin_conf,
    Place(b"/etc/dnf/plugins/post-transaction-actions.d", b"*.action"): parse_actions,
    Place(b"/etc/dnf/libdnf5-plugins/actions.d", b"*.actions"): parse_actions,
    Place(b"/etc/dnf/libdnf5-plugins", b"*.conf"): parse_plugin_conf,
    Place(b"/etc/pacman.d/hooks", b"*.hook"): parse_alpm,
    Place(b"/usr/share/libalpm/hooks", b"*.hook"): parse_alpm,
}
_WHOLE: Final = (
    Place(b"/usr/lib/yum-plugins", b"*.py"),
    Place(b"/usr/share/yum-plugins", b"*.py"),
    *(Place(path + b"/dnf-plugins", b"*.py") for path in _PYTHON_DIRECTORIES),
    Place(b"/usr/lib/zypp/plugins", b"*", recursive=True),
    Place(b"/etc/apk/commit_hooks.d", b"*"),
    Place(b"/lib/apk/commit_hooks.d", b"*"),
)


class PackageHooks(FileKind):
    name = "package_hooks"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (*_PARSED, *_WHOLE)

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        parse = _PARSED.get(place)
        if parse is None:
            item = whole_file("package_plugin", path, reader, user="root", trigger="package manager")
            return () if item is None else (item,)
        found = reader.parsed(path, parse, place) or ()
        if place.path == b"/etc/apt/apt.conf.d" and not _is_read_by_apt(path.rpartition(b"/")[2]):
            return [dataclasses.replace(item, enabled=False) for item in found]
        return found


def _is_read_by_apt(name: bytes) -> bool:
    """apt.conf(5): no extension or `conf`, and only letters, digits, hyphen, underscore and period."""
    return _APT_NAME.fullmatch(name) is not None and (b"." not in name or name.endswith(b".conf"))


KINDS: Final[tuple[type[Kind], ...]] = (PackageHooks,)
