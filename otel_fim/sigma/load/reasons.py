"""Why something is rejected, in a sentence."""

from __future__ import annotations

from typing import Final

from sigma.exceptions import SigmaError
from sigma.rule import SigmaLevel, SigmaStatus

from otel_fim.sigma.shortening import shortened

_REMEDIES: Final = {
    "valid Sigma rule level": f"there are {', '.join(each.name.lower() for each in SigmaLevel)}",
    "valid Sigma rule status": f"there are {', '.join(each.name.lower() for each in SigmaStatus)}",
    "rule identifier must be an UUID": "write one, or leave id out",
    "related identifier must be an UUID": "write one, or leave related out",
    "have a log source": "write logsource with a category, product or service",
    "log source can't be empty": "write a category, product or service",
    "tag must start with namespace": "write it as in attack.t1059",
}
"""What to do about some of what pySigma says."""


def reason_of(error: Exception) -> str:
    """What is wrong, in words."""
    if type(error).__module__.startswith("otel_fim."):
        return str(error)
    if isinstance(error, SigmaError):
        said = _in_a_line(str(error.args[0]) if error.args else type(error).__name__)
        remedy = next((remedy for part, remedy in _REMEDIES.items() if part in said), "")
        return f"{said}: {remedy}" if remedy else said
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    if type(error) is ValueError:
        return _in_a_line(str(error))
    return f"pySigma cannot read it: {type(error).__name__}: {_in_a_line(str(error))}"


def _in_a_line(text: str) -> str:
    return shortened(" ".join(text.split()), 400)
