"""What kind of document it is, and whether it can be one of Sigma's at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_KINDS: Final = ("detection", "correlation", "filter")
_TAXONOMY: Final = "sigma"


def kind_of(content: Mapping[Any, Any]) -> str:
    """`detection`, `correlation` or `filter`. Raises `ValueError` with what is wrong."""
    if "action" in content:
        raise ValueError("`action` is Sigma 1's: write each rule as a document of its own")
    if not isinstance(content.get("id", ""), str):
        raise ValueError("the id must be a UUID, as text: write one, or leave id out")
    title = content.get("title")
    if not isinstance(title, str) or not title.strip():
        raise ValueError("the title is missing or no text: write one")
    if content.get("status") == "unsupported":
        raise ValueError(
            "its status is unsupported, so it says itself that it cannot be used: mend it, or remove it"
        )
    taxonomy = content.get("taxonomy", _TAXONOMY)
    if taxonomy != _TAXONOMY:
        raise ValueError(
            f"its taxonomy is {taxonomy!r}, and fields are read as those of Sigma's own: translate it, and write "
            f"`taxonomy: {_TAXONOMY}`, or leave that out"
        )
    kinds = [kind for kind in _KINDS if kind in content]
    if not kinds:
        raise ValueError(
            "it has neither detection nor correlation nor filter, so it is no rule: write one of them"
        )
    if len(kinds) > 1:
        raise ValueError(f"it has {' and '.join(kinds)}: write a document for each")
    return kinds[0]
