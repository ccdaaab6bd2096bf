"""Rules written in a test, read as from a file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_fim.sigma.ir import Expression, RuleSet
from otel_fim.sigma.load import load_rules

Load = Callable[..., RuleSet]

_RULE = """
title: A rule
id: 4b1d9f0c-7d1c-4a5f-8c59-6d1b6f0c2a77
logsource: {{product: {product}}}
detection:
{detection}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the documents of a text, as the file `rules/one.yml`."""

    def loaded(text: str, **options: object) -> RuleSet:
        folder = tmp_path / "rules"
        folder.mkdir(exist_ok=True)
        (folder / "one.yml").write_text(textwrap.dedent(text), encoding="utf-8")
        return load_rules([folder], **options)

    return loaded


@pytest.fixture
def condition(load: Load) -> Callable[..., Expression]:
    """The lowered condition of a rule with this detection; `selection` when only fields are given."""

    def lowered(detection: str, product: str = "otel_fim", **options: object) -> Expression:
        body = textwrap.dedent(detection).strip("\n")
        if "condition:" not in body:
            body = f"selection:\n{textwrap.indent(body, '  ')}\ncondition: selection"
        ruleset = load(_RULE.format(product=product, detection=textwrap.indent(body, "  ")), **options)
        assert not ruleset.rejected, ruleset.rejected
        return ruleset.rules[0].condition

    return lowered


@pytest.fixture
def reason(load: Load) -> Callable[..., str]:
    """Why a rule with this detection is rejected."""

    def rejected(detection: str, product: str = "otel_fim") -> str:
        body = textwrap.dedent(detection).strip("\n")
        if "condition:" not in body:
            body = f"selection:\n{textwrap.indent(body, '  ')}\ncondition: selection"
        ruleset = load(_RULE.format(product=product, detection=textwrap.indent(body, "  ")))
        assert not ruleset.rules, ruleset.rules
        return ruleset.rejected[0].reason

    return rejected
