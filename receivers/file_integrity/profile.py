"""The default profile: which paths a host's security rests on, for root and for an ordinary user.

The lists are data that `print-config` shows. Paths that do not exist on a host are left out of `default_paths`
when nothing could sensibly be watched for in their place; everything else is watched for until it appears.
"""

from __future__ import annotations

import glob
import os
import pwd
from typing import Final

_SYSTEM: Final = (
    # Accounts, authentication, services, cron, network, the dynamic linker, package sources: all of it.
    "/etc",
    # What runs before the system does.
    "/boot",
    # Programs that everybody runs. On a merged-/usr system the short names are links to the long ones.
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    # Units, generators and sleep hooks that systemd runs.
    "/usr/lib/systemd",
    "/lib/systemd",
    "/usr/local/lib/systemd",
    # Authentication modules.
    "/usr/lib/*-linux-*/security",
    "/usr/lib/security",
    "/usr/lib64/security",
    # What the kernel loads, and the rules by which it does.
    "/usr/lib/modules",
    "/usr/lib/modprobe.d",
    "/usr/lib/udev/rules.d",
    "/usr/lib/sysctl.d",
    # What may be done without a password.
    "/usr/share/polkit-1",
    # Jobs of users.
    "/var/spool/cron",
    "/var/spool/at",
)

# What a login shell, a desktop session or sshd reads in a home directory. It is watched for even where it
# does not exist yet: that it appears is the news.
_HOME_FILES: Final = (
    ".ssh",
    ".bashrc",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".rhosts",
    ".shosts",
    ".forward",
    ".pam_environment",
    ".xprofile",
    ".xsession",
    ".netrc",
    ".config/autostart",
    ".config/systemd",
    ".config/fish",
    ".config/environment.d",
    ".local/bin",
    ".local/share/systemd",
)

_ACCOUNT_FILES: Final = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")

# Below a home that is watched as a whole these lie in hidden directories that are otherwise skipped.
_HOME_HIDDEN_DIRECTORIES: Final = tuple(name for name in _HOME_FILES if "/" in name)


def home_directory() -> str:
    """The home of the user that runs the agent: HOME, else the password database, else `/`."""
    home = os.environ.get("HOME", "")
    if os.path.isabs(home):
        return os.path.normpath(home)
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def default_paths() -> list[str]:
    """Paths to watch for the user that runs the agent, most important first (they are scanned in this order)."""
    home = home_directory()
    own = [] if home == "/" else [home, *(f"{home}/{name}" for name in _HOME_HIDDEN_DIRECTORIES)]
    if os.geteuid() == 0:
        # Every home's start-up files, but not what people keep there.
        homes = [f"/home/*/{name}" for name in _HOME_FILES] if glob.glob("/home/*/") else []
        return [*_existing(_SYSTEM), *own, *homes]
    return ["/etc", *own, *_existing(("/usr/local/bin", "/usr/local/sbin"))]


def default_excludes() -> list[str]:
    """Patterns of what changes all the time and means nothing, or is as large as it is uninteresting."""
    home = home_directory()
    excludes = [
        # Compiled Python: made from the sources, which are watched.
        "__pycache__",
        "*.pyc",
        # Recovered by fsck, not made by anyone.
        "lost+found",
        # The clock's drift, written at shutdown.
        "/etc/adjtime",
        # Locks and caches of tools, rewritten at every run.
        "/etc/lvm/archive",
        "/etc/lvm/backup",
        "/etc/lvm/cache",
        "/etc/cups/subscriptions.conf*",
        # Locks of useradd and its kin: empty, gone after a moment, and four for each account that is touched.
        *(f"/etc/{name}.{end}" for name in _ACCOUNT_FILES for end in ("lock", "[0-9]*")),
        # Third-party code in development trees.
        "node_modules",
    ]
    if home != "/":
        excludes += [
            # Virtual environments, packages and application data in the home directory.
            f"{home}/**/site-packages",
            f"{home}/**/venv",
            f"{home}/go/pkg",
            f"{home}/snap",
            f"{home}/miniconda3",
            f"{home}/anaconda3",
        ]
    return excludes


def default_hidden_names() -> list[str]:
    """Names of hidden files and directories that matter to security."""
    return [
        # Keys and who may log in.
        ".ssh",
        ".rhosts",
        ".shosts",
        ".k5login",
        ".gnupg",
        ".pki",
        # What shells read.
        ".bashrc",
        ".bash_profile",
        ".bash_login",
        ".bash_logout",
        ".bash_aliases",
        ".profile",
        ".zshrc",
        ".zshenv",
        ".zprofile",
        ".zlogin",
        ".zlogout",
        ".cshrc",
        ".tcshrc",
        ".login",
        ".kshrc",
        ".inputrc",
        # What a session reads.
        ".pam_environment",
        ".xinitrc",
        ".xprofile",
        ".xsession",
        ".xsessionrc",
        ".xserverrc",
        ".forward",
        # Configuration that can run commands or holds credentials.
        ".vimrc",
        ".emacs",
        ".tmux.conf",
        ".screenrc",
        ".gdbinit",
        ".gitconfig",
        ".git-credentials",
        ".netrc",
        ".pgpass",
        ".my.cnf",
        ".npmrc",
        ".pypirc",
        ".pythonrc",
        ".aws",
        ".azure",
        ".kube",
        ".docker",
        # Web server access rules.
        ".htaccess",
        ".htpasswd",
        # Kubernetes' mounted secrets and config maps switch through this link.
        "..data",
    ]


def _existing(paths: tuple[str, ...]) -> list[str]:
    """Those that exist (patterns: that match something) and are not just a link to another one of them."""
    result = []
    for path in paths:
        if "*" in path:
            if glob.glob(path):
                result.append(path)
        elif os.path.isdir(path) and not (os.path.realpath(path) != path and _covered(path, paths)):
            result.append(path)
    return result


def _covered(path: str, paths: tuple[str, ...]) -> bool:
    real = os.path.realpath(path)
    return any(real == other or real.startswith(other + "/") for other in paths if other != path)
