"""Programs that git runs in every repository of a user or of the host: git-config(1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries
from otel_fim.receivers.persistence.formats.gitconfig import settings
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_SETTINGS: Final = frozenset(
    b"core." + name
    for name in (b"hookspath", b"fsmonitor", b"sshcommand", b"pager", b"editor", b"askpass", b"gitproxy")
) | {
    b"sequence.editor",
    b"diff.external",
    b"gpg.program",
    b"init.templatedir",
    b"include.path",
    b"credential.helper",
}
# Section and last part of settings with a name in between (`filter.NAME.clean`), and of some without.
_BY_KEY: Final = {
    b"includeif": (b"path",),
    b"credential": (b"helper",),
    b"filter": (b"clean", b"smudge", b"process"),
    b"diff": (b"command", b"textconv"),
    b"merge": (b"driver",),
    b"mergetool": (b"cmd", b"path"),
    b"difftool": (b"cmd", b"path"),
    b"gpg": (b"program",),
    b"browser": (b"cmd", b"path"),
    b"man": (b"cmd", b"path"),
    b"hook": (b"command",),
    b"uploadpack": (b"packobjectshook",),
    b"interactive": (b"difffilter",),
    b"trailer": (b"command", b"cmd"),
    b"remote": (b"uploadpack", b"receivepack", b"vcs"),
}
_TEMPLATES: Final = (b"/usr/share/git-core/templates/hooks",)


def runs(name: bytes, value: bytes) -> bool:
    """Whether git runs (or reads further settings from) what this setting names."""
    if name in _SETTINGS:
        return True
    section, _, rest = name.partition(b".")
    if section == b"alias":
        return value.startswith(b"!")
    if section == b"pager":
        return value not in (b"true", b"false")
    return rest.rpartition(b".")[2] in _BY_KEY.get(section, ())


def parse(file: File) -> tuple[Item, ...]:
    """An item for each setting that names a program."""
    entries = Entries(file)
    for name, value in settings(file.data):
        if value and runs(name, value):
            entries.add(
                "git_hook",
                text_of(name),
                name + b"=" + value,
                command=text_of(value.removeprefix(b"!")),
                user=file.user,
                trigger=f"git ({text_of(name)})",
            )
    return entries.done()


class GitHooks(FileKind):
    name = "git_hooks"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(b"/etc/gitconfig"), *(Place(path, b"*") for path in _TEMPLATES)]
        for home in host.homes():
            for name in (b"/.gitconfig", b"/.config/git/config"):
                places.append(Place(home.path.rstrip(b"/") + name, uid=home.uid, user=home.user))
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place.names is not None:
            # New repositories get copies of these; those called `….sample` are not run.
            is_sample = path.endswith(b".sample")
            item = (
                None
                if is_sample
                else whole_file("git_hook", path, reader, trigger="git init", must_be_executable=True)
            )
            return () if item is None else (item,)
        return reader.parsed(path, parse, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (GitHooks,)
