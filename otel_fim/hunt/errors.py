"""Why a hunt could not be done."""

from __future__ import annotations


class HuntError(Exception):
    """The message says what, why, and what to do about it."""
