"""What every Python interpreter runs when it starts: `import` lines of .pth files, sitecustomize, usercustomize.

Format: docs.python.org/3/library/site.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, hash_key
from otel_fim.receivers.persistence.formats.includes import expand
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_SYSTEM: Final = (
    b"/usr/lib/python[23]*",
    b"/usr/lib64/python[23]*",
    b"/usr/local/lib/python[23]*",
    b"/usr/local/lib64/python[23]*",
    b"/etc/python[23]*",
)
_PACKAGES: Final = (b"site-packages", b"dist-packages")
_CUSTOMIZE: Final = (b"sitecustomize.py", b"usercustomize.py")
_PTH_IMPORT: Final = re.compile(rb"import[ \t]")
_USUAL_VERSIONS: Final = range(9, 16)


def parse_pth(file: File) -> tuple[Item, ...]:
    """An item for each line that the interpreter executes. The others name directories."""
    entries = Entries(file)
    if file.path.rpartition(b"/")[2].startswith(b"."):
        # site.py passes over hidden files.
        return ()
    for line in (
        file.data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    ):
        if _PTH_IMPORT.match(line):
            entries.add(
                "python_pth",
                hash_key(line),
                line,
                command=text_of(line),
                user=file.user,
                trigger="start of Python",
            )
    return entries.done()


def parse_module(file: File) -> tuple[Item, ...]:
    return (file.item("python_customize", user=file.user, trigger="start of Python"),)


class PythonStartup(FileKind):
    name = "python_startup"

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def places(self, host: Host) -> Sequence[Place]:
        reader = self._reader = self._reader or Reader(host.root)
        libraries: dict[bytes, tuple[int | None, str]] = {
            path: (None, "") for pattern in _SYSTEM for path in expand(pattern, reader)
        }
        for home in host.homes():
            below = home.path.rstrip(b"/") + b"/.local/lib/"
            found = [
                *expand(below + b"python[23]*", reader),
                *(below + b"python3.%d" % n for n in _USUAL_VERSIONS),
            ]
            libraries.update((path, (home.uid, home.user)) for path in found)
        places = []
        for library, (uid, user) in libraries.items():
            for directory in (library, *(library + b"/" + name for name in _PACKAGES)):
                if directory != library:
                    places.append(Place(directory, b"*.pth", uid=uid, user=user))
                places += [Place(directory + b"/" + name, uid=uid, user=user) for name in _CUSTOMIZE]
                places += [
                    Place(directory + b"/" + name[:-3] + b"/__init__.py", uid=uid, user=user)
                    for name in _CUSTOMIZE
                ]
        reader.problems.clear()
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_pth if path.endswith(b".pth") else parse_module, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (PythonStartup,)
