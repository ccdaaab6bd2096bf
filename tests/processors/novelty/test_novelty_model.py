"""The processor against a model that keeps everything in plain sets, with restarts anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.processors.novelty.codec import dump, load
from otel_fim.processors.novelty.memory import Memory, key_of

_DAY = 86_400
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from("abcdef"), st.sampled_from(["one", "two"])),
        st.tuples(st.just("wait"), st.integers(1, 3 * _DAY)),
        st.tuples(st.just("restart")),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=_STEPS)
def test_first_seen_learning_and_rare_are_those_of_the_model(
    steps: list[Any], world_class: Callable[..., Any]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        world = world_class(Path(directory), learning_period="3d", rare_days=1)
        ran, begun = 0, {}
        days: dict[tuple[str, str], set[int]] = {}
        for step in steps:
            if step[0] == "wait":
                world.wait(step[1])
                ran += step[1]
            elif step[0] == "restart":
                world.restart()
            else:
                _, program, host = step
                record = world.run(f"/usr/bin/{program}", host=host)
                start = begun.setdefault(host, ran)
                known = days.setdefault((program, host), set())
                today = ran // _DAY
                is_learnt = ran - start >= 3 * _DAY
                is_new = not known
                known.add(today)
                recent = [day for day in known if day > today - 30]
                is_rare = is_learnt and not is_new and len(recent) <= 1 and (ran - start) // _DAY > 2
                attributes = record.attributes
                assert (names.OTEL_FIM_NOVELTY_FIRST_SEEN in attributes) == (is_new and is_learnt)
                assert (names.OTEL_FIM_NOVELTY_LEARNING in attributes) == (is_new and not is_learnt)
                assert (names.OTEL_FIM_NOVELTY_RARE in attributes) == is_rare


@given(
    seen=st.lists(
        st.tuples(
            st.sampled_from(["h", "\ud800", ""]), st.integers(0, 9), st.integers(0, 40), st.integers(0, 60)
        ),
        max_size=80,
    )
)
def test_a_memory_comes_back_as_it_was(seen: list[tuple[str, int, int, int]]) -> None:
    memory = Memory(1000, 10)
    for host, kind, thing, day in sorted(seen, key=lambda each: each[3]):
        memory.see(_host(memory, host), kind, key_of([str(thing)]), day)
    again = Memory(1000, 10)
    assert load(dump(memory, 77 * _DAY, names.NOVELTY_KINDS), again, names.NOVELTY_KINDS) == 77 * _DAY
    assert again.size == memory.size
    for name, host in memory.hosts.items():
        other = again.hosts[name]
        assert [list(each.items()) for each in other.things] == [list(each.items()) for each in host.things]
        assert (other.begun, other.evicted, other.last) == (host.begun, host.evicted, host.last)


def _host(memory: Memory, name: str) -> Any:
    host = memory.host(name, 5)
    assert host is not None
    return host
