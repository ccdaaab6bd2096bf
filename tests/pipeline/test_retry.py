from __future__ import annotations

import random
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from otel_fim.pipeline.retry import RetryConfig, delays


@given(
    st.floats(0.001, 10),
    st.floats(0.001, 100),
    st.floats(1, 10),
    st.floats(0, 1),
    st.integers(),
)
def test_each_delay_lies_within_the_jitter_of_its_interval(
    initial: float, maximum: float, multiplier: float, jitter: float, seed: int
) -> None:
    config = RetryConfig(
        initial_interval=initial, max_interval=maximum, multiplier=multiplier, randomization_factor=jitter
    )
    interval = min(initial, maximum)
    for delay in islice(delays(config, random.Random(seed)), 20):
        assert interval * (1 - jitter) * 0.999 <= delay <= interval * (1 + jitter) * 1.001
        interval = min(interval * multiplier, maximum)


def test_the_collector_s_defaults_without_an_end() -> None:
    config = RetryConfig()
    assert config.max_elapsed_time == 0
    assert (config.max_interval, config.multiplier, config.randomization_factor) == (30.0, 1.5, 0.5)
