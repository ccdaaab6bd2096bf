"""Settings that lie among a web server's documents and have code run: .htaccess and .user.ini.

Trees of documents are large: they are walked at the start and once an hour, and file events tell of new files between.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.kinds.web_servers import parse_apache, parse_php
from otel_fim.receivers.persistence.reader import Reader

_PARSERS: Final = {b".htaccess": parse_apache, b".user.ini": parse_php}
_PLACES: Final = tuple(
    Place(root, b".[hu]*", recursive=True)
    for root in (
        b"/var/www",
        b"/srv/www",
        b"/srv/http",
        b"/usr/share/nginx/html",
        b"/usr/local/apache2/htdocs",
    )
)


class WebDocuments(FileKind):
    """`walk_interval` is the time between two walks in seconds."""

    name = "web_documents"

    def __init__(self, walk_interval: float = 3600.0) -> None:
        self._walk_interval = walk_interval
        self._next = 0.0
        self._found: dict[bytes, Place] = {}
        self._problems: dict[bytes, str] = {}

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return _PLACES

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._walk_interval
            before = dict(reader.problems)
            walked = {
                path: place
                for place in self.places(host)
                for path in reader.files(place)
                if path.rpartition(b"/")[2] in _PARSERS
            }
            self._problems = {path: why for path, why in reader.problems.items() if path not in before}
            self._found = walked
        else:
            reader.problems.update(self._problems)
        for path, place in self._found.items():
            yield from self._items(path, place, reader)

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if path.rpartition(b"/")[2] not in _PARSERS:
            return ()
        # The next scan must not take it for gone because no walk has met it.
        self._found[path] = place
        return self._items(path, place, reader)

    @staticmethod
    def _items(path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, _PARSERS[path.rpartition(b"/")[2]], place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (WebDocuments,)
