"""From YAML text to plain values: no key twice, no surprises, and the line in every error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from otel_fim.config.errors import ConfigError, Problem
from otel_fim.config.scalar import Typed, plain_scalar

_STANDARD: Final = "tag:yaml.org,2002:"
_PLAIN: Final = "plain"
_MERGE: Final = "<<"
_TAGGED: Final = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
# Aliases are copies: without a limit nine lines of YAML can ask for all memory ("billion laughs").
_MAX_NODES: Final = 1_000_000
_MAX_DEPTH: Final = 100


class _Loader(yaml.SafeLoader):
    """Composes nodes only, and leaves it to `plain_scalar` what a scalar without quotes and tag means."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return _PLAIN
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


def parse_yaml(text: str, source: str) -> Any:
    """The document in `text` as dicts with text keys, lists and scalars; None for an empty document.

    `source` stands before the line number in errors. Raises `ConfigError` for what is not YAML, for a key that
    stands twice in one map, for an alias that contains itself and for a second document.
    """
    with _syntax_errors(source):
        node = yaml.compose(text, _Loader)
    return None if node is None else _Builder(source).build(node)


def typed_text(text: str) -> Typed:
    """The value of a text from the environment, a file or `--set`, typed by YAML as the collector does it.

    A text that YAML would read as text is kept as it stands, quotes and all, and so is one that is not YAML:
    a password may look like anything.
    """
    try:
        value = parse_yaml(text, "")
    except ConfigError:
        return Typed(text, text)
    return Typed(text if isinstance(value, str) else value, text)


@contextmanager
def _syntax_errors(source: str) -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}:{mark.line + 1}" if mark else source
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError([Problem(where, f"not YAML: {what}")]) from None
    except yaml.reader.ReaderError as error:
        raise ConfigError([Problem(source, f"not YAML: {error.reason} (U+{_code(error):04X})")]) from None
    except RecursionError:
        raise ConfigError([Problem(source, "not YAML that can be read: nested too deeply")]) from None


def _code(error: yaml.reader.ReaderError) -> int:
    character: Any = error.character  # an int or a text, depending on what was read
    return ord(character) if isinstance(character, str) else int(character)


class _Builder:
    """Turns one document's nodes into values and collects every problem before it raises."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._problems: list[Problem] = []
        self._open: list[Node] = []
        self._count = 0

    def build(self, root: Node) -> Any:
        value = self._value(root)
        if self._problems:
            raise ConfigError(self._problems)
        return value

    def _complain(self, node: Node, message: str) -> None:
        self._problems.append(Problem(f"{self._source}:{node.start_mark.line + 1}", message))

    def _value(self, node: Node) -> Any:
        self._count += 1
        if self._count > _MAX_NODES or len(self._open) > _MAX_DEPTH:
            self._complain(node, "too large: aliases or nesting beyond what a configuration needs")
            raise ConfigError(self._problems)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if any(node is outer for outer in self._open):
            self._complain(node, "an alias cannot contain itself")
            return None
        self._open.append(node)
        try:
            if isinstance(node, SequenceNode):
                return [self._value(item) for item in node.value]
            return self._mapping(node)
        finally:
            self._open.pop()

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if node.tag == _PLAIN:
            return plain_scalar(text)
        if node.tag == _STANDARD + "str":
            return text
        value = plain_scalar(text)
        kinds = _TAGGED.get(node.tag.removeprefix(_STANDARD))
        if kinds is None:
            self._complain(node, f"the tag {node.tag} is not supported")
        elif type(value) not in kinds:
            self._complain(node, f"{text!r} is not what its tag says")
        return value

    def _mapping(self, node: Node) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, "a key must be plain text")
                continue
            key: str = key_node.value
            if key == _MERGE and key_node.tag == _PLAIN:
                self._merge(value_node, merged)
                continue
            if key in lines:
                self._complain(
                    key_node, f"the key {key!r} stands twice in one map, first in line {lines[key]}"
                )
                continue
            lines[key] = key_node.start_mark.line + 1
            own[key] = self._value(value_node)
        return merged | own

    def _merge(self, node: Node, into: dict[str, Any]) -> None:
        """YAML's merge key: what the map says itself wins, then the earlier of several sources."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._complain(source, "'<<' takes a map or a list of maps")
                continue
            value = self._value(source)
            for key in value or {}:
                into.setdefault(key, value[key])
