"""What a set of rules may be at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class LoadLimits:
    """Beyond a limit a file or a rule is rejected and named; the rest is loaded."""

    file_bytes: int = 2**20
    """Of one file."""
    files: int = 50_000
    """Files that are read."""
    nesting: int = 30
    """Lists and mappings within each other in a document."""
    nodes: int = 100_000
    """Values of one document, with those that aliases stand for."""
    memory_bytes: int = 2**30
    """`load_isolated`: address space of the child process."""
    seconds: float = 300.0
    """`load_isolated`: how long all of it may take."""
    file_seconds: float = 20.0
    """`load_isolated`: how long one file may take, on a machine that has time for it."""
    restarts: int = 20
    """`load_isolated`: how many files may end the child before the rest is given up."""
