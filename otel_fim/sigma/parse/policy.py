"""How pySigma is to compile expressions: with RE2, which takes time linear in the text, and without RE2's own words on
standard error."""

from __future__ import annotations

from typing import Any, Final

import re2
from sigma.exceptions import SigmaRegularExpressionError
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RE2RegexEngine, RegexPattern

from otel_fim.sigma.shortening import shortened

_MAX_LENGTH: Final = 8192
_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False


class _Engine(RE2RegexEngine):
    """RE2 whose errors say what to do. A copy is itself: detections are copied, and it holds a module."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Engine:
        return self

    def compile(self, pattern: str, flags: int = 0) -> RegexPattern:
        del flags  # whether an expression can be used does not depend on them
        if len(pattern) > _MAX_LENGTH:
            raise SigmaRegularExpressionError(
                f"a regular expression has {len(pattern)} characters; at most {_MAX_LENGTH} are taken"
            )
        try:
            compiled: Any = re2.compile(pattern, _OPTIONS)
        except re2.error as error:
            why = error.args[0].decode("utf-8", "replace") if error.args else "RE2 does not take it"
            raise SigmaRegularExpressionError(
                f"the regular expression {shortened(pattern, 120)!r} cannot be used: {shortened(why, 120)}; "
                f"{_remedy(why)}"
            ) from error
        return compiled  # type: ignore[no-any-return]


def _remedy(why: str) -> str:
    if "perl operator" in why or "escape" in why:
        return "expressions are RE2's, without look-around and back-references: write it without them"
    if "repetition size" in why or "large" in why:
        return "RE2 takes repetitions up to 1000 and bounds the expression's size: make it smaller"
    return "expressions are RE2's (github.com/google/re2/wiki/Syntax)"


POLICY: Final = SigmaPolicy(regex_engine=_Engine())
