"""`Host`: the root that is watched and the home directories in it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_MOST_HOMES: Final = 20_000


@dataclass(slots=True, frozen=True)
class Home:
    """A home directory as seen inside the root; `user` is empty when nobody is called that number."""

    user: str
    uid: int
    path: bytes


class Host:
    """What the kinds may know about the host. `root` is the watched root (`/`, or the root of a container)."""

    def __init__(self, root: bytes = b"/") -> None:
        self.root = os.path.abspath(root)
        self._homes: tuple[Home, ...] | None = None

    @property
    def is_own(self) -> bool:
        """Whether this is the running system itself, so that /proc and the like tell of it."""
        return self.root == b"/"

    def real(self, path: bytes) -> bytes:
        """A path inside the root as it is outside."""
        return path if self.root == b"/" else self.root + path

    def inside(self, path: bytes) -> bytes | None:
        """A path outside as it is inside the root; None for one that is not below it."""
        if self.root == b"/":
            return path
        return path[len(self.root) :] if path.startswith(self.root + b"/") else None

    def homes(self) -> tuple[Home, ...]:
        """The existing home directories of all users: those in the user database, `/root` and `/home/*`, each
        directory once (the first user's who has it)."""
        if self._homes is None:
            self._homes = tuple(self._find_homes())
        return self._homes

    def user_name(self, uid: int) -> str:
        """The user's name, empty when there is none."""
        for user, number, _ in self._users():
            if number == uid:
                return user
        return ""

    def user_names(self) -> frozenset[str]:
        """The names of all users."""
        return frozenset(user for user, _, _ in self._users())

    def refresh(self) -> None:
        """Has the home directories looked up again, at the start of a scan."""
        self._homes = None
        self._known_users: tuple[tuple[str, int, bytes], ...] | None = None

    _known_users: tuple[tuple[str, int, bytes], ...] | None = None

    def _users(self) -> tuple[tuple[str, int, bytes], ...]:
        if self._known_users is None:
            if self.is_own:
                entries = pwd.getpwall()
                self._known_users = tuple((e.pw_name, e.pw_uid, os.fsencode(e.pw_dir)) for e in entries)
            else:
                self._known_users = tuple(parse_passwd(self._read_passwd()))
        return self._known_users

    def _read_passwd(self) -> bytes:
        try:
            descriptor = os.open(self.real(b"/etc/passwd"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
        with open(descriptor, "rb") as file:
            try:
                return file.read(1 << 24)
            except OSError:
                return b""

    def _find_homes(self) -> Iterable[Home]:
        seen: set[bytes] = set()
        for user, uid, path in self._users():
            home = os.path.normpath(path) if path.startswith(b"/") else b""
            if home and home not in seen and len(seen) < _MOST_HOMES and os.path.isdir(self.real(home)):
                seen.add(home)
                yield Home(user, uid, home)
        names = {uid: user for user, uid, _ in reversed(self._users())}
        try:
            found = sorted(os.listdir(self.real(b"/home")))
        except OSError:
            found = []
        for home in (b"/root", *(b"/home/" + name for name in found)):
            if home in seen or len(seen) >= _MOST_HOMES:
                continue
            try:
                uid = os.stat(self.real(home)).st_uid
            except OSError:
                continue
            if os.path.isdir(self.real(home)):
                seen.add(home)
                yield Home(names.get(uid, ""), uid, home)


def parse_passwd(content: bytes) -> list[tuple[str, int, bytes]]:
    """Name, uid and home of every well-formed line of a passwd(5) file."""
    found = []
    for line in content.split(b"\n"):
        fields = line.split(b":")
        if len(fields) == 7 and fields[0] and fields[2].isdigit() and len(fields[2]) < 11:
            found.append((fields[0].decode("utf-8", "backslashreplace"), int(fields[2]), fields[5]))
    return found
