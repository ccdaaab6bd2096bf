"""The configuration as it is used, for people: every key with its value, secrets masked."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from otel_fim.config.expand import escape
from otel_fim.config.model import plain
from otel_fim.config.scalar import plain_scalar
from otel_fim.config.secrets import mask
from otel_fim.config.validate import SECTIONS, AgentConfig, ComponentSpec

_WIDTH: Final = 110
# YAML folds all of these in a text that is not double-quoted, and a byte order mark is dropped.
_BREAKS: Final = re.compile("[\n\r\x85\u2028\u2029\ufeff]")


def config_tree(config: AgentConfig) -> dict[str, Any]:
    """The configuration with defaults filled in and secrets masked, as maps, lists and scalars."""
    tree: dict[str, Any] = {}
    for section in SECTIONS:
        specs: dict[str, ComponentSpec] = getattr(config, section)
        if specs:
            tree[section] = {id_: plain(spec.config) for id_, spec in specs.items()}
    tree["service"] = plain(config.service)
    masked: dict[str, Any] = mask(tree)
    return masked


def show(config: AgentConfig) -> str:
    """YAML that, but for masked secrets, is a configuration with the same meaning."""
    return to_yaml(_escaped(config_tree(config)))


def to_yaml(value: Any) -> str:
    """YAML that `parse_yaml` reads back to the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return escape(value) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Quotes what `plain_scalar` would not read as text, besides what YAML 1.1 would not; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS.search(text) else None if isinstance(plain_scalar(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
