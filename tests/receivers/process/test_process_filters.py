"""Include and exclude by executable, user and parent."""

from __future__ import annotations

from typing import Any

import pytest

from otel_fim.host.process import Ancestor, Process
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.receivers.process.filters import Filters

CURL = Process(
    5,
    1,
    "e",
    executable_path="/usr/bin/curl",
    effective_user_id=1000,
    ancestors=(Ancestor(4, "p", "/usr/sbin/cron", "cron"),),
)
UNKNOWN = Process(6, 1, "u")


@pytest.mark.parametrize(
    ("settings", "curl", "unknown"),
    [
        ({}, True, True),
        ({"include": {"executables": ["curl"]}}, True, True),
        ({"include": {"executables": ["/usr/*"]}}, True, True),
        ({"include": {"executables": ["/bin/*", "wget"]}}, False, True),
        ({"include": {"executables": ["/usr/bin/curl"], "users": ["bob"]}}, False, True),
        ({"include": {"users": ["alice"], "parents": ["cron"]}}, True, True),
        ({"include": {"users": ["1000"]}}, True, True),
        ({"exclude": {"executables": ["cur?"]}}, False, True),
        ({"exclude": {"executables": ["curl"], "users": ["root"]}}, True, True),
        ({"exclude": {"parents": ["*/cron"]}}, False, True),
        ({"include": {"users": ["alice"]}, "exclude": {"parents": ["cron"]}}, False, True),
    ],
)
def test_filters(settings: dict[str, Any], curl: bool, unknown: bool) -> None:
    config = ProcessConfig(**settings)
    filters = Filters(config.include, config.exclude, {1000: "alice"}.get)  # type: ignore[arg-type]
    assert filters.wants(CURL, CURL.executable_path) is curl
    assert filters.wants(UNKNOWN, None) is unknown
