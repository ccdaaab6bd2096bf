"""PAM: what runs at every authentication, account check, password change and session.

Format: pam.d(5): `type control module [arguments]`, `service` in front of it in `/etc/pam.conf`, `@include file` on
Debian. The modules' own files are items too: a module that was replaced sees every password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, one_space
from otel_fim.receivers.persistence.formats.lines import joined
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_CONF: Final = b"/etc/pam.conf"
_TYPES: Final = frozenset((b"auth", b"account", b"password", b"session"))
# A token in square brackets holds white space; `\]` is a bracket in it.
_TOKEN: Final = re.compile(rb"\[(?:[^\]\\]|\\.)*+\]?|\S+", re.DOTALL)
# Options of pam_exec(8) that stand before the program.
_EXEC_OPTIONS: Final = re.compile(
    rb"(?:debug|expose_authtok|seteuid|quiet|quiet_log|stdout|log=.*|type=.*)", re.DOTALL
)
_MODULES_BELOW: Final = (
    b"/lib/security",
    b"/lib64/security",
    b"/usr/lib/security",
    b"/usr/lib64/security",
    b"/usr/local/lib/security",
    *(
        directory + architecture + b"/security"
        for directory in (b"/lib/", b"/usr/lib/")
        for architecture in (
            b"x86_64-linux-gnu",
            b"aarch64-linux-gnu",
            b"i386-linux-gnu",
            b"arm-linux-gnueabihf",
            b"riscv64-linux-gnu",
            b"powerpc64le-linux-gnu",
            b"s390x-linux-gnu",
        )
    ),
)


def parse(file: File) -> tuple[Item, ...]:
    """An item for each rule and each include; a line that is neither is counted as rejected."""
    entries = Entries(file)
    name = file.path.rpartition(b"/")[2]
    for raw in joined(file.data):
        line = raw.partition(b"#")[0].strip() if b"#" in raw else raw
        if not line:
            continue
        if line.startswith(b"@include"):
            target = one_space(line[8:])
            entries.add("pam", f"include {target}", line, trigger=f"include {target} in {text_of(name)}")
            continue
        tokens = [match[0] for match in _TOKEN.finditer(line)]
        service = name
        if file.path == _CONF:
            service, tokens = tokens[0], tokens[1:]
        if len(tokens) < 3 or tokens[0].lstrip(b"-").lower() not in _TYPES:
            file.reject()
            continue
        kind = tokens[0].lstrip(b"-").lower()
        control, module, arguments = tokens[1], tokens[2], tokens[3:]
        what = text_of(module.rpartition(b"/")[2] or module)
        key = f"{text_of(kind)} {what}"
        entries.add(
            "pam",
            key if file.path != _CONF else f"{text_of(service)} {key}",
            line,
            command=_command(module, arguments),
            user="root",
            trigger=f"{text_of(kind)} {text_of(control)} in {text_of(service)}",
        )
    return entries.done()


def _command(module: bytes, arguments: list[bytes]) -> str:
    if module.rpartition(b"/")[2] == b"pam_exec.so":
        while arguments and _EXEC_OPTIONS.fullmatch(arguments[0]):
            arguments = arguments[1:]
        if arguments:
            return text_of(b" ".join(arguments))
    return text_of(b" ".join((module, *arguments)))


class Pam(FileKind):
    name = "pam"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            Place(_CONF),
            Place(b"/etc/pam.d", b"*"),
            Place(b"/usr/lib/pam.d", b"*"),
            Place(b"/usr/share/pam.d", b"*"),
            *(Place(directory, b"*.so") for directory in _MODULES_BELOW),
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.names == b"*.so":
            # /lib is a link to /usr/lib on most hosts: the module is told once, with its real place.
            if (
                path.startswith(b"/lib")
                and reader.resolve(path[: path.find(b"/", 1)]) != path[: path.find(b"/", 1)]
            ):
                return ()
            item = whole_file("pam_module", path, reader, command=text_of(path), user="root")
            return () if item is None else (item,)
        return reader.parsed(path, parse, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (Pam,)
