"""Start scripts older than systemd: init.d with its rcN.d links, rc.local, inittab, OpenRC's local.d and runlevels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Kind, Place
from otel_fim.receivers.persistence.reader import Entry, File, Reader
from otel_fim.receivers.persistence.text import text_of

INIT_SCRIPT: Final = "init_script"
RC_LOCAL: Final = "rc_local"
INITTAB: Final = "inittab"

_SCRIPTS: Final = (b"/etc/init.d", b"/etc/rc.d/init.d")
_LEVELS: Final = tuple(b"rc%s.d" % level for level in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"S"))
_LEVEL_ROOTS: Final = (b"/etc", b"/etc/rc.d")
_LOCALS: Final = (b"/etc/rc.local", b"/etc/rc.d/rc.local", b"/etc/rc.boot", b"/etc/rc.shutdown")
_LOCAL_DIRECTORIES: Final = (b"/etc/local.d", b"/etc/boot.d")
_RUNLEVELS: Final = b"/etc/runlevels"
_INITTAB: Final = b"/etc/inittab"
_STARTS: Final = re.compile(rb"S[0-9]{1,3}(.+)", re.DOTALL)
_MAX_ENTRIES: Final = 2000
_ACTIONS: Final = frozenset(
    b"respawn wait once boot bootwait off ondemand initdefault sysinit powerwait powerfail powerokwait "
    b"powerfailnow ctrlaltdel kbrequest askfirst restart shutdown".split()
)
_BUSYBOX: Final = frozenset(b"sysinit wait once respawn askfirst ctrlaltdel shutdown restart".split())


class InitScripts(Kind):
    """Scripts that init runs. A script is enabled when a runlevel has a link that starts it."""

    name = "init_scripts"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            *(Place(path) for path in (*_LOCALS, _INITTAB)),
            *(Place(directory, b"*") for directory in (*_SCRIPTS, *_LOCAL_DIRECTORIES)),
            *(Place(root + b"/" + level, b"*") for root in _LEVEL_ROOTS for level in _LEVELS),
            Place(_RUNLEVELS, b"*", recursive=True),
        )

    def related(self, path: bytes, item: Item) -> bool:
        """A link in a runlevel bears the script's name."""
        if super().related(path, item):
            return True
        name = path.rpartition(b"/")[2]
        started = _STARTS.fullmatch(name)
        return item.kind == INIT_SCRIPT and item.path.rpartition(b"/")[2] in (name, started and started[1])

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        del host
        started: dict[bytes, list[str]] = {}
        seen: set[bytes] = set()
        loose: list[bytes] = []
        for root in _LEVEL_ROOTS:
            for level in _LEVELS:
                for entry in _entries(root + b"/" + level, reader, seen):
                    match = _STARTS.fullmatch(entry.name)
                    if match is not None and entry.is_link:
                        target = reader.readlink(entry.path) or b""
                        name = target.rpartition(b"/")[2] or match[1]
                        started.setdefault(name, []).append(text_of(level))
                    elif entry.is_file and entry.name[:1] in (b"S", b"K"):
                        loose.append(entry.path)
        for entry in reader.walk(_RUNLEVELS, 2):
            started.setdefault(entry.name, []).append(text_of(entry.path.split(b"/")[-2]))
        for directory in _SCRIPTS:
            for entry in _entries(directory, reader, seen):
                if entry.is_directory or entry.name.startswith(b"."):
                    continue
                for item in reader.parsed(entry.path, init_script) or ():
                    levels = started.get(entry.name)
                    if levels:
                        yield replace(item, trigger=", ".join(sorted(set(levels))))
                    else:
                        yield replace(item, enabled=False)
        for path in loose:
            for item in reader.parsed(path, init_script) or ():
                yield replace(item, trigger=text_of(path.split(b"/")[-2]))
        yield from self._locals(reader, seen)
        yield from reader.parsed(_INITTAB, inittab) or ()

    @staticmethod
    def _locals(reader: Reader, seen: set[bytes]) -> Iterator[Item]:
        paths = list(_LOCALS)
        for directory in _LOCAL_DIRECTORIES:
            paths += [
                entry.path
                for entry in _entries(directory, reader, seen)
                if not entry.is_directory and entry.name.endswith((b".start", b".stop", b".sh"))
            ]
        for path in paths:
            real = reader.resolve(path)
            if real is not None and real not in seen:
                seen.add(real)
                yield from reader.parsed(path, rc_local) or ()


KINDS: Final = (InitScripts,)


def _entries(directory: bytes, reader: Reader, seen: set[bytes]) -> list[Entry]:
    """A directory's entries, none when it has been read under another name (/etc/rc.d/rc2.d is a link often)."""
    real = reader.resolve(directory)
    if real is None or real in seen:
        return []
    seen.add(real)
    return reader.entries(directory)


def init_script(file: File) -> tuple[Item, ...]:
    """A script in init.d."""
    return (
        file.item(
            INIT_SCRIPT,
            command=f"{file.text_path} start",
            user="root",
            enabled=bool(file.stat.st_mode & 0o111),
        ),
    )


def rc_local(file: File) -> tuple[Item, ...]:
    """rc.local and its like: the command is what the script says, without comments."""
    lines = (line.strip() for line in file.data.decode("utf-8", "backslashreplace").split("\n"))
    said = "; ".join(line for line in lines if line and not line.startswith("#"))
    trigger = "shutdown" if b"shutdown" in file.path or file.path.endswith(b".stop") else "boot"
    return (
        file.item(
            RC_LOCAL, command=said, user="root", trigger=trigger, enabled=bool(file.stat.st_mode & 0o111)
        ),
    )


def inittab(file: File) -> tuple[Item, ...]:
    """The entries of /etc/inittab: `id:runlevels:action:process` (sysvinit), `tty::action:process` (busybox)."""
    found: list[Item] = []
    counts: dict[bytes, int] = {}
    for line in file.data.split(b"\n"):
        content = line.strip()
        if not content or content.startswith(b"#"):
            continue
        fields = content.split(b":", 3)
        if len(fields) < 4 or fields[2] not in _ACTIONS or len(found) >= _MAX_ENTRIES:
            file.reject()
            continue
        name, levels, action, process = fields
        key = name or (b"%s" % action if action in _BUSYBOX else b"")
        counts[key] = counts.get(key, 0) + 1
        suffix = b"" if counts[key] == 1 else b"#%d" % counts[key]
        found.append(
            file.item(
                INITTAB,
                content,
                key=text_of(key + suffix),
                command=text_of(process.removeprefix(b"+")),
                user="root",
                trigger=text_of(action if not levels else b"%s in runlevels %s" % (action, levels)),
                enabled=action not in (b"off", b"initdefault"),
            )
        )
    return tuple(found)
