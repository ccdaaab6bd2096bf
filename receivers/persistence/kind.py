"""What a kind of persistence is: where it lives (`Place`) and how its items are read (`Kind`, `FileKind`).

A kind works with paths as they are inside the watched root and touches the disk through its `Reader` only. What
turns bytes into items is a pure function that never raises, beside the class, so that it can be tested with anything;
what it cannot make sense of it counts with `File.reject`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from otel_fim.receivers.persistence.item import Item
from otel_fim.record import Record

if TYPE_CHECKING:
    from otel_fim.receivers.persistence.config import PersistenceConfig
    from otel_fim.receivers.persistence.hosts import Host
    from otel_fim.receivers.persistence.reader import Reader


@dataclass(slots=True, frozen=True)
class Place:
    """A file (`names` None), or the files in a directory whose names match the shell pattern `names`.

    `recursive` takes sub-directories in. `uid` and `user` say whose home directory it lies in, None and empty
    elsewhere.
    """

    path: bytes
    names: bytes | None = None
    recursive: bool = False
    uid: int | None = None
    user: str = ""

    def covers(self, path: bytes) -> bool:
        """Whether a file with this path is one of the place's."""
        if self.names is None:
            return path == self.path
        directory, _, name = path.rpartition(b"/")
        if directory != self.path and not (
            self.recursive and directory.startswith(self.path.rstrip(b"/") + b"/")
        ):
            return False
        return matches(name, self.names)

    def touched_by(self, directory: bytes) -> bool:
        """Whether the place lies at or below this directory, or this directory below it: moved as a whole, it
        takes files of the place along."""
        own = self.path
        return (
            own == directory
            or own.startswith(directory.rstrip(b"/") + b"/")
            or (self.names is not None and self.recursive and directory.startswith(own.rstrip(b"/") + b"/"))
        )


@functools.lru_cache(maxsize=512)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(fnmatch.translate(pattern.decode("latin-1")).encode("latin-1"), re.DOTALL)


def matches(name: bytes, pattern: bytes) -> bool:
    """Whether a name matches a shell pattern (`*`, `?`, `[…]`), case-sensitive."""
    return pattern == b"*" or _compiled(pattern).match(name) is not None


_SWAP: Final = re.compile(rb"\..*\.sw[a-p]", re.DOTALL)


def is_swap_file(name: bytes) -> bool:
    """Whether vim keeps it beside a file as long as that one is open. No runner of scripts takes a hidden file."""
    return name.startswith(b".") and _SWAP.fullmatch(name) is not None


class Kind(ABC):
    """A kind of persistence. One instance serves one receiver and is used by one thread.

    `name` is what the configuration's `kinds` lists; the items' own `kind` may be finer (`systemd` has
    `systemd_service`, `systemd_timer`, …). `version` goes up when the same files give other items than before: the
    items in the state are then taken anew instead of being told as changed.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def configure(self, config: PersistenceConfig) -> None:  # noqa: B027 - most kinds have no settings
        """Takes the receiver's settings, before anything is read."""

    @abstractmethod
    def places(self, host: Host) -> Sequence[Place]:
        """Where files belong to this kind, whether they exist or not. Asked again at every scan."""

    @abstractmethod
    def read(self, host: Host, reader: Reader) -> Iterable[Item]:
        """All items there are now. What cannot be read is noted by the reader and not taken for removed."""

    def concerned(self, record: Record) -> bool:
        """Whether a file event in one of the places may be about this kind. Asked on the thread of the receiver that
        tells of it: it must answer at once."""
        del record
        return True

    def brings(self, record: Record) -> bool:
        """Whether a file event says by itself that an item that is there now was not there before: such a one is told
        also where the kind has not looked yet."""
        del record
        return False

    def recall(self, paths: Iterable[bytes]) -> None:  # noqa: B027 - most kinds know where to look
        """Takes the paths of the items that the run before knew, before the first `read`."""

    def on_news(self, tell: Callable[[], None]) -> None:  # noqa: B027 - most kinds find all of it in `read`
        """Takes what is to be called when `read` would find more than it did. From any thread."""

    def related(self, path: bytes, item: Item) -> bool:
        """Whether a change of the file `path` may be what changed the item, so that whoever made the one made the
        other."""
        return path == item.path


class FileKind(Kind):
    """A kind whose items depend on nothing but the file that they stand in: one file can be read again alone."""

    @abstractmethod
    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        """The items of one file, all with `path` as their path; none when it is not there (usually
        `reader.parsed(path, parse, place)`)."""

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        """The items of every file in the places; a file in two places is read for the first one."""
        seen: set[bytes] = set()
        for place in self.places(host):
            for path in reader.files(place):
                if path not in seen:
                    seen.add(path)
                    yield from self.read_file(path, place, reader)
