"""The state of correlations as bytes and back."""

from __future__ import annotations


class StateError(Exception):
    """The bytes are no state of correlations; the message says why."""
