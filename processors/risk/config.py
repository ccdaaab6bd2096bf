"""`processors.risk`: what counts how much, what is folded, what is suppressed."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from otel_fim.config.model import ByteSize, ComponentConfig, ConfigModel, Duration
from otel_fim.processors.risk.config_types import (
    Filled,
    Moment,
    PathStart,
    Patterns,
    ProgramName,
    SourcePatterns,
    TimeOfDay,
    Zone,
    fits_anything,
)

CRITICAL_PATHS: Final = (
    "/boot/",
    "/etc/cron",
    "/etc/group",
    "/etc/gshadow",
    "/etc/ld.so",
    "/etc/pam.d/",
    "/etc/passwd",
    "/etc/security/",
    "/etc/shadow",
    "/etc/ssh/",
    "/etc/sudoers",
    "/etc/systemd/",
    "/root/.ssh/",
    "/usr/bin/",
    "/usr/lib/systemd/",
    "/usr/sbin/",
    "/var/log/",
)
PRIVILEGED_GROUPS: Final = (
    "root",
    "sudo",
    "wheel",
    "admin",
    "adm",
    "shadow",
    "disk",
    "docker",
    "lxd",
    "libvirt",
)
PACKAGE_MANAGERS: Final = (
    "apk",
    "apt",
    "apt-get",
    "aptitude",
    "dnf",
    "dnf5",
    "dpkg",
    "dpkg-deb",
    "flatpak",
    "microdnf",
    "pacman",
    "rpm",
    "snapd",
    "tdnf",
    "unattended-upgrade",
    "yum",
    "zypper",
)

Points = Annotated[int, Field(ge=-100, le=100)]


class LevelPoints(ConfigModel):
    """Points of a rule's level, before the confidence: high confidence counts in full, medium 80 %, low 60 %."""

    informational: Points = 5
    """Points of the level informational."""
    low: Points = 20
    """Points of the level low."""
    medium: Points = 45
    """Points of the level medium."""
    high: Points = 70
    """Points of the level high."""
    critical: Points = 90
    """Points of the level critical."""


class FirstSeenPoints(ConfigModel):
    """Points for what the host never saw before (`novelty`). Of several kinds the highest counts, the others do not add
    to it; half, when the novelty is uncertain."""

    user: Points = 12
    """A user who never logged in here."""
    source: Points = 6
    """An address that nobody logged in from."""
    user_source: Points = 8
    """An address that this user never logged in from."""
    privilege: Points = 8
    """A user who never took on the rights of that other one."""
    executable: Points = 10
    """A program that never ran here."""
    executable_hash: Points = 6
    """A program whose content never ran here."""
    parent_child: Points = 6
    """A program that was never started by this one."""
    user_executable: Points = 6
    """A program that this user never ran."""
    listener: Points = 10
    """A program that never listened on this port."""
    persistence: Points = 4
    """Something that never started by itself."""
    persistence_kind: Points = 10
    """A way of starting by itself that nothing used since the host is watched."""


class Modifiers(ConfigModel):
    """Points that are added to the level's, or taken away."""

    level: LevelPoints = LevelPoints()
    """By the rule's level."""
    first_seen: FirstSeenPoints = FirstSeenPoints()
    """By what was never seen before."""
    rare: Points = 4
    """Seen on few days only, and nothing about it is new."""
    off_hours: Points = 6
    """Outside `working_hours`."""
    privileged: Points = 7
    """Done by root or with root's rights, or about a group in `privileged_groups`."""
    critical_path: Points = 8
    """The file lies under one of `critical_paths`."""
    exposed_listener: Points = 8
    """A socket that other hosts can reach (exposure any or public)."""
    chain: Points = 6
    """Several records make the finding together: the rule is a correlation."""
    package_manager: Points = -15
    """The program, or one that it descends from, is a package manager."""
    planned_change: Points = -30
    """It happened in one of `planned_changes`."""


class WorkingHours(ConfigModel):
    """When people are expected to work; the rest is off hours."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = Field(
        default=["mon", "tue", "wed", "thu", "fri"], min_length=1
    )
    """Days of the week. Hours past midnight belong to the day on which they began."""
    start: TimeOfDay = "07:00"
    """When work begins, `HH:MM`."""
    end: TimeOfDay = "19:00"
    """When work ends, `HH:MM`; earlier than `start` means the next day, `24:00` the end of the day."""
    timezone: Zone = "local"
    """The time zone of these hours: `local` for the host's own, `UTC`, or a name such as `Europe/Zurich`."""

    @model_validator(mode="after")
    def _some_time(self) -> WorkingHours:
        if self.start == self.end:
            raise ValueError("start and end must differ; 00:00 to 24:00 is the whole day")
        return self


class PlannedChange(ConfigModel):
    """A time in which certain changes are expected. Findings stay what they are and score less."""

    name: Filled
    """What it is called in the explanation."""
    start: Moment
    """When it begins: a date or a time, UTC unless it says otherwise."""
    end: Moment
    """When it is over."""
    owner: Filled
    """Who answers for it."""
    reason: Filled
    """What is being done."""
    hosts: Patterns = []
    """Only on these hosts (`host.name`); empty: on all."""
    users: Patterns = []
    """Only by these users; empty: by all."""
    executables: Patterns = []
    """Only by these programs (paths); empty: by all."""
    paths: Patterns = []
    """Only of these files; empty: of all, and findings about no file too."""

    @model_validator(mode="after")
    def _in_order(self) -> PlannedChange:
        if self.end <= self.start:
            raise ValueError("end must be later than start")
        return self


class SuppressionMatch(ConfigModel):
    """What a finding must be: every key that is given must fit, with any of its patterns. A finding that lacks the
    value does not fit."""

    rule: Patterns = []
    """The rule's id or title, without regard to case."""
    host: Patterns = []
    """`host.name`."""
    user: Patterns = []
    """`user.name`, or `user.id` where there is no name; or who logged in (`otel_fim.login.user.name`)."""
    executable: Patterns = []
    """`process.executable.path`."""
    path: Patterns = []
    """`file.path`."""
    source: SourcePatterns = []
    """Where the login came from: an address, a network (`192.0.2.0/24`) or a pattern."""

    @model_validator(mode="after")
    def _something(self) -> SuppressionMatch:
        patterns = [getattr(self, key) for key in type(self).model_fields]
        if not any(patterns):
            raise ValueError(
                "at least one of rule, host, user, executable, path and source is needed: without any, everything "
                "would be suppressed"
            )
        if all(any(fits_anything(each) for each in some) for some in patterns if some):
            raise ValueError(
                "at least one key must have patterns that do not fit everything: with these, all findings that have "
                "the value would be suppressed"
            )
        return self


class Suppression(ConfigModel):
    """Findings that are known and accepted for a while. They are recorded as INFO, with who accepted them and why, and
    do not count in the scores of users, hosts and programs."""

    name: Filled
    """What it is called in the records."""
    owner: Filled
    """Who answers for it."""
    reason: Filled
    """Why it was made."""
    expires: Moment
    """When it ends: a date (the beginning of that day) or a time, UTC unless it says otherwise. From then on findings
    are what they were before; one that has expired already is a warning in the log and nothing else."""
    match: SuppressionMatch
    """Which findings."""


class RiskConfig(ComponentConfig):
    """The settings of the risk processor."""

    modifiers: Modifiers = Modifiers()
    """How many points what is worth."""
    working_hours: WorkingHours | None = None
    """When people work here. Without it nothing is off hours."""
    privileged_groups: list[Filled] = list(PRIVILEGED_GROUPS)
    """Groups that are as good as root."""
    critical_paths: list[PathStart] = list(CRITICAL_PATHS)
    """What the paths begin with that a host's security rests on."""
    package_managers: list[ProgramName] = list(PACKAGE_MANAGERS)
    """Names of programs that install software. They count only from where root alone installs programs (`/usr/bin`,
    `/usr/sbin`, `/usr/lib`, `/usr/libexec`, `/bin`, `/sbin`, `/snap`)."""
    planned_changes: list[PlannedChange] = []
    """Times in which changes are expected."""
    suppressions: list[Suppression] = []
    """Findings that are known and accepted; the first that fits counts."""
    fold_window: Duration = Field(default=3_600, le=30 * 86_400)
    """Findings with the same key within this time after the first are counted and not passed on. How many there were is
    told at 10, 100, 1000 and so on, and at the end. It does not slide: what goes on is told anew once in this time. `0`
    folds nothing."""
    entity_window: Duration = Field(default=86_400, gt=0, le=365 * 86_400)
    """How long a finding counts in the scores of its user, host and program."""
    max_entities: int = Field(default=2_000, ge=3, le=1_000_000)
    """How many users, hosts and programs have a score at a time. Above it those with the lowest are forgotten, and
    counted (`otel_fim_risk_evicted`). At most 3 KB of memory each."""
    max_series: int = Field(default=10_000, ge=1, le=1_000_000)
    """How many series of duplicates are open at a time. Above it the oldest ends early, and its count is told."""
    max_series_bytes: ByteSize = Field(default=16 * 2**20, ge=2**16)
    """How much memory they take, about. Above it the oldest ends early too."""

    @model_validator(mode="after")
    def _names_differ(self) -> RiskConfig:
        names = [each.name for each in self.suppressions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"suppressions: there are two of the name {twice[0]!r}; each needs a name of its own"
            )
        return self
