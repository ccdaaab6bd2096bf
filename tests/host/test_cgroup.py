"""Containers and units from /proc/PID/cgroup."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.host.cgroup import CGroup, parse_cgroup
from otel_fim.host.quick import read_small

ID = "3f2a" * 16
CASES = [
    ("0::/", None, None),
    ("0::/init.scope", None, "init.scope"),
    ("0::/system.slice/cron.service", None, "cron.service"),
    ("0::/system.slice/system-getty.slice/getty@tty1.service", None, "getty@tty1.service"),
    ("0::/user.slice/user-1000.slice/session-3.scope", None, "session-3.scope"),
    ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/sshd.service", None, "user@1000.service"),
    ("0::/system.slice", None, "system.slice"),
    ("0::/system.slice/_cpu.service", None, "cpu.service"),
    (f"0::/system.slice/docker-{ID}.scope", ID, f"docker-{ID}.scope"),
    (f"0::/docker/{ID}", ID, None),
    (f"12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/", ID, None),
    (f"11:cpu:/kubepods/burstable/pod1a2b/{ID}", ID, None),
    (
        f"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1a.slice/cri-containerd-{ID}.scope",
        ID,
        f"cri-containerd-{ID}.scope",
    ),
    (f"0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope/container", ID, f"crio-{ID}.scope"),
    (f"0::/kubepods.slice/crio-conmon-{ID}.scope", None, f"crio-conmon-{ID}.scope"),
    (
        f"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}",
        ID,
        "containerd.service",
    ),
    (f"0::/machine.slice/libpod-{ID}.scope/container", ID, f"libpod-{ID}.scope"),
    (f"0::/machine.slice/libpod-conmon-{ID}.scope", None, f"libpod-conmon-{ID}.scope"),
    (
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
        ID,
        "user@1000.service",
    ),
    ("0::/lxc.payload.web/system.slice/nginx.service", "web", None),
    ("5:devices:/lxc/web/init.scope\n0::/", "web", None),
    ("0::/lxc.monitor.web", None, None),
    ("0::/machine.slice/systemd-nspawn@web.service/payload", "web", "systemd-nspawn@web.service"),
    (
        f"9:memory:/ecs/0123456789abcdef0123456789abcdef/{'0' * 31}a-1234567890",
        f"{'0' * 31}a-1234567890",
        None,
    ),
    (f"0::/docker/{'b' * 64}/docker/{ID}", ID, None),
    (f"4:memory:/process/{'c' * 32}", None, None),
]


@pytest.mark.parametrize(("content", "container", "unit"), CASES, ids=[case[0][:60] for case in CASES])
def test_shapes(content: str, container: str | None, unit: str | None) -> None:
    found = parse_cgroup(content.encode() + b"\n")
    assert (found.container_id, found.systemd_unit) == (container, unit)
    assert found.line in content.split("\n")
    assert found.line.endswith(found.path)


def test_with_both_versions_systemds_group_tells() -> None:
    both = b"5:cpu,cpuacct:/a/b/c\n1:name=systemd:/system.slice/cron.service\n0::/\n"
    assert parse_cgroup(both).systemd_unit == "cron.service"


def test_our_own() -> None:
    content = read_small(b"/proc/%d/cgroup" % os.getpid())
    assert parse_cgroup(content).line.encode() in content.split(b"\n")


@given(
    st.one_of(
        st.binary(max_size=200), st.text(alphabet="0123:/abcdef-.slicecop\n", max_size=80).map(str.encode)
    )
)
def test_anything_is_a_group_or_none(content: bytes) -> None:
    found = parse_cgroup(content)
    assert found == CGroup("") or found.path.startswith("/")
