"""Correlations on the stream: what the referred rules matched goes in, what came true comes out.

The semantics are those of docs/detection.md.
"""

from otel_fim.processors.rules.correlate.correlator import Correlator
from otel_fim.processors.rules.correlate.limits import Cause, Eviction, StateLimits
from otel_fim.processors.rules.correlate.snapshot import StateError

__all__ = ["Cause", "Correlator", "Eviction", "StateError", "StateLimits"]
