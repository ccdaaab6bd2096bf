"""systemd: services, timers, sockets and paths of the system and of users, with what enables, masks and changes them.

Each unit file and each drop-in is an item of its own. Which of several files of one name counts, and whether it is
enabled, is decided over all directories, so one change may change items in other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Kind, Place
from otel_fim.receivers.persistence.kinds import systemd_unit as unit_file
from otel_fim.receivers.persistence.kinds.systemd_hooks import SystemdHooks
from otel_fim.receivers.persistence.kinds.systemd_paths import (
    UnitDirectory,
    home_directories,
    system_directories,
    user_directories,
)
from otel_fim.receivers.persistence.reader import Entry, File, Reader
from otel_fim.receivers.persistence.text import text_of

DROPIN: Final = "systemd_dropin"
EVERY_USER: Final = "*"
"""In place of a name: units of every user's own systemd."""

_TYPES: Final = (b".service", b".timer", b".socket", b".path")
_ALIAS: Final = "alias"
_PULLED_IN: Final = (b".wants", b".requires", b".upholds")


@dataclass(slots=True, frozen=True)
class Unit:
    """What a unit file says, and the item that it would be without any other file. `empty` masks."""

    item: Item
    installable: bool
    starts: str
    empty: bool


@dataclass(slots=True)
class _Scope:
    """What the directories of one systemd hold, the directory that counts most first."""

    fragments: dict[str, list[tuple[bytes, UnitDirectory]]] = field(default_factory=dict)
    masked: dict[str, int] = field(default_factory=dict)
    """By unit how many fragments stand before the mask."""
    reasons: dict[str, list[str]] = field(default_factory=dict)
    """By unit what pulls it in: targets, aliases, users."""
    dropins: list[tuple[bytes, bytes, UnitDirectory]] = field(default_factory=list)

    def pull_in(self, unit: str, reason: str) -> None:
        known = self.reasons.setdefault(unit, [])
        if reason not in known:
            known.append(reason)


class Systemd(Kind):
    """Units and drop-ins."""

    name = "systemd"

    def __init__(self) -> None:
        self._made: dict[bytes, tuple[Item, bool, str, Item]] = {}

    def places(self, host: Host) -> Sequence[Place]:
        # Whoever is not logged in now may be at the next look.
        logged_in = sorted({home.uid for home in host.homes()})
        found = [Place(d.path, b"*", recursive=True) for d in (*system_directories(), *user_directories())]
        for directories in home_directories(host, logged_in):
            for d in directories:
                if d.home is not None:
                    found.append(Place(d.path, b"*", recursive=True, uid=d.home.uid, user=d.home.user))
        return found

    def related(self, path: bytes, item: Item) -> bool:
        """A link in `.wants`, a mask or an alias bears the unit's name; a drop-in stands in a directory of it."""
        if super().related(path, item):
            return True
        directory, _, name = path.rpartition(b"/")
        own = item.path.rpartition(b"/")[2]
        # A socket that is enabled enables the service of its name.
        if _stem(_template(name)) == _stem(own) and name.endswith(_TYPES):
            return True
        return directory.rpartition(b"/")[2] == own + b".d" or f"{_ALIAS} {text_of(name)}" in item.trigger

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        made = self._made
        self._made = {}
        logged_in = [int(e.name) for e in reader.entries(b"/run/user") if e.name.isdigit() and e.is_directory]
        seen: set[bytes] = set()
        system = self._scan(system_directories(), reader, seen)
        users = self._scan(user_directories(), reader, seen)
        homes = [self._scan(each, reader, seen) for each in home_directories(host, logged_in)]
        for home in homes:
            for unit, reasons in home.reasons.items():
                if unit_template(unit) not in home.fragments and unit not in home.fragments:
                    for reason in reasons:
                        users.pull_in(unit, reason)
        for scope in (system, users, *homes):
            yield from self._items(scope, reader, made)

    def _scan(self, directories: Sequence[UnitDirectory], reader: Reader, seen: set[bytes]) -> _Scope:
        scope = _Scope()
        present: list[tuple[UnitDirectory, list[Entry], bytes]] = []
        for directory in directories:
            real = reader.resolve(directory.path)
            if real is not None and real not in seen:
                seen.add(real)
                # /lib is a link to /usr/lib on most systems: the files are told under the name that they have.
                known = directory if directory.home is not None else UnitDirectory(real)
                present.append((known, reader.entries(known.path), real))
        places = {path for directory, _, real in present for path in (directory.path, real)}
        places.update(directory.path for directory in (*system_directories(), *user_directories()))
        for directory, entries, _ in present:
            self._take(scope, directory, entries, places, reader)
        return scope

    def _take(
        self,
        scope: _Scope,
        directory: UnitDirectory,
        entries: list[Entry],
        places: set[bytes],
        reader: Reader,
    ) -> None:
        triggers = (
            {_stem(e.name) for e in entries if e.name.endswith(_TYPES[1:])} if directory.transient else set()
        )
        for entry in entries:
            name = entry.name
            if entry.is_directory or (entry.is_link and name.endswith((b".d", *_PULLED_IN))):
                if name.endswith(b".d"):
                    owner = name[:-2]
                    for each in reader.entries(entry.path):
                        if each.name.endswith(b".conf"):
                            scope.dropins.append((each.path, owner, directory))
                elif name.endswith(_PULLED_IN):
                    self._links(scope, directory, entry.path, reader)
            elif name.endswith(_TYPES):
                # What systemd-run starts now does not start by itself; what its timers start does.
                if directory.transient and name.endswith(b".service") and _stem(name) not in triggers:
                    continue
                self._fragment(scope, directory, entry, places, reader)

    def _links(self, scope: _Scope, directory: UnitDirectory, where: bytes, reader: Reader) -> None:
        target = text_of(where.rpartition(b"/")[2].rpartition(b".")[0])
        for each in reader.entries(where):
            if each.name.endswith(_TYPES):
                scope.pull_in(text_of(each.name), _of_whom(target, directory))

    def _fragment(
        self, scope: _Scope, directory: UnitDirectory, entry: Entry, places: set[bytes], reader: Reader
    ) -> None:
        unit = text_of(entry.name)
        if entry.is_link:
            target = reader.readlink(entry.path)
            if target is None:
                return
            if not target.startswith(b"/"):
                target = _normal(directory.path + b"/" + target)
            if target == b"/dev/null":
                scope.masked.setdefault(unit, len(scope.fragments.get(unit, ())))
                return
            where, _, name = target.rpartition(b"/")
            if where in places:
                if name != entry.name:
                    scope.pull_in(text_of(name), _of_whom(f"{_ALIAS} {unit}", directory))
                return
        scope.fragments.setdefault(unit, []).append((entry.path, directory))

    def _items(
        self, scope: _Scope, reader: Reader, made: dict[bytes, tuple[Item, bool, str, Item]]
    ) -> Iterator[Item]:
        units: list[tuple[str, Unit, bool]] = []
        for name, fragments in scope.fragments.items():
            masked_from = scope.masked.get(name, len(fragments))
            counts = True
            for position, (path, directory) in enumerate(fragments):
                unit = reader.parsed(path, parse_unit_file, _place(path, directory))
                if unit is None:
                    continue
                if unit.empty:
                    counts = False
                    continue
                units.append((name, unit, counts and position < masked_from))
                counts = False
        started = self._started(scope, units)
        for name, unit, counts in units:
            reasons = _reasons(scope, name)
            enabled = counts and (bool(reasons) or name in started or not unit.installable)
            trigger = ", ".join(filter(None, (unit.item.trigger, *reasons))) if counts else unit.item.trigger
            yield self._with(unit.item, enabled, trigger, made)
        applied: set[tuple[bytes, bytes]] = set()
        for path, owner, directory in scope.dropins:
            item = reader.parsed(path, parse_dropin, _place(path, directory))
            key = (owner, path.rpartition(b"/")[2])
            if item is not None:
                yield self._with(item, key not in applied, item.trigger, made)
            applied.add(key)

    @staticmethod
    def _started(scope: _Scope, units: Iterable[tuple[str, Unit, bool]]) -> set[str]:
        """The services that an enabled timer, socket or path starts."""
        return {
            unit.starts
            for name, unit, counts in units
            if unit.starts and counts and (not unit.installable or _reasons(scope, name))
        }

    def _with(
        self, item: Item, enabled: bool, trigger: str, made: dict[bytes, tuple[Item, bool, str, Item]]
    ) -> Item:
        known = made.get(item.path)
        if known is None or known[0] is not item or known[1] != enabled or known[2] != trigger:
            changed = replace(item, enabled=enabled, trigger=trigger)
            known = (item, enabled, trigger, item if changed == item else changed)
        self._made[item.path] = known
        return known[3]


KINDS: Final = (Systemd, SystemdHooks)


def parse_unit_file(file: File) -> Unit:
    """A unit file. The item's kind is systemd_service, systemd_timer, systemd_socket or systemd_path."""
    assignments, rejected = unit_file.parse_unit(file.data)
    file.reject(rejected)
    unit = text_of(file.path.rpartition(b"/")[2])
    user = unit_file.user_of(assignments) or _default_user(file)
    item = file.item(
        f"systemd_{unit.rpartition('.')[2]}",
        command=unit_file.command_of(assignments, unit),
        user=user,
        trigger=unit_file.trigger_of(assignments, unit),
    )
    return Unit(
        item, unit_file.has_install(assignments), unit_file.activates(assignments, unit), not file.data
    )


def parse_dropin(file: File) -> Item:
    """A drop-in. All that it sets is its command: also a variable in the environment can start something."""
    assignments, rejected = unit_file.parse_unit(file.data)
    file.reject(rejected)
    owner = text_of(file.path.split(b"/")[-2].removesuffix(b".d"))
    return file.item(
        DROPIN,
        command="; ".join(f"{each.key}={each.value}" for each in assignments),
        user=unit_file.user_of(assignments) or _default_user(file),
        trigger=owner,
    )


def unit_template(unit: str) -> str:
    """The file that an instance's settings stand in."""
    return unit_file.template_of(unit)


def _default_user(file: File) -> str:
    if file.user or (file.place is not None and file.place.uid is not None):
        return file.user
    return EVERY_USER if b"/user/" in file.path else "root"


def _reasons(scope: _Scope, name: str) -> list[str]:
    """What pulls a unit in, or an instance of a template, which is then named."""
    found = list(scope.reasons.get(name, ()))
    if "@." in name:
        for unit, reasons in scope.reasons.items():
            if unit != name and unit_file.template_of(unit) == name:
                found += [f"{reason} ({unit})" for reason in reasons]
    return found


def _of_whom(reason: str, directory: UnitDirectory) -> str:
    return reason if directory.home is None else f"{reason} of {directory.home.user or directory.home.uid}"


def _place(path: bytes, directory: UnitDirectory) -> Place | None:
    home = directory.home
    return None if home is None else Place(path, uid=home.uid, user=home.user)


def _stem(name: bytes) -> bytes:
    return name.rpartition(b".")[0]


def _template(name: bytes) -> bytes:
    return unit_file.template_of(name.decode("latin-1")).encode("latin-1")


def _normal(path: bytes) -> bytes:
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)
