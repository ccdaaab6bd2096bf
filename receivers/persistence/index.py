"""Which kind a path concerns: asked for every file event of the host, so a few dictionary look-ups must do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from otel_fim.receivers.persistence.kind import Place, is_swap_file, matches


class Concern(NamedTuple):
    """A kind that a path concerns. `path` is the file to read again, as the place names it; None: the whole kind,
    because what changed is a directory."""

    kind: str
    path: bytes | None
    place: Place | None


@dataclass(slots=True, frozen=True)
class _In:
    kind: str
    place: Place
    directory: bytes
    """The directory as the place names it: the event may name it otherwise when links lead there."""


class PlaceIndex:
    """Built from all places of all kinds; `resolve` gives a path without links in it, None when it is not there."""

    def __init__(
        self,
        places: Iterable[tuple[str, Place]],
        resolve: Callable[[bytes], bytes | None] = lambda path: path,
    ) -> None:
        self._files: dict[bytes, list[_In]] = {}
        self._directories: dict[bytes, list[_In]] = {}
        self._above: dict[bytes, set[str]] = {}
        real: dict[bytes, bytes | None] = {}
        for kind, place in places:
            directory = place.path if place.names is not None else _parent(place.path)
            if directory not in real:
                real[directory] = resolve(directory)
            for known in {directory, real[directory] or directory}:
                entry = _In(kind, place, directory)
                if place.names is None:
                    self._files.setdefault(_join(known, place.path.rpartition(b"/")[2]), []).append(entry)
                else:
                    self._directories.setdefault(known, []).append(entry)
                self._add_above(known, kind)

    def _add_above(self, path: bytes, kind: str) -> None:
        while kind not in (known := self._above.setdefault(path, set())):
            known.add(kind)
            path = _parent(path)

    def concerns(self, path: bytes) -> list[Concern]:
        """The kinds that a change at `path` concerns, each as often as it has places there."""
        directory, name = _parent(path), path.rpartition(b"/")[2]
        found = [Concern(e.kind, e.place.path, e.place) for e in self._files.get(path, ())]
        for entry in self._directories.get(directory, ()):
            if matches(name, entry.place.names or b""):
                if is_swap_file(name) and not entry.place.recursive:
                    continue
                found.append(Concern(entry.kind, _join(entry.directory, name), entry.place))
            elif entry.place.recursive:
                # It may be a directory that was moved here with files in it.
                found.append(Concern(entry.kind, None, None))
        above = directory
        while above != b"/":
            above = _parent(above)
            for entry in self._directories.get(above, ()):
                if entry.place.recursive:
                    inside = _join(entry.directory, path[len(above) :].lstrip(b"/"))
                    wanted = matches(name, entry.place.names or b"")
                    found.append(
                        Concern(entry.kind, inside if wanted else None, entry.place if wanted else None)
                    )
        found += [Concern(kind, None, None) for kind in self._above.get(path, ())]
        return found


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def _join(directory: bytes, name: bytes) -> bytes:
    return directory.rstrip(b"/") + b"/" + name
