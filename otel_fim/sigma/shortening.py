"""Texts of rules within sentences about them."""

from __future__ import annotations


def shortened(text: str, limit: int) -> str:
    """The text in at most `limit` characters, with an ellipsis where it is longer."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
