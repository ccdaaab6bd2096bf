"""Techniques by the way in which something starts by itself (`otel_fim.persistence.kind`)."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.attack import TECHNIQUES, Technique
from otel_fim.names import events
from otel_fim.processors.attack.change import Change, Effect
from otel_fim.processors.attack.mapping import HIGH, LOW, MEDIUM, Confidence, Match
from otel_fim.record import Record

_SCAN: Final = "scan"

# kind: technique, confidence, what speaks for it
_TABLE: Final[dict[str, tuple[str, Confidence, str]]] = {
    "cron": ("T1053.003", HIGH, "cron runs it"),
    "cron_script": ("T1053.003", HIGH, "cron runs it"),
    "cron_environment": ("T1053.003", MEDIUM, "cron runs jobs with it"),
    "anacron": ("T1053.003", HIGH, "anacron runs it"),
    "at": ("T1053.002", HIGH, "at runs it"),
    "systemd_service": ("T1543.002", HIGH, "systemd starts it"),
    "systemd_socket": ("T1543.002", HIGH, "systemd starts its service for a connection"),
    "systemd_path": ("T1543.002", HIGH, "systemd starts its service when a path changes"),
    "systemd_dropin": ("T1543.002", HIGH, "it changes what systemd starts"),
    "systemd_generator": ("T1543.002", MEDIUM, "systemd runs it to make units"),
    "systemd_hook": ("T1543.002", MEDIUM, "systemd runs it"),
    "systemd_environment": ("T1574.006", LOW, "it sets the environment of what systemd starts"),
    "systemd_timer": ("T1053.006", HIGH, "systemd starts something by it"),
    "init_script": ("T1037.004", HIGH, "it runs when the host starts"),
    "rc_local": ("T1037.004", HIGH, "it runs when the host starts"),
    "inittab": ("T1037.004", HIGH, "it runs when the host starts"),
    "motd": ("T1037", MEDIUM, "it runs when somebody logs in"),
    "session_script": ("T1037", MEDIUM, "it runs when somebody logs in"),
    "ssh_rc": ("T1037", MEDIUM, "it runs when somebody logs in"),
    "ssh_environment": ("T1574.006", LOW, "it sets the environment of a log-in"),
    "authorized_key": ("T1098.004", HIGH, "the key may log in"),
    "sshd_config": ("T1098.004", LOW, "it says which keys may log in, or what runs then"),
    "shell_startup": ("T1546.004", MEDIUM, "a shell runs it when it starts or ends"),
    "ld_so_preload": ("T1574.006", HIGH, "every program loads it"),
    "ld_so_conf": ("T1574.006", MEDIUM, "libraries are found there"),
    "sudoers": ("T1548.003", HIGH, "it says who may run what as root"),
    "doas": ("T1548", MEDIUM, "it says who may act with other rights"),
    "polkit": ("T1548", MEDIUM, "it says who may act with other rights"),
    "pam": ("T1556.003", HIGH, "PAM decides with it who may log in"),
    "pam_module": ("T1556.003", HIGH, "PAM decides with it who may log in"),
    "kernel_module": ("T1547.006", HIGH, "it is part of the kernel now"),
    "kernel_module_load": ("T1547.006", MEDIUM, "the kernel loads it at start"),
    "modprobe": ("T1547.006", MEDIUM, "it says what is loaded, or run, for a kernel module"),
    "kernel_hook": ("T1546.016", LOW, "it runs when a kernel is installed"),
    "apt_hook": ("T1546.016", LOW, "apt runs it"),
    "dpkg_hook": ("T1546.016", LOW, "dpkg runs it"),
    "udev_rule": ("T1546.017", HIGH, "udev runs it when a device appears"),
    "xdg_autostart": ("T1547.013", HIGH, "the desktop starts it"),
    "package_hook": ("T1546.016", LOW, "the package manager runs it"),
    "package_plugin": ("T1546.016", LOW, "the package manager loads it"),
    "git_hook": ("T1546", MEDIUM, "git runs it"),
    "network_hook": ("T1546", MEDIUM, "it runs when the network changes"),
    "sleep_hook": ("T1546", MEDIUM, "it runs when the host goes to sleep or wakes up"),
    "shutdown_hook": ("T1546", MEDIUM, "it runs when the host is shut down"),
    "acpi_event": ("T1546", MEDIUM, "it runs when a key or the power supply says so"),
    "system_hook": ("T1546", LOW, "something else runs it"),
    "logrotate": ("T1546", LOW, "logrotate runs it"),
    "initramfs_hook": ("T1037", MEDIUM, "it runs when the host starts"),
    "binfmt": ("T1546", MEDIUM, "the kernel starts it for a kind of program"),
    "binfmt_registered": ("T1546", MEDIUM, "the kernel starts it for a kind of program"),
    "python_customize": ("T1546.018", HIGH, "every Python program runs it at start"),
    "python_pth": ("T1546.018", MEDIUM, "Python runs it at start"),
    "setuid": ("T1548.001", HIGH, "whoever starts it has its owner's rights"),
    "setgid": ("T1548.001", MEDIUM, "whoever starts it has its group's rights"),
    "file_capability": ("T1548.001", MEDIUM, "whoever starts it has rights of root's"),
    "nginx": ("T1505", MEDIUM, "the web server loads or runs it"),
    "apache": ("T1505", MEDIUM, "the web server loads or runs it"),
    "php": ("T1505", MEDIUM, "PHP loads or runs it for every page"),
    "launchd_agent": ("T1543.001", HIGH, "launchd starts it when the user logs in"),
    "launchd_daemon": ("T1543.004", HIGH, "launchd starts it with the host"),
    "login_hook": ("T1037.002", HIGH, "it runs when somebody logs in"),
    "login_item": ("T1547.015", HIGH, "it is started when the user logs in"),
    "periodic": ("T1053", MEDIUM, "periodic runs it"),
    "windows_run_key": ("T1547.001", MEDIUM, "it is started at a log-on, or with another program"),
    "windows_service": ("T1543.003", HIGH, "it is started as a service"),
    "windows_task": ("T1053.005", HIGH, "the task scheduler starts it"),
    "dbus_service": ("T1543", LOW, "it is started when somebody asks for it"),
}


def is_change(record: Record) -> bool:
    """Whether something is new or different, rather than listed for the first time or switched off."""
    attributes = record.attributes
    return (
        attributes.get(names.EVENT_ACTION) != _SCAN
        and attributes.get(names.OTEL_FIM_PERSISTENCE_ENABLED) is not False
    )


def find(record: Record) -> Match | None:
    """The technique of the item's kind; None for a kind that the table does not have."""
    attributes = record.attributes
    kind = attributes.get(names.OTEL_FIM_PERSISTENCE_KIND)
    row = _TABLE.get(kind) if isinstance(kind, str) else None
    if row is None:
        return None
    technique, confidence, reason = row
    verb = "was changed" if record.event_name == events.PERSISTENCE_CHANGED else "was added"
    name = attributes.get(names.OTEL_FIM_PERSISTENCE_ID)
    return Match(_technique(technique), confidence, f"{kind} {name} {verb}: {reason}")


def as_change(record: Record) -> Change | None:
    """The same as a change of the file that the item stands in; None without a path."""
    path = record.attributes.get(names.FILE_PATH)
    if not isinstance(path, str) or not path:
        return None
    effect = Effect.CHANGED if record.event_name == events.PERSISTENCE_CHANGED else Effect.ARRIVED
    return Change(effect, path, record.attributes)


def _technique(technique: str) -> Technique:
    return TECHNIQUES[technique]


KINDS: Final = frozenset(_TABLE)
"""The kinds that have a row of their own."""

# A typing error in the table is found when the module is loaded, not by a record.
_ = [_technique(row[0]) for row in _TABLE.values()]
