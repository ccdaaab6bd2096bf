"""Who may come in through sshd without a password, and what it runs for them.

Formats: sshd_config(5), authorized_keys: sshd(8) AUTHORIZED_KEYS FILE FORMAT and SSHRC.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, one_space
from otel_fim.receivers.persistence.formats.includes import expand
from otel_fim.receivers.persistence.formats.lines import plain
from otel_fim.receivers.persistence.formats.sshd import directives, parse_key
from otel_fim.receivers.persistence.hosts import Home, Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_CONFIG: Final = b"/etc/ssh/sshd_config"
_CONFIG_DIRECTORY: Final = b"/etc/ssh/sshd_config.d"
_DEFAULT_FILES: Final = (b".ssh/authorized_keys", b".ssh/authorized_keys2")
_IN_HOME: Final = {b"rc": "ssh_rc", b"environment": "ssh_environment"}
_MOST_CONFIGS: Final = 256
# Keywords that have sshd run a program, and the one that names the program's user.
_COMMANDS: Final = {
    b"authorizedkeyscommand": b"authorizedkeyscommanduser",
    b"authorizedprincipalscommand": b"authorizedprincipalscommanduser",
    b"forcecommand": b"",
    b"subsystem": b"",
}
_FILES: Final = frozenset((b"authorizedkeysfile", b"trustedusercakeys", b"authorizedprincipalsfile"))


def parse_config(file: File) -> tuple[Item, ...]:
    """An item for each line that names keys or has sshd run something."""
    entries = Entries(file)
    found = list(directives(file.data))
    users = {(criteria, keyword): arguments for criteria, keyword, arguments, _ in reversed(found)}
    for criteria, keyword, arguments, line in found:
        if not arguments or (keyword not in _COMMANDS and keyword not in _FILES):
            continue
        key = text_of(keyword) + (f" {one_space(arguments[0])}" if keyword == b"subsystem" else "")
        command = user = ""
        if keyword in _COMMANDS:
            command = text_of(b" ".join(arguments[1:] if keyword == b"subsystem" else arguments))
            user = text_of(b" ".join(users.get((criteria, _COMMANDS[keyword]), ())[:1]))
        entries.add(
            "sshd_config",
            f"{key} for {text_of(criteria)}" if criteria else key,
            criteria + b"\n" + line,
            command="" if command.lower() in ("none", "internal-sftp") else command,
            user=user,
            trigger=f"ssh login ({text_of(line.split(None, 1)[0]) if command else one_space(line)}"
            f"{' for ' + text_of(criteria) if criteria else ''})",
        )
    return entries.done()


def parse_keys(file: File) -> tuple[Item, ...]:
    """An item for each key; a line that is no key is counted as rejected."""
    entries = Entries(file)
    for line in plain(file.data):
        key = parse_key(line)
        if key is None:
            file.reject()
            continue
        words = [f"ssh login with {text_of(key.type)}"]
        for name, value in key.options:
            if name == b"command":
                continue
            if name == b"environment" and value is not None:
                # The value may be a password; that it changed shows in the hash.
                value = value.partition(b"=")[0]
            words.append(text_of(name) if value is None else f"{text_of(name)}={text_of(value)}")
        if key.comment:
            words.append(f"comment {text_of(key.comment)}")
        entries.add(
            "authorized_key",
            key.fingerprint,
            line,
            command=text_of(key.option(b"command") or b""),
            user=file.user,
            trigger="; ".join(words),
        )
    return entries.done()


def parse_whole(file: File) -> tuple[Item, ...]:
    kind = "ssh_environment" if file.path.endswith(b"/environment") else "ssh_rc"
    return (file.item(kind, user=file.user, trigger="ssh login"),)


def _expanded(pattern: bytes, home: Home) -> bytes | None:
    """A pattern of AuthorizedKeysFile for one user; None when it has a token that is not known."""
    out: list[bytes] = []
    parts = iter(pattern.split(b"%"))
    out.append(next(parts))
    for part in parts:
        if not part:
            # Two percent signs: the next part is plain text.
            out.append(b"%" + next(parts, b""))
            continue
        token, rest = part[:1], part[1:]
        value = {
            b"h": home.path,
            b"u": home.user.encode("utf-8", "surrogateescape"),
            b"U": b"%d" % home.uid,
        }.get(token)
        if value is None:
            return None
        out += [value, rest]
    path = b"".join(out)
    return b"/" + posixpath.normpath(path if path.startswith(b"/") else home.path + b"/" + path).lstrip(b"/")


class SshAccess(FileKind):
    name = "authorized_keys"

    def __init__(self) -> None:
        self._reader: Reader | None = None
        self._unused: frozenset[bytes] = frozenset()
        self._configs: frozenset[bytes] = frozenset()

    def places(self, host: Host) -> Sequence[Place]:
        reader = self._reader = self._reader or Reader(host.root)
        configs, patterns, authorities = self._configuration(reader)
        places = [Place(_CONFIG), Place(_CONFIG_DIRECTORY, b"*.conf"), Place(b"/etc/ssh/sshrc")]
        places += [Place(path) for path in configs]
        places += [Place(path, user="any") for path in authorities]
        unused: set[bytes] = set()
        for home in host.homes():
            used = {path for pattern in patterns if (path := _expanded(pattern, home)) is not None}
            defaults = {home.path.rstrip(b"/") + b"/" + name for name in _DEFAULT_FILES}
            unused |= defaults - used
            for path in sorted(used | defaults):
                inside = path.startswith(home.path.rstrip(b"/") + b"/")
                places.append(Place(path, uid=home.uid if inside else None, user=home.user))
            places += [
                Place(home.path.rstrip(b"/") + b"/.ssh/" + name, uid=home.uid, user=home.user)
                for name in sorted(_IN_HOME)
            ]
        self._unused = frozenset(unused)
        self._configs = frozenset(configs)
        reader.problems.clear()
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        directory, _, name = path.rpartition(b"/")
        if path in self._configs or directory == _CONFIG_DIRECTORY:
            return reader.parsed(path, parse_config, place) or ()
        if path == b"/etc/ssh/sshrc" or (name in _IN_HOME and directory.endswith(b"/.ssh")):
            return reader.parsed(path, parse_whole, place) or ()
        found = reader.parsed(path, parse_keys, place) or ()
        if path in self._unused:
            # sshd is told to look elsewhere.
            return [dataclasses.replace(item, enabled=False) for item in found]
        return found

    def _configuration(self, reader: Reader) -> tuple[set[bytes], list[bytes], set[bytes]]:
        """Configuration files, patterns for files of keys, and files of certificate authorities."""
        patterns: list[bytes] = []
        authorities: set[bytes] = set()
        seen: set[bytes] = set()
        has_global = False
        for criteria, keyword, arguments in self._all_directives(_CONFIG, reader, seen):
            if keyword == b"authorizedkeysfile":
                # Outside of Match blocks the first one counts; which blocks match is not known beforehand.
                if criteria or not has_global:
                    patterns += [argument for argument in arguments if argument.lower() != b"none"]
                has_global = has_global or not criteria
            elif keyword == b"trustedusercakeys" and arguments and arguments[0].startswith(b"/"):
                authorities.add(posixpath.normpath(arguments[0]))
        if not has_global:
            patterns += _DEFAULT_FILES
        return seen, patterns, authorities

    def _all_directives(
        self, path: bytes, reader: Reader, seen: set[bytes]
    ) -> Iterator[tuple[bytes, bytes, list[bytes]]]:
        if path in seen or len(seen) >= _MOST_CONFIGS:
            return
        seen.add(path)
        for criteria, keyword, arguments, _ in reader.parsed(path, _directives_of) or ():
            if keyword != b"include":
                yield criteria, keyword, arguments
                continue
            for pattern in arguments:
                absolute = pattern if pattern.startswith(b"/") else b"/etc/ssh/" + pattern
                for included in expand(absolute, reader):
                    for inner, name, values in self._all_directives(included, reader, seen):
                        yield inner or criteria, name, values


def _directives_of(file: File) -> tuple[tuple[bytes, bytes, list[bytes], bytes], ...]:
    return tuple(directives(file.data))


KINDS: Final[tuple[type[Kind], ...]] = (SshAccess,)
