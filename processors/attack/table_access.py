"""Paths whose change gives access, keeps it, or raises it: accounts, log-on, start-up, code that is run."""

from __future__ import annotations

from typing import Final

from otel_fim.processors.attack.change import Change, Effect
from otel_fim.processors.attack.mapping import HIGH, LOW, MEDIUM, Mapping, mapping

_SCRIPTS: Final = (
    ".php", ".php3", ".php4", ".php5", ".php7", ".phps", ".phtml", ".phar", ".jsp", ".jspx", ".war", ".asp", ".aspx",
    ".ashx", ".cfm", ".cgi", ".pl", ".shtml",
)  # fmt: skip
_UNIT_DIRECTORIES: Final = (
    "/etc/systemd/system/", "/etc/systemd/user/", "/usr/lib/systemd/system/", "/usr/lib/systemd/user/",
    "/lib/systemd/system/", "/usr/local/lib/systemd/system/", "/run/systemd/system/",
    "**/.config/systemd/user/", "**/.local/share/systemd/user/",
)  # fmt: skip
_UNIT_SUFFIXES: Final = (".service", ".socket", ".path", ".target", ".mount", ".automount")
_WEB_ROOTS: Final = (
    "/var/www/", "/srv/www/", "/srv/http/", "/usr/share/nginx/html/", "/usr/share/caddy/", "**/htdocs/",
    "**/public_html/", "**/webapps/",
)  # fmt: skip


def _is_unit(change: Change) -> bool:
    return change.name.endswith(_UNIT_SUFFIXES)


def _is_timer_drop_in(change: Change) -> bool:
    return ".timer.d/" in change.path


def _is_unit_drop_in(change: Change) -> bool:
    return any(f"{suffix}.d/" in change.path for suffix in _UNIT_SUFFIXES)


def _is_script(change: Change) -> bool:
    return change.name.lower().endswith(_SCRIPTS)


def _is_hook(change: Change) -> bool:
    return not change.name.endswith(".sample")


def _is_module(change: Change) -> bool:
    return change.name.endswith((".ko", ".ko.xz", ".ko.zst", ".ko.gz"))


def _in_place(change: Change) -> bool:
    return change.is_regular and not change.is_replaced


def _is_library(change: Change) -> bool:
    return change.is_regular and (change.name.endswith(".so") or ".so." in change.name)


_ACCOUNT: Final[tuple[tuple[Mapping, tuple[str, ...]], ...]] = (
    (mapping("T1136.001", MEDIUM, "it lists the local accounts"), ("/etc/passwd",)),
    (mapping("T1098", MEDIUM, "it holds the passwords of the local accounts"), ("/etc/shadow",)),
    (mapping("T1098.007", MEDIUM, "it lists the members of the local groups"), ("/etc/group", "/etc/gshadow")),
    (mapping("T1548.003", HIGH, "it says who may run what as root"), ("/etc/sudoers", "/etc/sudoers.d/")),
    (
        mapping("T1548", MEDIUM, "it says who may act with other rights"),
        ("/etc/doas.conf", "/etc/polkit-1/", "/usr/share/polkit-1/rules.d/", "/usr/share/polkit-1/actions/"),
    ),
    (
        mapping("T1098.004", HIGH, "its keys may log in"),
        ("**/.ssh/authorized_keys", "**/.ssh/authorized_keys2", "/etc/ssh/authorized_keys",
         "/etc/ssh/authorized_keys/", "/etc/ssh/authorized_keys.d/"),
    ),
    (
        mapping("T1098.004", LOW, "it says which keys may log in"),
        ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/"),
    ),
    (
        mapping("T1556.003", HIGH, "PAM decides with it who may log in"),
        ("/etc/pam.conf", "/etc/pam.d/", "/usr/lib/pam.d/", "**/security/pam_*.so", "/etc/security/*.conf"),
    ),
    (mapping("T1556", LOW, "it says where accounts are looked up"), ("/etc/nsswitch.conf",)),
)  # fmt: skip

_START: Final[tuple[tuple[Mapping, tuple[str, ...]], ...]] = (
    (
        mapping("T1053.003", HIGH, "cron runs what it says"),
        ("/etc/crontab", "/etc/anacrontab", "/etc/cron.d/", "/etc/cron.hourly/", "/etc/cron.daily/",
         "/etc/cron.weekly/", "/etc/cron.monthly/", "/var/spool/cron/"),
    ),
    (mapping("T1053.003", LOW, "it says who may use cron"), ("/etc/cron.allow", "/etc/cron.deny")),
    (mapping("T1053.002", HIGH, "at runs it"), ("/var/spool/at/", "/var/spool/cron/atjobs/")),
    (
        mapping("T1053.006", HIGH, "systemd starts something by this timer"),
        tuple(f"{directory}*.timer" for directory in _UNIT_DIRECTORIES),
    ),
    (
        mapping("T1053.006", HIGH, "it changes what a systemd timer does", when=_is_timer_drop_in),
        tuple(f"{directory}*.conf" for directory in _UNIT_DIRECTORIES),
    ),
    (mapping("T1543.002", HIGH, "systemd starts what it says", when=_is_unit), _UNIT_DIRECTORIES),
    (
        mapping("T1543.002", HIGH, "it changes what a systemd unit does", when=_is_unit_drop_in),
        tuple(f"{directory}*.conf" for directory in _UNIT_DIRECTORIES),
    ),
    (
        mapping("T1543.002", MEDIUM, "systemd runs it at start to make units"),
        ("/etc/systemd/system-generators/", "/usr/lib/systemd/system-generators/", "/lib/systemd/system-generators/",
         "/etc/systemd/user-generators/", "/usr/lib/systemd/user-generators/"),
    ),
    (
        mapping("T1037.004", HIGH, "it runs when the host starts"),
        ("/etc/rc.local", "/etc/rc.d/", "/etc/init.d/", "/etc/rc0.d/", "/etc/rc1.d/", "/etc/rc2.d/", "/etc/rc3.d/",
         "/etc/rc4.d/", "/etc/rc5.d/", "/etc/rc6.d/", "/etc/rcS.d/", "/etc/inittab"),
    ),
    (
        mapping("T1037", MEDIUM, "it runs when somebody logs in"),
        ("/etc/update-motd.d/", "**/.ssh/rc", "/etc/ssh/sshrc", "**/.xinitrc", "**/.xsession", "**/.xprofile",
         "/etc/X11/Xsession.d/"),
    ),
    (
        mapping("T1546.004", MEDIUM, "a shell runs it when it starts or ends"),
        ("/etc/profile", "/etc/profile.d/", "/etc/bash.bashrc", "/etc/bashrc", "/etc/bash.bash_logout",
         "/etc/zsh/", "/etc/zshrc", "/etc/zshenv", "/etc/zprofile", "/etc/csh.cshrc", "/etc/csh.login",
         "/etc/fish/", "/etc/ksh.kshrc",
         "**/.bashrc", "**/.bash_profile", "**/.bash_login", "**/.bash_logout", "**/.bash_aliases", "**/.profile",
         "**/.zshrc", "**/.zshenv", "**/.zprofile", "**/.zlogin", "**/.zlogout", "**/.kshrc", "**/.cshrc",
         "**/.tcshrc", "**/.login", "**/.logout", "**/.config/fish/config.fish", "**/.config/fish/conf.d/"),
    ),
    (
        mapping("T1547.013", HIGH, "the desktop starts what it says"),
        ("/etc/xdg/autostart/", "**/.config/autostart/"),
    ),
    (mapping("T1547.006", HIGH, "it is a kernel module", when=_is_module), ("/lib/modules/", "/usr/lib/modules/")),
    (
        mapping("T1547.006", MEDIUM, "it says which kernel modules are loaded, and how"),
        ("/etc/modules", "/etc/modules-load.d/", "/usr/lib/modules-load.d/", "/etc/modprobe.d/",
         "/usr/lib/modprobe.d/", "/lib/modprobe.d/"),
    ),
)  # fmt: skip

_CODE: Final[tuple[tuple[Mapping, tuple[str, ...]], ...]] = (
    (mapping("T1574.006", HIGH, "every program loads what it names"), ("/etc/ld.so.preload",)),
    (mapping("T1574.006", MEDIUM, "it says where libraries are found"), ("/etc/ld.so.conf", "/etc/ld.so.conf.d/")),
    (mapping("T1574.006", LOW, "it sets the environment of every log-in"), ("/etc/environment",)),
    (
        mapping("T1546.017", HIGH, "udev runs what it says when a device appears"),
        ("/etc/udev/rules.d/", "/usr/lib/udev/rules.d/", "/lib/udev/rules.d/", "/run/udev/rules.d/"),
    ),
    (
        mapping("T1546.018", HIGH, "every Python program runs it at start"),
        ("**/sitecustomize.py", "**/usercustomize.py"),
    ),
    (
        mapping("T1546.018", MEDIUM, "Python reads it at start and runs its import lines"),
        ("**/site-packages/*.pth", "**/dist-packages/*.pth"),
    ),
    (
        mapping("T1546.016", LOW, "the package manager runs it"),
        ("/var/lib/dpkg/info/*inst", "/var/lib/dpkg/info/*rm"),
    ),
    (
        mapping("T1546", LOW, "the package manager may run what it says"),
        ("/etc/apt/apt.conf", "/etc/apt/apt.conf.d/", "/etc/dpkg/dpkg.cfg.d/", "/etc/dnf/plugins/",
         "/etc/yum/pluginconf.d/", "/etc/pacman.d/hooks/"),
    ),
    (mapping("T1546", MEDIUM, "git runs it", when=_is_hook), ("**/.git/hooks/",)),
    (
        mapping("T1546", MEDIUM, "it runs when the network changes"),
        ("/etc/NetworkManager/dispatcher.d/", "/etc/network/if-up.d/", "/etc/network/if-down.d/",
         "/etc/network/if-pre-up.d/", "/etc/network/if-post-down.d/", "/etc/dhcp/dhclient-enter-hooks.d/",
         "/etc/dhcp/dhclient-exit-hooks.d/", "/etc/networkd-dispatcher/"),
    ),
    (
        mapping("T1505.003", MEDIUM, "the web server may run it", on=Effect.ARRIVED, when=_is_script),
        _WEB_ROOTS,
    ),
    (mapping("T1505.003", LOW, "the web server may run it", on=Effect.CHANGED, when=_is_script), _WEB_ROOTS),
    (mapping("T1505.003", MEDIUM, "the web server runs it"), ("**/cgi-bin/",)),
    (
        mapping("T1554", HIGH, "a program was written to in place", on=Effect.CHANGED, when=_in_place),
        ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/"),
    ),
    (
        mapping("T1554", MEDIUM, "a program was replaced", on=Effect.CHANGED),
        ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/usr/local/bin/", "/usr/local/sbin/"),
    ),
    (
        mapping("T1554", MEDIUM, "a library was changed", on=Effect.CHANGED, when=_is_library),
        ("/lib/", "/lib32/", "/lib64/", "/usr/lib/", "/usr/lib32/", "/usr/lib64/"),
    ),
)  # fmt: skip

ROWS: Final = _ACCOUNT + _START + _CODE
