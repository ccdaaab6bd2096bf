"""Private hosts with real programs, and agents inside them; login_host.py tells how they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.interop.auth.agent_inside import Agent
from tests.interop.auth.login_host import KEEPERS, NEEDED, LoginHost, require


@pytest.fixture(scope="module")
def make_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LoginHost]]:
    """Hosts that run until the end of the module: `make_host("journald")`, the arguments as `LoginHost` has them."""
    made: list[LoginHost] = []

    def make(log: str = "text", more: dict[str, str] | None = None, **options: Any) -> LoginHost:
        require(NEEDED | KEEPERS[log] | (more or {}))
        host = LoginHost(tmp_path_factory.mktemp("host"), log, **options)
        made.append(host)
        host.start()
        return host

    yield make
    for host in made:
        host.stop()


@pytest.fixture(scope="module")
def make_agent() -> Iterator[Callable[..., Agent]]:
    """Agents that are started, and killed at the end of the module when they still run."""
    made: list[Agent] = []

    def make(host: LoginHost, receivers: dict[str, Any], **options: Any) -> Agent:
        agent = Agent(host, receivers, **options)
        made.append(agent)
        agent.start()
        return agent

    yield make
    for agent in made:
        agent.kill()
