"""Paths whose change blinds the defence or hides a trace: logs, history, audit, firewall, trust."""

from __future__ import annotations

import re
from typing import Final

from otel_fim.processors.attack.change import TOUCHED, WRITTEN, Change, Effect
from otel_fim.processors.attack.mapping import HIGH, LOW, MEDIUM, Mapping, mapping

_ROTATED: Final = re.compile(r"\.(?:gz|xz|zst|bz2|old|\d+)$|-\d{8}(?:\.|$)|@")
_NULL_DEVICE: Final = "/dev/null"

_LOGINS: Final = ("/var/log/wtmp", "/var/log/btmp")
_LOGS: Final = (
    "/var/log/lastlog", "/var/log/faillog", "/var/log/auth.log", "/var/log/secure", "/var/log/syslog",
    "/var/log/messages", "/var/log/kern.log", "/var/log/cron", "/var/log/sudo.log", "/var/log/audit/audit.log",
    "/var/log/journal/",
)  # fmt: skip
_HISTORY: Final = (
    "**/.bash_history", "**/.zsh_history", "**/.zhistory", "**/.ash_history", "**/.sh_history", "**/.ksh_history",
    "**/.tcsh_history", "**/.history", "**/.python_history", "**/.mysql_history", "**/.psql_history",
    "**/.local/share/fish/fish_history",
)  # fmt: skip


def _is_live(change: Change) -> bool:
    """No rotated file, and not one that is being rotated away."""
    if _ROTATED.search(change.name):
        return False
    return not change.destination.startswith(change.path)


def _is_cut(change: Change) -> bool:
    return change.is_shortened and _is_live(change)


def _is_edited(change: Change) -> bool:
    return change.is_overwritten


def _is_emptied(change: Change) -> bool:
    return change.is_emptied


def _leads_nowhere(change: Change) -> bool:
    return change.is_link and change.link_target == _NULL_DEVICE


_TRACES: Final[tuple[tuple[Mapping, tuple[str, ...]], ...]] = (
    (mapping("T1685.006", HIGH, "records of log-ins were overwritten", on=Effect.CHANGED, when=_is_edited), _LOGINS),
    (mapping("T1685.006", MEDIUM, "a system log is gone", on=Effect.LEFT, when=_is_live), _LOGINS + _LOGS),
    (mapping("T1685.006", MEDIUM, "a system log was cut", on=Effect.CHANGED, when=_is_cut), _LOGINS + _LOGS),
    (mapping("T1685.006", HIGH, "what is logged goes nowhere", on=WRITTEN, when=_leads_nowhere), ("/var/log/",)),
    (mapping("T1685.006", LOW, "a log is gone", on=Effect.LEFT, when=_is_live), ("/var/log/",)),
    (mapping("T1685.006", LOW, "a log was cut", on=Effect.CHANGED, when=_is_cut), ("/var/log/",)),
    (mapping("T1690", HIGH, "what is typed goes nowhere", when=_leads_nowhere), _HISTORY),
    (mapping("T1070.003", MEDIUM, "the command history is gone", on=Effect.LEFT), _HISTORY),
    (mapping("T1070.003", HIGH, "the command history was emptied", on=Effect.CHANGED, when=_is_emptied), _HISTORY),
)  # fmt: skip

_TOOLS: Final[tuple[tuple[Mapping, tuple[str, ...]], ...]] = (
    (
        mapping("T1685.004", HIGH, "it says what the kernel audits", on=TOUCHED),
        ("/etc/audit/", "/etc/audisp/", "/etc/libaudit.conf"),
    ),
    (
        mapping("T1685", MEDIUM, "it says what is logged, and where to", on=TOUCHED),
        ("/etc/rsyslog.conf", "/etc/rsyslog.d/", "/etc/syslog.conf", "/etc/syslog-ng/", "/etc/systemd/journald.conf",
         "/etc/systemd/journald.conf.d/"),
    ),
    (
        mapping("T1685", MEDIUM, "it configures a security tool", on=TOUCHED),
        ("/etc/selinux/config", "/etc/apparmor.d/", "/etc/fail2ban/", "/etc/aide/", "/etc/aide.conf",
         "/etc/tripwire/", "/etc/samhain/", "/etc/clamav/", "/etc/falco/", "/etc/osquery/", "/var/ossec/etc/",
         "/etc/auditbeat/", "/etc/filebeat/", "/etc/otelcol/", "/etc/otelcol-contrib/", "/etc/otel-fim/",
         "/etc/suricata/", "/etc/crowdsec/"),
    ),
    (
        mapping("T1686", MEDIUM, "it holds the firewall's rules", on=TOUCHED),
        ("/etc/nftables.conf", "/etc/nftables.d/", "/etc/nftables/", "/etc/iptables/", "/etc/sysconfig/iptables",
         "/etc/sysconfig/ip6tables", "/etc/sysconfig/nftables.conf", "/etc/ufw/", "/etc/default/ufw",
         "/etc/firewalld/"),
    ),
    (mapping("T1686", LOW, "it says which hosts may connect", on=TOUCHED), ("/etc/hosts.allow", "/etc/hosts.deny")),
    (
        mapping("T1553.004", HIGH, "certificates that it signs are trusted"),
        ("/usr/local/share/ca-certificates/", "/usr/share/ca-certificates/", "/etc/pki/ca-trust/source/",
         "/usr/share/pki/ca-trust-source/", "/etc/ca-certificates/trust-source/"),
    ),
    (
        mapping("T1553.004", MEDIUM, "it holds the certificates that are trusted"),
        ("/etc/ssl/certs/", "/etc/ca-certificates.conf", "/etc/pki/tls/certs/", "/etc/ssl/cert.pem"),
    ),
)  # fmt: skip

ROWS: Final = _TRACES + _TOOLS
