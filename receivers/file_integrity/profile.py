"""The default profile: which paths a host's security rests on, for root and for an ordinary user."""

from __future__ import annotations


def default_paths() -> list[str]:
    """Paths to watch for the user that runs the agent."""
    raise NotImplementedError


def default_excludes() -> list[str]:
    """Patterns of what changes all the time and means nothing."""
    raise NotImplementedError


def default_hidden_names() -> list[str]:
    """Names of hidden files and directories that matter to security."""
    raise NotImplementedError
