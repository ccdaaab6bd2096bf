"""What holds for all tests: a property test is never failed by a slow machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("otel-fim", deadline=None)
settings.load_profile("otel-fim")
