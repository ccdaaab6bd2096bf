"""From files and `--set` to an `AgentConfig`: read, merge, expand, validate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from otel_fim.config.errors import ConfigError, Problem
from otel_fim.config.expand import expand
from otel_fim.config.merge import Tree, merge_all, parse_set
from otel_fim.config.shape import kind_of
from otel_fim.config.validate import AgentConfig, validate
from otel_fim.config.yaml_source import parse_yaml
from otel_fim.registry import Registry

_DEFAULT_NAME = "the embedded default"


def load_config(
    files: Sequence[str],
    sets: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
) -> AgentConfig:
    """The configuration of `files` in their order with `sets` (`a.b=v`) upon them.

    Without files: the embedded default. `environ` defaults to the process's, `registry` to what is installed.
    Raises `ConfigError` with every problem that was found.
    """
    tree = _read_all(files, sets)
    expanded = expand(tree, os.environ if environ is None else environ)
    return validate(expanded, Registry.discover() if registry is None else registry)


def default_config_text() -> str:
    """The configuration that is used when none is given: YAML with comments."""
    return resources.files(__package__).joinpath("default.yaml").read_text("utf-8")


def _read_all(files: Sequence[str], sets: Sequence[str]) -> Tree:
    problems: list[Problem] = []
    trees: list[Tree] = []
    if not files:
        trees.append(_mapping(parse_yaml(default_config_text(), _DEFAULT_NAME), _DEFAULT_NAME))
    for name in files:
        try:
            trees.append(_mapping(parse_yaml(_text(name), name), name))
        except ConfigError as error:
            problems += error.problems
    for text in sets:
        try:
            trees.append(parse_set(text))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return merge_all(trees)


def _text(name: str) -> str:
    try:
        with open(name, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise ConfigError([Problem(name, f"cannot be read: {cause}")]) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"{name}:{line}", "not valid UTF-8; save the file as UTF-8")]) from None


def _mapping(value: Any, name: str) -> Tree:
    if value is None:
        raise ConfigError([Problem(name, "is empty; a configuration has at least 'service'")])
    if not isinstance(value, dict):
        raise ConfigError(
            [Problem(name, f"a map with 'receivers', 'service' and so on is needed, not {kind_of(value)}")]
        )
    return value
