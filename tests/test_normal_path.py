"""Paths without their numbers and random parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.normal import MAX_CHARACTERS, normal_path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/16/bin/postgres"),
        ("/proc/1234/exe", "/proc/9/exe"),
        (
            "/var/lib/docker/overlay2/4f5e6d7c8b9a0f1e/merged/bin/sh",
            "/var/lib/docker/overlay2/00aa11bb22cc33dd/merged/bin/sh",
        ),
        ("/tmp/tmp.Xk2fQz81Lm/a", "/tmp/tmp.aaaaaaaaaa/a"),
        ("/tmp/tmpab12_x9z/a", "/tmp/tmpqqqqqqqq/a"),
        ("/tmp/go-build123/b001/exe/main", "/tmp/go-build9876543/b002/exe/main"),
        ("/srv/abcdefab-face-4bad-8bad-deadbeefcafe", "/srv/123e4567-e89b-12d3-a456-426614174000"),
        ("/srv/6F9619FF-8B86-D011-B42D-00CF4FC964FF", "/srv/123e4567-e89b-12d3-a456-426614174000"),
        ("/srv/550e8400-e29b-41d4-a716-446655440000", "/srv/123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert normal_path(one) == normal_path(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/usr/bin/vim", "/usr/bin/vi"),
        ("/tmp/payload", "/tmp/dropper"),
        ("/opt/decade/x", "/opt/facade/x"),
        ("/etc/tmpfiles.d", "/etc/tmpwhatever"),
    ],
)
def test_different(one: str, other: str) -> None:
    assert normal_path(one) != normal_path(other)


@given(st.text())
def test_any_text(path: str) -> None:
    normal = normal_path(path)
    assert len(normal) <= MAX_CHARACTERS
    assert normal.count("/") == path[:MAX_CHARACTERS].count("/")
