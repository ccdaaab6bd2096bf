"""A real host at ordinary work gives no finding above low, while it is learnt and after it has been.

`testdata/quiet` holds what the agent told of a Debian host (`tests/rules/recording` records anew): a session of a
developer who is an administrator too, twice; `apt-get install` of a dozen packages with services, users, cron jobs,
PAM profiles and kernel hooks; their services; what cron and timers do at night; a kernel that comes and goes; an
upgrade of the whole system and packages that are removed and purged.
"""

from __future__ import annotations

import gzip
import logging
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pytest

from otel_fim import names
from otel_fim.component import ProcessorContext
from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json
from otel_fim.processors.novelty import NoveltyConfig, NoveltyProcessor
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.hits import Correlated, Hit
from otel_fim.record import EMPTY_SCOPE, Record, Resource
from otel_fim.sigma.ir import Level
from otel_fim.sigma.load import load_rules, pack_path

DATA = Path(__file__).parent / "testdata" / "quiet"
DAY = ("work", "install", "services", "work_again", "kernel", "upgrade")
NIGHT = ("nightly", "kernel", "upgrade")
QUIET = {Level.INFORMATIONAL, Level.LOW}
HOUR = 3600 * 10**9
MIDNIGHT = 1_768_262_400 * 10**9
"""2026-01-13, a Tuesday, UTC."""
DAY_SECONDS = 86_400


@lru_cache(maxsize=1)
def engine() -> Engine:
    return Engine(load_rules([pack_path()]))


@lru_cache(maxsize=16)
def story(name: str) -> tuple[Record, ...]:
    with gzip.open(DATA / f"{name}.jsonl.gz") as lines:
        return tuple(record for line in lines for record in decode_logs_data_json(line))


def stories(chosen: Sequence[str], hour: int) -> list[Record]:
    """One after the other, the first of them beginning at `hour`."""
    records = [record.copy() for name in chosen for record in story(name)]
    moved = MIDNIGHT + hour * HOUR - min(record.time_unix_nano for record in records)
    for record in records:
        record.time_unix_nano += moved
        record.observed_time_unix_nano += moved
    return sorted(records, key=lambda record: record.observed_time_unix_nano)


class Host:
    """Novelty and the rules, as the default configuration has them."""

    def __init__(self, directory: Path, learning_period: int = 7 * DAY_SECONDS) -> None:
        self.seconds = 1000.0
        context = ProcessorContext(
            id="novelty",
            kind="processor",
            state_directory=directory,
            service_directory=directory,
            agent_directories=(),
            resource=Resource({names.HOST_NAME: "web-1"}),
            scope=EMPTY_SCOPE,
            logger=logging.getLogger("test"),
            report=lambda health, text: None,
            count=lambda name, amount=1, **labels: None,
            pipeline="logs",
            last_record=lambda: None,
        )
        config = NoveltyConfig(learning_period=learning_period)
        self.novelty = NoveltyProcessor(config, context, clock=lambda: self.seconds)
        self.novelty.start()
        self.engine = engine().anew()

    def findings(self, records: Sequence[Record]) -> list[Hit | Correlated]:
        self.novelty.process(list(records))
        return [*self.engine.process(records), *self.engine.flush()]


def loud(found: Sequence[Hit | Correlated]) -> list[str]:
    """Findings above low, with what they rest on."""
    told = []
    for each in found:
        meta = (each.rule if isinstance(each, Hit) else each.correlation).meta
        if meta.level not in QUIET:
            evidence = dict(each.record.attributes) if isinstance(each, Hit) else each
            told.append(f"{meta.path}: {evidence}")
    return told


def test_a_day_while_the_host_is_learnt(tmp_path: Path) -> None:
    assert loud(Host(tmp_path).findings(stories(DAY, 9))) == []


def test_a_day_after_the_host_has_been_learnt(tmp_path: Path) -> None:
    """Nothing was known but a session of the same user: everything that is installed is new."""
    host = Host(tmp_path)
    host.findings(stories(["work"], 9))
    host.seconds += 8 * DAY_SECONDS
    records = stories(DAY[1:], 9)
    found = host.findings(records)
    assert loud(found) == []
    new: Counter[str] = Counter()
    for record in records:
        kinds = record.attributes.get(names.OTEL_FIM_NOVELTY_FIRST_SEEN)
        new.update(map(str, kinds) if isinstance(kinds, list) else ())
    assert new["executable"] > 50
    assert new["persistence"] > 20
    assert new["listener"] > 3


def test_a_day_when_everything_is_new(tmp_path: Path) -> None:
    """With no learning at all, logins and uses of sudo are new as well."""
    assert loud(Host(tmp_path, learning_period=0).findings(stories(DAY, 9))) == []


@pytest.mark.parametrize("learning_period", [7 * DAY_SECONDS, 0])
def test_a_night(tmp_path: Path, learning_period: int) -> None:
    """Packages may come in the night too."""
    assert loud(Host(tmp_path, learning_period).findings(stories(NIGHT, 2))) == []


PACKAGES = (
    "nginx", "postfix", "fail2ban", "redis-server", "at", "ntpsec", "docker.io", "libpam-pwquality",
    "cryptsetup-initramfs", "certbot", "php-fpm", "mariadb-server",
)  # fmt: skip
PROGRAMS = (
    "vim.basic", "git", "make", "x86_64-linux-gnu-gcc-12", "python3.11", "tar", "gzip", "less", "find", "grep",
    "ssh-keygen", "crontab", "passwd", "sudo", "apt-get", "systemctl", "curl", "wget",
)  # fmt: skip
LEAST = {
    "work": 400,
    "install": 1500,
    "services": 50,
    "work_again": 400,
    "nightly": 300,
    "kernel": 400,
    "upgrade": 700,
}


def commands(name: str) -> list[str]:
    return [str(record.attributes.get(names.PROCESS_COMMAND_LINE, "")) for record in story(name)]


def test_there_is_something_to_be_quiet_about() -> None:
    for name, least in LEAST.items():
        assert len(story(name)) > least, name
    everything = Counter(record.event_name for name in LEAST for record in story(name))
    for event in ("file.created", "file.modified", "file.deleted", "file.renamed", "file.attributes_changed"):
        assert everything[f"otel_fim.{event}"] > 50, event
    for event in ("auth.login", "auth.privilege", "auth.account", "listener.opened", "persistence.added"):
        assert everything[f"otel_fim.{event}"] > 3, event


def test_the_packages_were_installed() -> None:
    installed = " ".join(line for line in commands("install") if line.startswith("apt-get install"))
    assert installed
    for package in PACKAGES:
        assert f" {package}" in f" {installed} ", package
    accounts = {
        record.attributes.get(names.USER_TARGET_NAME)
        for record in story("install")
        if record.event_name == events.AUTH_ACCOUNT
    }
    assert {"postfix", "mysql", "redis", "ntpsec"} <= accounts
    kinds = {
        record.attributes.get(names.OTEL_FIM_PERSISTENCE_KIND)
        for record in story("install")
        if record.event_name == events.PERSISTENCE_ADDED
    }
    assert {"cron", "systemd_service", "systemd_timer", "init_script", "pam", "setgid"} <= kinds, kinds


def test_the_work_was_done() -> None:
    ran = {
        str(record.attributes.get(names.PROCESS_EXECUTABLE_PATH, "")).rpartition("/")[2]
        for record in story("work_again")
        if record.event_name == events.PROCESS_STARTED
    }
    assert not set(PROGRAMS) - ran


def test_a_kernel_came_and_went() -> None:
    happened = {
        (record.event_name, str(record.attributes.get(names.FILE_PATH, ""))) for record in story("kernel")
    }
    for event in (events.FILE_CREATED, events.FILE_DELETED):
        assert any(name == event and "/modules/6." in path for name, path in happened), event
        assert any(name == event and path.startswith("/boot/initrd.img-") for name, path in happened), event
