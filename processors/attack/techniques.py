"""The techniques that the mappings use: id, name and tactics of MITRE ATT&CK for Enterprise v19.

Ids, names and tactics are MITRE's; see the NOTICE beside this file. v19 split Defense Evasion into Stealth
(TA0005) and Defense Impairment (TA0112) and revoked ids; only current ids appear here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FRAMEWORK: Final = "MITRE ATT&CK v19.2"

EXECUTION: Final = ("TA0002", "Execution")
PERSISTENCE: Final = ("TA0003", "Persistence")
PRIVILEGE_ESCALATION: Final = ("TA0004", "Privilege Escalation")
INITIAL_ACCESS: Final = ("TA0001", "Initial Access")
IMPACT: Final = ("TA0040", "Impact")
STEALTH: Final = ("TA0005", "Stealth")
CREDENTIAL_ACCESS: Final = ("TA0006", "Credential Access")
DEFENSE_IMPAIRMENT: Final = ("TA0112", "Defense Impairment")

Tactic = tuple[str, str]


@dataclass(slots=True, frozen=True)
class Technique:
    """A technique (`T1136`) or sub-technique (`T1136.001`) with its tactics as (id, name)."""

    id: str
    name: str
    tactics: tuple[Tactic, ...]

    @property
    def parent_id(self) -> str:
        """The technique's own id, without the sub-technique's number."""
        return self.id.partition(".")[0]

    @property
    def is_subtechnique(self) -> bool:
        return "." in self.id


_PERSIST: Final = (PERSISTENCE,)
_PERSIST_ESCALATE: Final = (PERSISTENCE, PRIVILEGE_ESCALATION)
_SCHEDULE: Final = (EXECUTION, PERSISTENCE, PRIVILEGE_ESCALATION)
_AUTHENTICATION: Final = (PERSISTENCE, CREDENTIAL_ACCESS, DEFENSE_IMPAIRMENT)
_ACCOUNTS: Final = (INITIAL_ACCESS, PERSISTENCE, PRIVILEGE_ESCALATION, STEALTH)
_CREDENTIALS: Final = (CREDENTIAL_ACCESS,)
_IMPACT: Final = (IMPACT,)
_HIJACK: Final = (EXECUTION, STEALTH)
_ESCALATE: Final = (PRIVILEGE_ESCALATION,)
_HIDE: Final = (STEALTH,)
_IMPAIR: Final = (DEFENSE_IMPAIRMENT,)

_ALL: Final = (
    Technique("T1036", "Masquerading", _HIDE),
    Technique("T1036.002", "Right-to-Left Override", _HIDE),
    Technique("T1036.006", "Space after Filename", _HIDE),
    Technique("T1037", "Boot or Logon Initialization Scripts", _PERSIST_ESCALATE),
    Technique("T1037.002", "Login Hook", _PERSIST_ESCALATE),
    Technique("T1037.004", "RC Scripts", _PERSIST_ESCALATE),
    Technique("T1053", "Scheduled Task/Job", _SCHEDULE),
    Technique("T1053.002", "At", _SCHEDULE),
    Technique("T1053.003", "Cron", _SCHEDULE),
    Technique("T1053.005", "Scheduled Task", _SCHEDULE),
    Technique("T1053.006", "Systemd Timers", _SCHEDULE),
    Technique("T1070", "Indicator Removal", _HIDE),
    Technique("T1070.003", "Clear Command History", _HIDE),
    Technique("T1070.004", "File Deletion", _HIDE),
    Technique("T1070.006", "Timestomp", _HIDE),
    Technique("T1078", "Valid Accounts", _ACCOUNTS),
    Technique("T1078.003", "Local Accounts", _ACCOUNTS),
    Technique("T1098", "Account Manipulation", _PERSIST_ESCALATE),
    Technique("T1098.004", "SSH Authorized Keys", _PERSIST_ESCALATE),
    Technique("T1098.007", "Additional Local or Domain Groups", _PERSIST_ESCALATE),
    Technique("T1110", "Brute Force", _CREDENTIALS),
    Technique("T1136", "Create Account", _PERSIST),
    Technique("T1136.001", "Local Account", _PERSIST),
    Technique("T1222", "File and Directory Permissions Modification", _IMPAIR),
    Technique("T1222.002", "Linux and Mac Permissions", _IMPAIR),
    Technique("T1505", "Server Software Component", _PERSIST),
    Technique("T1505.003", "Web Shell", _PERSIST),
    Technique("T1531", "Account Access Removal", _IMPACT),
    Technique("T1543", "Create or Modify System Process", _PERSIST_ESCALATE),
    Technique("T1543.001", "Launch Agent", _PERSIST_ESCALATE),
    Technique("T1543.002", "Systemd Service", _PERSIST_ESCALATE),
    Technique("T1543.003", "Windows Service", _PERSIST_ESCALATE),
    Technique("T1543.004", "Launch Daemon", _PERSIST_ESCALATE),
    Technique("T1546", "Event Triggered Execution", _PERSIST_ESCALATE),
    Technique("T1546.004", "Unix Shell Configuration Modification", _PERSIST_ESCALATE),
    Technique("T1546.016", "Installer Packages", _PERSIST_ESCALATE),
    Technique("T1546.017", "Udev Rules", _PERSIST_ESCALATE),
    Technique("T1546.018", "Python Startup Hooks", _PERSIST_ESCALATE),
    Technique("T1547", "Boot or Logon Autostart Execution", _PERSIST_ESCALATE),
    Technique("T1547.001", "Registry Run Keys / Startup Folder", _PERSIST_ESCALATE),
    Technique("T1547.006", "Kernel Modules and Extensions", _PERSIST_ESCALATE),
    Technique("T1547.013", "XDG Autostart Entries", _PERSIST_ESCALATE),
    Technique("T1547.015", "Login Items", _PERSIST_ESCALATE),
    Technique("T1548", "Abuse Elevation Control Mechanism", _ESCALATE),
    Technique("T1548.001", "Setuid and Setgid", _ESCALATE),
    Technique("T1548.003", "Sudo and Sudo Caching", _ESCALATE),
    Technique("T1553", "Subvert Trust Controls", _IMPAIR),
    Technique("T1553.004", "Install Root Certificate", _IMPAIR),
    Technique("T1554", "Compromise Host Software Binary", _PERSIST),
    Technique("T1556", "Modify Authentication Process", _AUTHENTICATION),
    Technique("T1556.003", "Pluggable Authentication Modules", _AUTHENTICATION),
    Technique("T1564", "Hide Artifacts", _HIDE),
    Technique("T1564.001", "Hidden Files and Directories", _HIDE),
    Technique("T1574", "Hijack Execution Flow", _HIJACK),
    Technique("T1574.006", "Dynamic Linker Hijacking", _HIJACK),
    Technique("T1685", "Disable or Modify Tools", _IMPAIR),
    Technique("T1685.004", "Disable or Modify Linux Audit System Log", _IMPAIR),
    Technique("T1685.006", "Clear Linux or Mac System Logs", _IMPAIR),
    Technique("T1686", "Disable or Modify System Firewall", _IMPAIR),
    Technique("T1690", "Prevent Command History Logging", _IMPAIR),
)

TECHNIQUES: Final[dict[str, Technique]] = {technique.id: technique for technique in _ALL}
"""By id. The parent of every sub-technique is in it too."""
