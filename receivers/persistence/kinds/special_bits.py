"""Files that lend their owner's rights to whoever starts them: setuid, setgid and file capabilities.

They may be anywhere, so all local file systems are walked on a thread of its own that yields to everybody: at the
start, and slowly once a day. Meanwhile every file event is looked at, and every scan looks again at the known files.
"""

from __future__ import annotations

import os
import stat
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.persistence.formats.capabilities import capability_text
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.mounts import Mount, local, mount_of, parse_mounts
from otel_fim.receivers.persistence.reader import NOT_LOOKED_AT, Reader
from otel_fim.receivers.persistence.sweep import Sweep, in_background, walk
from otel_fim.receivers.persistence.text import digest, text_of
from otel_fim.record import Record

if TYPE_CHECKING:
    from otel_fim.receivers.persistence.config import PersistenceConfig

_BITS: Final = stat.S_ISUID | stat.S_ISGID
_ATTRIBUTE: Final = "security.capability"
MOST_KNOWN: Final = 20_000
# A user's own files lend no other rights than the user's, and a user could keep the agent hashing them.
_HASHED_OF_ROOT: Final = 64 << 20
_HASHED_OF_USERS: Final = 8 << 20
_EVERYWHERE: Final = Place(b"/", b"*", recursive=True)


class SpecialBits(FileKind):
    """`scan_interval` is the time between two walks in seconds, `first_pace` and `pace` how many entries the first
    one and the later ones look at in a second (1,000 take half a percent of a core), `left_out` the directories that
    are not entered, `patience` how long in seconds the first `read` waits for the walk."""

    name = "special_bits"

    def __init__(
        self,
        *,
        scan_interval: float = 86_400.0,
        first_pace: float = 10_000.0,
        pace: float = 1_000.0,
        left_out: Sequence[bytes] = (),
        patience: float = 0.3,
    ) -> None:
        self.scan_interval = scan_interval
        self._pace = first_pace
        self._later_pace = pace
        self._left_out = tuple(left_out)
        self._patience = patience
        self._known: set[bytes] = set()
        self._sweep: Sweep | None = None
        self._finished = threading.Event()
        self._waited = False
        self._thread: threading.Thread | None = None
        self._next = 0.0
        self._tell: Callable[[], None] = _nothing
        self._mounts: dict[bytes, Mount] = {}

    def configure(self, config: PersistenceConfig) -> None:
        self.scan_interval = config.setuid_scan_interval
        self._left_out = tuple(os.fsencode(path.rstrip("/")) for path in config.setuid_scan_skip)

    def on_news(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def recall(self, paths: Iterable[bytes]) -> None:
        self._known.update(paths)

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (_EVERYWHERE,)

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        """The files that are known to have such bits. Until the first walk is over, there may be others: that is a
        problem of the whole root, and what the walk finds then is taken as it is."""
        self._mounts = self._read_mounts(host)
        self._begin(host)
        if self._sweep is None and not self._waited:
            # A small tree is looked through by then, and there is no gap to tell of.
            self._waited = True
            self._finished.wait(self._patience)
        sweep = self._sweep
        if sweep is None:
            reader.problems[b"/"] = NOT_LOOKED_AT
        else:
            for path, reason in sweep.problems.items():
                inside = host.inside(path)
                reader.problems[inside if inside is not None else path] = reason
            for path in sweep.found:
                if (inside := host.inside(path)) is not None:
                    self._add(inside)
            sweep.found.clear()
        if self._too_many:
            reader.problems[b"/"] = "too_many"
        gone = set()
        for path in sorted(self._known):
            found = list(self._items(path, reader, host))
            if not found:
                gone.add(path)
            yield from found
        self._known -= gone

    def concerned(self, record: Record) -> bool:
        """Files that have such bits or had them, and files whose metadata changed: capabilities do not show in the
        mode. That a file with capabilities is gone is seen by the next scan."""
        before = _mode(record, names.before(names.FILE_MODE))
        if record.event_name == events.FILE_DELETED:
            return bool((before or 0) & _BITS)
        mode = _mode(record, names.FILE_MODE)
        if mode is None or record.event_name == events.FILE_ATTRIBUTES_CHANGED:
            return True
        return bool((mode | (before or 0)) & _BITS)

    def brings(self, record: Record) -> bool:
        """A file that has come, bits that it did not have, or, where nothing but the time of the change differs, an
        attribute such as capabilities."""
        if record.event_name in (events.FILE_CREATED, events.FILE_RENAMED):
            return True
        mode, before = _mode(record, names.FILE_MODE), _mode(record, names.before(names.FILE_MODE))
        if mode is None or record.event_name == events.FILE_DELETED:
            return False
        if before is not None:
            return bool(mode & ~before & _BITS)
        changed = record.attributes.get(names.OTEL_FIM_FILE_CHANGED_ATTRIBUTES)
        return changed == [names.FILE_CHANGED] and not mode & _BITS

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        del place
        found = list(self._items(path, reader, self._host))
        if not found:
            self._known.discard(path)
        elif not self._add(path):
            reader.problems[b"/"] = "too_many"
            return ()
        return found

    def _add(self, path: bytes) -> bool:
        """Whether it could be added: any user may make any number of such files."""
        if path not in self._known and len(self._known) >= MOST_KNOWN:
            self._too_many = True
            return False
        self._known.add(path)
        return True

    _host: Host = Host()
    _too_many = False

    def _items(self, path: bytes, reader: Reader, host: Host) -> Iterator[Item]:
        status = reader.stat(path, follow=False)
        if status is None or not stat.S_ISREG(status.st_mode):
            return
        capabilities = _capabilities(host.real(path)) if status.st_mode & 0o111 else b""
        if not status.st_mode & _BITS and not capabilities:
            return
        mount = mount_of(host.real(path), self._mounts)
        enabled = mount is None or not mount.nosuid
        content = reader.sha256(path, _HASHED_OF_ROOT if status.st_uid == 0 else _HASHED_OF_USERS) or ""

        def item(kind: str, hashed: str, user: str, trigger: str) -> Item:
            return Item(
                kind=kind,
                id=text_of(path),
                path=path,
                content_hash=hashed,
                command=text_of(path),
                user=user,
                trigger=trigger,
                enabled=enabled,
                uid=status.st_uid,
                gid=status.st_gid,
                mode=stat.S_IMODE(status.st_mode),
                file_hash=content or None,
            )

        if status.st_mode & stat.S_ISUID:
            owner = host.user_name(status.st_uid) or str(status.st_uid)
            yield item("setuid", content, owner, "start by any user" if status.st_mode & 0o001 else "start")
        if status.st_mode & stat.S_ISGID:
            yield item("setgid", content, "", f"start, with the rights of group {status.st_gid}")
        if capabilities:
            text = capability_text(capabilities)
            hashed = digest(capabilities + content.encode())
            yield item(
                "file_capability", hashed, "", f"start, with {capabilities.hex() if text is None else text}"
            )

    def _read_mounts(self, host: Host) -> dict[bytes, Mount]:
        self._host = host
        try:
            with open("/proc/self/mountinfo", "rb") as file:
                return {mount.point: mount for mount in parse_mounts(file.read(1 << 24))}
        except OSError:
            return {}

    def _begin(self, host: Host) -> None:
        """Starts a walk when it is time for one."""
        if (self._thread is not None and self._thread.is_alive()) or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self.scan_interval
        roots = [host.root]
        barriers = {host.real(path) for path in self._left_out}
        if host.is_own and self._mounts:
            roots = [mount.point for mount in local(self._mounts.values())] or roots
        barriers |= self._mounts.keys() - {host.root}
        self._finished.clear()
        # The thread must not keep a kind alive that its receiver has let go.
        reference = weakref.ref(self)
        pace, finished, tell = self._pace, self._finished, self._tell
        self._pace = self._later_pace
        self._too_many = False

        def work() -> None:
            sweep = walk(
                roots, frozenset(barriers), _is_wanted, per_second=pace, stopped=lambda: reference() is None
            )
            kind = reference()
            if kind is not None and sweep is not None:
                kind._sweep = sweep
            finished.set()
            if kind is not None:
                tell()

        self._thread = in_background(work, "persistence-sweep")


def _nothing() -> None:
    pass


def _mode(record: Record, name: str) -> int | None:
    """The permission bits under this name; None when there are none."""
    mode = record.attributes.get(name)
    try:
        return int(mode, 8) if isinstance(mode, str) else None
    except ValueError:
        return None


def _is_wanted(entry: os.DirEntry[bytes]) -> bool:
    mode = entry.stat(follow_symlinks=False).st_mode
    return bool(mode & _BITS) or bool(mode & 0o111 and _capabilities(entry.path))


def _capabilities(path: bytes) -> bytes:
    """The attribute's value; empty when there is none, or none to be had."""
    try:
        return os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    except (OSError, AttributeError):
        return b""


KINDS: Final[tuple[type[Kind], ...]] = (SpecialBits,)
