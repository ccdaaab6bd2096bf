"""Why something is rejected, in a sentence."""

from __future__ import annotations

from sigma.exceptions import SigmaError


def reason_of(error: Exception) -> str:
    """What is wrong, in words."""
    if type(error).__module__.startswith("otel_fim."):
        return str(error)
    if isinstance(error, SigmaError):
        return _shortened(str(error.args[0]) if error.args else type(error).__name__)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    if type(error) is ValueError:
        return _shortened(str(error))
    return f"pySigma cannot read it: {type(error).__name__}: {_shortened(str(error))}"


def _shortened(text: str, limit: int = 400) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
