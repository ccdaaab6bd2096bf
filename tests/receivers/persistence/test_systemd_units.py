"""Unit files and what systemctl does with them: `systemctl --root` works on a tree without a running systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.receivers.persistence.kinds import systemd_paths
from otel_fim.receivers.persistence.kinds.systemd import parse_dropin, parse_unit_file
from otel_fim.receivers.persistence.kinds.systemd_unit import (
    Assignment,
    activates,
    command_of,
    parse_unit,
    template_of,
    values,
)
from otel_fim.receivers.persistence.reader import File

needs_systemctl = pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemd's systemctl")

UNIT = """[Unit]
Description=Demo
[Service]
ExecStartPre=/bin/prepare
ExecStart=/usr/local/bin/demo --serve
User=www
[Install]
WantedBy=multi-user.target
"""
TIMER = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"


def systemctl(bench: Any, *arguments: str) -> None:
    subprocess.run(
        ["systemctl", f"--root={bench.root}", *arguments], check=True, capture_output=True, timeout=30
    )


def summary(bench: Any) -> dict[str, tuple[str, bool | None, str | None]]:
    """What is told of each item since the last look: event, enabled, trigger."""
    found = {}
    for record in bench.look():
        name = str(record.attributes[names.OTEL_FIM_PERSISTENCE_ID]).rpartition("/systemd/")[2]
        found[name] = (
            record.event_name.rsplit(".", 1)[1],
            record.attributes.get(names.OTEL_FIM_PERSISTENCE_ENABLED),
            record.attributes.get(names.OTEL_FIM_PERSISTENCE_TRIGGER),
        )
    return found


@needs_systemctl
def test_enable_disable_mask_and_unmask_are_told_as_such(bench: Any) -> None:
    bench.start(kinds=["systemd"])
    bench.write("/usr/lib/systemd/system/demo.service", UNIT)
    assert summary(bench) == {"system/demo.service": ("added", False, None)}
    systemctl(bench, "enable", "demo.service")
    assert summary(bench) == {"system/demo.service": ("changed", True, "multi-user.target")}
    systemctl(bench, "mask", "demo.service")
    assert summary(bench) == {"system/demo.service": ("changed", False, None)}
    systemctl(bench, "unmask", "demo.service")
    assert summary(bench) == {"system/demo.service": ("changed", True, "multi-user.target")}
    systemctl(bench, "disable", "demo.service")
    assert summary(bench) == {"system/demo.service": ("changed", False, None)}


@needs_systemctl
def test_an_alias_enables_and_a_template_is_enabled_by_its_instance(bench: Any) -> None:
    bench.write(
        "/etc/systemd/system/demo.service", UNIT.replace("WantedBy=multi-user.target", "Alias=other.service")
    )
    bench.write("/etc/systemd/system/demo@.service", UNIT)
    bench.start(kinds=["systemd"])
    systemctl(bench, "enable", "demo.service", "demo@a.service")
    assert summary(bench) == {
        "system/demo.service": ("changed", True, "alias other.service"),
        "system/demo@.service": ("changed", True, "multi-user.target (demo@a.service)"),
    }


@needs_systemctl
def test_a_linked_unit_from_elsewhere_is_one_where_the_link_is(bench: Any) -> None:
    bench.start(kinds=["systemd"])
    bench.write("/opt/evil.service", UNIT)
    bench.root.joinpath("etc/systemd/system").mkdir(parents=True)
    systemctl(bench, "link", "/opt/evil.service")
    assert summary(bench) == {"system/evil.service": ("added", False, None)}


def test_a_timer_says_when_and_what_and_enables_what_it_starts(bench: Any) -> None:
    bench.start(kinds=["systemd"])
    bench.write("/etc/systemd/system/job.timer", TIMER)
    bench.write("/etc/systemd/system/job.service", UNIT)
    found = {str(r.attributes[names.OTEL_FIM_PERSISTENCE_ID]): r.attributes for r in bench.look()}
    timer = found["/etc/systemd/system/job.timer"]
    assert timer[names.OTEL_FIM_PERSISTENCE_KIND] == "systemd_timer"
    assert timer[names.OTEL_FIM_PERSISTENCE_TRIGGER] == "OnCalendar=daily"
    assert timer[names.OTEL_FIM_PERSISTENCE_COMMAND] == "job.service"
    service = found["/etc/systemd/system/job.service"]
    assert service[names.OTEL_FIM_PERSISTENCE_USER] == "www"
    assert (
        service[names.OTEL_FIM_PERSISTENCE_COMMAND]
        == "ExecStartPre=/bin/prepare; /usr/local/bin/demo --serve"
    )
    assert service[names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    wants = bench.root / "etc/systemd/system/timers.target.wants"
    wants.mkdir()
    (wants / "job.timer").symlink_to("/etc/systemd/system/job.timer")
    assert {name: state[:2] for name, state in summary(bench).items()} == {
        "system/job.timer": ("changed", True),
        "system/job.service": ("changed", True),
    }


def test_the_directory_that_counts_most_decides_and_drop_ins_are_items(bench: Any) -> None:
    bench.write("/usr/lib/systemd/system/demo.service", UNIT.partition("[Install]")[0])
    bench.start(kinds=["systemd"])
    bench.write("/etc/systemd/system/demo.service", "[Service]\nExecStart=/tmp/x\n")
    bench.write(
        "/etc/systemd/system/demo.service.d/10-env.conf", "[Service]\nEnvironment=LD_PRELOAD=/tmp/x.so\n"
    )
    bench.write("/run/systemd/system/demo.service.d/10-env.conf", "[Service]\nNice=1\n")
    found = {str(r.attributes[names.FILE_PATH]).removeprefix(str(bench.root)): r for r in bench.look()}
    assert (
        found["/usr/lib/systemd/system/demo.service"].attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    )
    assert found["/etc/systemd/system/demo.service"].attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is True
    dropin = found["/etc/systemd/system/demo.service.d/10-env.conf"].attributes
    assert dropin[names.OTEL_FIM_PERSISTENCE_KIND] == "systemd_dropin"
    assert dropin[names.OTEL_FIM_PERSISTENCE_COMMAND] == "Environment=LD_PRELOAD=/tmp/x.so"
    assert dropin[names.OTEL_FIM_PERSISTENCE_TRIGGER] == "demo.service"
    overridden = found["/run/systemd/system/demo.service.d/10-env.conf"].attributes
    assert overridden[names.OTEL_FIM_PERSISTENCE_ENABLED] is False


def test_units_of_a_user_are_theirs_and_a_global_one_says_who_has_enabled_it(bench: Any) -> None:
    uid = os.geteuid()
    bench.write("/etc/passwd", f"alice:x:{uid}:{uid}::/home/alice:/bin/sh\n")
    bench.write("/usr/lib/systemd/user/agent.service", UNIT)
    bench.write("/home/alice/.config/systemd/user/mine.service", UNIT.replace("User=www\n", ""))
    bench.start(kinds=["systemd"])
    wants = bench.root / "home/alice/.config/systemd/user/default.target.wants"
    wants.mkdir()
    (wants / "mine.service").symlink_to("../mine.service")
    (wants / "agent.service").symlink_to("/usr/lib/systemd/user/agent.service")
    found = {
        str(r.attributes[names.FILE_PATH]).removeprefix(str(bench.root)): r.attributes for r in bench.look()
    }
    mine = found["/home/alice/.config/systemd/user/mine.service"]
    assert mine[names.OTEL_FIM_PERSISTENCE_USER] == "alice"
    assert mine[names.OTEL_FIM_PERSISTENCE_ENABLED] is True
    shared = found["/usr/lib/systemd/user/agent.service"]
    assert shared[names.OTEL_FIM_PERSISTENCE_TRIGGER] == "default.target of alice"


def test_what_systemd_run_starts_now_is_left_out_and_its_timers_are_not(bench: Any) -> None:
    bench.start(kinds=["systemd"])
    for name in ("run-u1.service", "run-u2.service", "run-u2.timer"):
        bench.write(f"/run/systemd/transient/{name}", TIMER)
    assert set(summary(bench)) == {"transient/run-u2.service", "transient/run-u2.timer"}


def test_generators_hooks_and_environment_are_items(bench: Any) -> None:
    bench.start(kinds=["systemd_hooks"])
    bench.write("/etc/systemd/system-generators/evil", "#!/bin/sh\n", mode=0o755)
    bench.write("/usr/lib/systemd/system-sleep/hook", "#!/bin/sh\n", mode=0o644)
    bench.write("/etc/environment.d/9.conf", "# no\nLD_PRELOAD=/x.so\nbad\n")
    found = {r.attributes[names.OTEL_FIM_PERSISTENCE_KIND]: r.attributes for r in bench.look()}
    assert set(found) == {"systemd_generator", "systemd_hook", "systemd_environment"}
    assert found["systemd_hook"][names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    assert found["systemd_environment"][names.OTEL_FIM_PERSISTENCE_COMMAND] == "LD_PRELOAD=/x.so; bad"
    assert sum(bench.counts.values()) == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's systemd-analyze")
@pytest.mark.parametrize("whose", ["system", "user"])
def test_the_directories_are_those_that_systemd_names(whose: str) -> None:
    environment = {"HOME": "/home/someone", "PATH": os.environ["PATH"]}
    said = subprocess.run(
        ["systemd-analyze", f"--{whose}", "unit-paths"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.split()
    known = [
        os.fsdecode(path) for path in (systemd_paths.SYSTEM if whose == "system" else systemd_paths.USER)
    ]
    shared = [path for path in said if not path.startswith("/home/someone/")]
    assert shared
    assert [path for path in shared if path not in known] == []
    assert [path for path in known if path in shared] == shared
    if whose == "user":
        own = [path for path in said if path.startswith("/home/someone/")]
        homes = systemd_paths._HOME_FIRST + systemd_paths._HOME_LAST
        assert own == [f"/home/someone/{os.fsdecode(path)}" for path in homes]


def test_syntax() -> None:
    text = b"[Service]\nExecStart=/bin/a \\\n# comment\n  b\n;no\nExecStop=/x\nExecStart=\nExecStart=/bin/c\nrubbish\n"
    found, rejected = parse_unit(b"early=1\n" + text)
    assert rejected == 2
    assert found[0] == Assignment("Service", "ExecStart", "/bin/a    b")
    assert values(found, "ExecStart") == ["/bin/c"]
    assert command_of(found, "x.service") == "/bin/c; ExecStop=/x"
    assert template_of("getty@tty1.service") == "getty@.service"
    assert activates([Assignment("Socket", "Accept", "yes")], "s.socket") == "s@.service"


UNITS = st.binary(max_size=300) | st.lists(
    st.sampled_from(
        ["[Service]", "[", "]", "ExecStart=", "=x", "\\", "#", ";", "User=a", "é", "[Install]", "Unit=y.x"]
    ),
    max_size=12,
).map(lambda parts: "\n".join(parts).encode())
NAMES = st.sampled_from([b"a.service", b"a@.socket", b"a.timer", b"b.path", b"@.service", b".service"])


@given(UNITS, NAMES)
def test_nothing_that_a_unit_may_hold_raises(data: bytes, name: bytes) -> None:
    unit = parse_unit_file(File(b"/etc/systemd/system/" + name, data, os.stat("/")))
    assert unit.item.kind.startswith("systemd_")
    assert unit.empty == (not data)
    parse_dropin(File(b"/etc/systemd/system/a.service.d/x.conf", data, os.stat("/")))
