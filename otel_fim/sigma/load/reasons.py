"""Why something is rejected, in a sentence."""

from __future__ import annotations

import re
from typing import Final

from sigma.exceptions import SigmaError

from otel_fim.sigma.lower.expressions import MeaninglessError
from otel_fim.sigma.mapping.fields import UnknownFieldError
from otel_fim.sigma.parse.detections import MalformedError

_LOCATION: Final = re.compile(r" in (?:/|\S+\.ya?ml).*$")
_REGEX: Final = re.compile(r"Regular expression '.*' is invalid: (?P<why>.*)", re.DOTALL)


def reason_of(error: Exception) -> str:
    """What is wrong, in words. Errors of ours already are; pySigma's get a remedy where we know one."""
    if isinstance(error, MalformedError | MeaninglessError | UnknownFieldError):
        return str(error)
    if isinstance(error, SigmaError):
        text = str(error.args[0]) if error.args else type(error).__name__
        found = _REGEX.fullmatch(text)
        if found is not None:
            return f"{_shortened(text)}; {_remedy(found['why'])}"
        return _shortened(text)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    if isinstance(error, ValueError) and type(error) is ValueError:
        return _shortened(str(error))
    return f"pySigma cannot read it: {type(error).__name__}: {_shortened(str(error))}"


def _remedy(why: str) -> str:
    if "perl operator" in why or "backreference" in why or "escape" in why:
        return "expressions are RE2's, without look-around and back-references: write it without them"
    if "repetition" in why or "large" in why:
        return "RE2 takes repetitions up to 1000 and bounds the expression's size: make it smaller"
    return "expressions are RE2's (github.com/google/re2/wiki/Syntax)"


def _shortened(text: str, limit: int = 400) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
