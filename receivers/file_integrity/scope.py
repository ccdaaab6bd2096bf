"""What is watched: the roots that the configuration's paths stand for, and the filter below them."""

from __future__ import annotations

import bisect
import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.receivers.file_integrity.globs import PatternSet

_PSEUDO_FILE_SYSTEMS: Final = frozenset(
    b"autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue "
    b"nsfs proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs".split()
)
_WILD: Final = re.compile(r"[*?\[]")
_OCTAL_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


def expand_paths(paths: Sequence[str]) -> list[bytes]:
    """Absolute, normalised paths in the given order: `~` expanded, patterns matched against the disk.

    In a pattern the part behind the last wildcard need not exist: `/home/*/.ssh` gives one path for each home.
    A path that is a symbolic link stands for the link and for what it points to. Paths that lead through
    symbolic links are given as the kernel names them, so that every file has one path.
    """
    found: dict[bytes, None] = {}
    for text in paths:
        path = os.path.abspath(os.path.expanduser(text))
        for match in _matches(path) if _WILD.search(path) else [path]:
            encoded = os.fsencode(match)
            parent, name = os.path.split(encoded)
            link = os.path.join(os.path.realpath(parent), name)
            found.setdefault(link)
            if os.path.islink(link):
                found.setdefault(os.path.realpath(link))
    return list(found)


def _matches(path: str) -> list[str]:
    components = path.split("/")
    last_wild = max(index for index, component in enumerate(components) if _WILD.search(component))
    head, tail = "/".join(components[: last_wild + 1]), components[last_wild + 1 :]
    if not tail:
        return sorted(glob.glob(head))
    return [os.path.join(match, *tail) for match in sorted(glob.glob(head + "/"))]


def pseudo_mounts() -> list[bytes]:
    """Mount points of file systems that are views of the kernel, not files (from /proc/self/mountinfo)."""
    try:
        with open("/proc/self/mountinfo", "rb") as source:
            lines = source.read().splitlines()
    except OSError:
        return []
    result = []
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields, kind = before.split(b" "), after.split(b" ", 1)[0]
        if len(fields) > 4 and kind in _PSEUDO_FILE_SYSTEMS:
            result.append(_OCTAL_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields[4]))
    return result


@dataclass(slots=True, frozen=True)
class Rules:
    """The part of the configuration that decides about a path; comparable, so that a change is noticed."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    include_hidden: bool
    hidden_names: tuple[str, ...]
    recursive: bool

    @classmethod
    def of(cls, config: FileIntegrityConfig) -> Rules:
        return cls(
            tuple(config.include),
            tuple(config.exclude),
            config.include_hidden,
            tuple(config.hidden_names),
            config.recursive,
        )


class Scope:
    """Implements `backend.Filter`: a root itself is always watched; below it every component must pass.

    `forbidden` are directories that are never looked at, whatever the rules say: the agent's own, so that its
    writing is not reported to itself, and pseudo file systems. Safe to use from any thread: nothing changes.
    """

    def __init__(self, roots: Iterable[bytes], rules: Rules, forbidden: Iterable[bytes] = ()) -> None:
        self.rules = rules
        self._include = PatternSet.compile(rules.include)
        self._exclude = PatternSet.compile(rules.exclude)
        self._hidden = PatternSet.compile(rules.hidden_names)
        given = list(dict.fromkeys(roots))
        own = set(forbidden) - {b"/"}
        self._forbidden = frozenset(own)
        # Sorted, an ancestor stands before what lies below it.
        self._sorted: list[bytes] = []
        self._root_set: frozenset[bytes] = frozenset()
        for root in sorted(given, key=len):
            if self._is_forbidden(root):
                continue
            if not self._covers(root):
                bisect.insort(self._sorted, root)
                self._root_set = frozenset(self._sorted)
        self.roots: list[bytes] = [root for root in given if root in self._root_set]
        """The roots that are left when those that lie within the scope of another are taken out."""

    def _covers(self, path: bytes) -> bool:
        """Whether `path` and all below it is looked at without being a root."""
        return self.wants_entry(path) and self.descends(path)

    def _is_forbidden(self, path: bytes) -> bool:
        forbidden = self._forbidden
        if not forbidden:
            return False
        if path in forbidden:
            return True
        end = path.rfind(b"/")
        while end > 0:
            if path[:end] in forbidden:
                return True
            end = path.rfind(b"/", 0, end)
        return False

    def is_root(self, path: bytes) -> bool:
        return path in self._root_set

    def roots_above(self, path: bytes) -> list[bytes]:
        """The roots that `path` lies strictly below, the nearest first."""
        roots = self._root_set
        found = []
        end = path.rfind(b"/")
        while end > 0:
            if path[:end] in roots:
                found.append(path[:end])
            end = path.rfind(b"/", 0, end)
        if b"/" in roots and path != b"/":
            found.append(b"/")
        return found

    def roots_below(self, path: bytes) -> list[bytes]:
        """The roots that are `path` or lie below it."""
        prefix = path if path == b"/" else path + b"/"
        return [root for root in self._sorted if root == path or root.startswith(prefix)]

    def wants(self, path: bytes, *, directory: bool) -> bool:
        if path in self._root_set:
            return True
        return self.wants_entry(path) and (not self._include or self._included(path, directory))

    def wants_entry(self, path: bytes) -> bool:
        """`wants`, `include` aside."""
        if self._is_forbidden(path):
            return False
        return any(self._passes(root, path) for root in self.roots_above(path))

    def descends(self, path: bytes) -> bool:
        if self._is_forbidden(path):
            return False
        if path in self._root_set:
            return True
        if not self.rules.recursive:
            return False
        return any(self._passes(root, path) for root in self.roots_above(path))

    def _included(self, path: bytes, directory: bool) -> bool:  # noqa: ARG002 - the same rule for both kinds
        return self._include.matches(path, path[path.rfind(b"/") + 1 :])

    def _passes(self, root: bytes, path: bytes) -> bool:
        start = len(root) if root != b"/" else 0
        if not self.rules.recursive and path.find(b"/", start + 1) >= 0:
            return False
        while start >= 0:
            end = path.find(b"/", start + 1)
            name = path[start + 1 :] if end < 0 else path[start + 1 : end]
            if self._name_is_out(name):
                return False
            if self._exclude.path_expression is not None and self._exclude.matches_path(
                path if end < 0 else path[:end]
            ):
                return False
            start = end
        return True

    def _name_is_out(self, name: bytes) -> bool:
        if name.startswith(b".") and not self.rules.include_hidden and not self._hidden.matches_name(name):
            return True
        return self._exclude.matches_name(name)

    # What follows is for a walk that is already inside a directory which `descends` let through: only the last
    # component is left to judge.

    def child_passes(self, path: bytes, name: bytes) -> bool:
        """Whether the entry `name`, whose full path is `path`, passes the rules (`include` aside)."""
        if name.startswith(b".") and not self.rules.include_hidden and not self._hidden.matches_name(name):
            return path in self._root_set
        exclude = self._exclude
        if name in exclude.names or path in self._forbidden:
            return path in self._root_set and path not in self._forbidden
        if exclude.name_expression is not None and exclude.name_expression.fullmatch(name) is not None:
            return path in self._root_set
        if exclude.path_expression is not None and exclude.path_expression.fullmatch(path) is not None:
            return path in self._root_set
        return True

    def child_wanted(self, path: bytes, name: bytes) -> bool:
        """Whether an entry that passes is to be reported: `include`, for files and directories alike."""
        return not self._include or self._include.matches(path, name) or path in self._root_set

    def child_descends(self, path: bytes) -> bool:
        """Whether to go into a directory that passes."""
        return self.rules.recursive or path in self._root_set
