"""Exponential back-off with jitter, as the collector's `retry_on_failure` configures it."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pydantic import Field

from otel_fim.config.model import ConfigModel, Duration


class RetryConfig(ConfigModel):
    """How deliveries that failed are tried again. The journal keeps the records meanwhile."""

    enabled: bool = True
    """When false a failed batch is set aside in the dead-letter file at once."""
    initial_interval: Duration = Field(default=1.0, gt=0)
    """Wait before the first retry."""
    max_interval: Duration = Field(default=30.0, gt=0)
    """Upper limit of the wait."""
    max_elapsed_time: Duration = 0.0
    """Give up, and set the batch aside, after this long. 0, the default, retries for ever."""
    multiplier: float = Field(default=1.5, ge=1.0)
    """Each wait is this much longer than the one before."""
    randomization_factor: float = Field(default=0.5, ge=0.0, le=1.0)
    """Each wait is varied by up to this share, so that a fleet does not come back in one wave."""


def delays(config: RetryConfig, random_source: random.Random | None = None) -> Iterator[float]:
    """Seconds to wait before each retry, without end.

    The interval grows by `multiplier` up to `max_interval`; each delay is drawn uniformly from
    interval × (1 ± randomization_factor), the rule of the collector's exporterhelper.
    """
    source = random_source or random.Random()  # noqa: S311 - spreads load, guards nothing
    interval = min(config.initial_interval, config.max_interval)
    while True:
        spread = config.randomization_factor * interval
        yield source.uniform(interval - spread, interval + spread)
        interval = min(interval * config.multiplier, config.max_interval)
