"""Reading Sigma rules: files and folders become a `RuleSet`, and what is wrong is named.

`load_rules` reads them in this process (it brings pySigma with it: about 60 MB), `load_isolated` in a child with
limits, which is how the agent does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from otel_fim.sigma.ir import RuleSet
from otel_fim.sigma.load.files import pack_path
from otel_fim.sigma.load.isolated import load_isolated
from otel_fim.sigma.load.limits import LoadLimits

__all__ = ["LoadLimits", "load_isolated", "load_rules", "pack_path"]

_NONE: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
_LIMITS: Final = LoadLimits()


def load_rules(
    paths: Sequence[str | Path],
    *,
    placeholders: Mapping[str, Sequence[str]] = _NONE,
    limits: LoadLimits = _LIMITS,
) -> RuleSet:
    """The rules, correlations and filters of files and folders (`*.yml` and `*.yaml` within, except
    `*.samples.yml`).

    `placeholders` are the values of `%name%` in values with the modifier `expand`. Never raises for what the files
    hold: `rejected` of the result names each document that does not run, and why.
    """
    from otel_fim.sigma.load.loading import Loading

    return Loading(limits, placeholders).load(paths)
