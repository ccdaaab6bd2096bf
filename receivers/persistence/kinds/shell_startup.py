"""What shells and graphical sessions read when they start: a file is an item.

Places: bash(1) INVOCATION, zsh(1) STARTUP/SHUTDOWN FILES, fish(1), ksh(1), tcsh(1), pam_env(8), xsession(5).
The kind `systemd_hooks` has environment.d.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader

_LOGIN: Final = "login shell"
_INTERACTIVE: Final = "interactive shell"
_EVERY: Final = "every shell"
_LOGOUT: Final = "logout"
_SESSION: Final = "graphical session"
_ENVIRONMENT: Final = "every login (environment)"

_SYSTEM_FILES: Final = {
    b"/etc/profile": _LOGIN,
    b"/etc/bash.bashrc": _INTERACTIVE,
    b"/etc/bashrc": _INTERACTIVE,
    b"/etc/bash.bash_logout": _LOGOUT,
    b"/etc/zshenv": _EVERY,
    b"/etc/zprofile": _LOGIN,
    b"/etc/zshrc": _INTERACTIVE,
    b"/etc/zlogin": _LOGIN,
    b"/etc/zlogout": _LOGOUT,
    b"/etc/ksh.kshrc": _INTERACTIVE,
    b"/etc/suid_profile": _EVERY,
    b"/etc/csh.cshrc": _EVERY,
    b"/etc/csh.login": _LOGIN,
    b"/etc/csh.logout": _LOGOUT,
    b"/etc/fish/config.fish": _EVERY,
    b"/etc/environment": _ENVIRONMENT,
    b"/etc/security/pam_env.conf": _ENVIRONMENT,
}
_SYSTEM_DIRECTORIES: Final = {
    b"/etc/profile.d": _LOGIN,
    b"/etc/bashrc.d": _INTERACTIVE,
    b"/etc/zsh": "zsh",
    b"/etc/fish/conf.d": _EVERY,
    b"/usr/share/fish/vendor_conf.d": _EVERY,
}
_HOME_FILES: Final = {
    b".profile": _LOGIN,
    b".bash_profile": _LOGIN,
    b".bash_login": _LOGIN,
    b".bashrc": _INTERACTIVE,
    b".bash_aliases": _INTERACTIVE,
    b".bash_logout": _LOGOUT,
    b".zshenv": _EVERY,
    b".zprofile": _LOGIN,
    b".zshrc": _INTERACTIVE,
    b".zlogin": _LOGIN,
    b".zlogout": _LOGOUT,
    b".kshrc": _INTERACTIVE,
    b".mkshrc": _INTERACTIVE,
    b".shrc": _INTERACTIVE,
    b".cshrc": _EVERY,
    b".tcshrc": _EVERY,
    b".login": _LOGIN,
    b".logout": _LOGOUT,
    b".config/fish/config.fish": _EVERY,
    b".xprofile": _SESSION,
    b".xsession": _SESSION,
    b".Xsession": _SESSION,
    b".xsessionrc": _SESSION,
    b".xinitrc": _SESSION,
    b".xserverrc": _SESSION,
    b".pam_environment": _ENVIRONMENT,
}
_HOME_DIRECTORIES: Final = {
    b".config/fish/conf.d": _EVERY,
    b".bashrc.d": _INTERACTIVE,
    b".zshrc.d": _INTERACTIVE,
}
_BY_NAME: Final = {name.rpartition(b"/")[2]: when for name, when in {**_SYSTEM_FILES, **_HOME_FILES}.items()}
_BY_DIRECTORY: Final = {
    path.rpartition(b"/")[2]: when for path, when in {**_SYSTEM_DIRECTORIES, **_HOME_DIRECTORIES}.items()
}


def trigger_of(path: bytes) -> str:
    """When the file is read, by its name or that of its directory."""
    directory, _, name = path.rpartition(b"/")
    return (
        _BY_NAME.get(name)
        or _BY_NAME.get(b"." + name)
        or _BY_DIRECTORY.get(directory.rpartition(b"/")[2], "")
    )


def parse(file: File) -> tuple[Item, ...]:
    """The file as it is."""
    return (file.item("shell_startup", user=file.user, trigger=trigger_of(file.path)),)


class ShellStartup(FileKind):
    name = "shell_startup"

    def places(self, host: Host) -> Sequence[Place]:
        places = [Place(path) for path in _SYSTEM_FILES]
        places += [Place(path, b"*") for path in _SYSTEM_DIRECTORIES]
        for home in host.homes():
            for name in _HOME_FILES:
                places.append(Place(home.path.rstrip(b"/") + b"/" + name, uid=home.uid, user=home.user))
            for name in _HOME_DIRECTORIES:
                places.append(Place(home.path.rstrip(b"/") + b"/" + name, b"*", uid=home.uid, user=home.user))
        return places

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (ShellStartup,)
