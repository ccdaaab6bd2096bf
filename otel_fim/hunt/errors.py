"""Why a hunt could not be done."""

from __future__ import annotations


class HuntError(Exception):
    """The message says what, why, and what to do about it."""


class UnreachableError(HuntError):
    """Nobody answers, or not to this user: the next question will fare no better."""
