"""The names module is the only place where a name is written, and the generated pages follow it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from otel_fim.names.registry import ATTRIBUTES, EVENTS, METRICS

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("otel_fim", "receivers", "processors", "exporters", "dashboards")
NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
TYPES = {"string", "int", "double", "boolean", "bytes", "string[]", "as the attribute"}


def modules() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if "names" not in path.parts and not path.is_symlink()
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_name_is_a_literal_outside_the_names_module(path: Path) -> None:
    known = set(ATTRIBUTES) | set(EVENTS) | set(METRICS)
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    literals = [
        f"line {node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if node.value in known
    ]
    assert not literals


def test_names_are_well_formed() -> None:
    for definition in ATTRIBUTES.values():
        assert NAME.fullmatch(definition.name), definition.name
        assert definition.type in TYPES, definition
        assert definition.meaning.endswith("."), definition
        assert definition.example
    for event in EVENTS.values():
        assert NAME.fullmatch(event.name)
        assert event.name.startswith("otel_fim.")


def test_generated_pages_are_not_stale() -> None:
    from docs.generate import pages

    stale = [str(path) for path, text in pages().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make docs`"
