"""YAML documents of a file, read safely: bounded in depth and in what aliases make of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from otel_fim.sigma.load.files import RuleFile
from otel_fim.sigma.load.limits import LoadLimits
from otel_fim.sigma.shortening import shortened

_BLOCK_DEPTH: Final = re.compile(r"^[ \t?-]*", re.MULTILINE)
_YAML: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_YAML}merge"
_UNAMBIGUOUS: Final = {
    f"{_YAML}int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+"),
    f"{_YAML}float": re.compile(r"[^:_]*"),
    f"{_YAML}bool": re.compile(r"true|false", re.IGNORECASE),
}
"""What YAML 1.1, which Sigma's tools read, and YAML 1.2 agree on. There is `0644`, 420 in the one, `no`, `1:30`."""


_REMEDIES: Final = {
    "cannot start any token": ": indent with spaces, not tabs, and put a text that begins with @, ` or % in quotes",
    "could not determine a constructor": ": rules hold plain texts, numbers, lists and mappings; leave the tag out",
    "integer string conversion": ": put it in quotes",
    "must be in": ": write dates as 2026-01-31, or in quotes",
    "mapping values are not allowed": ": put a text that has a colon and a space in it in quotes",
    "undefined alias": ": put a text that begins with * or & in quotes",
}


@dataclass(slots=True, frozen=True)
class Document:
    """One document: a mapping. `line` is where it begins, `index` its place in the file, from 0."""

    file: RuleFile
    index: int
    line: int
    content: dict[Any, Any]


class BadDocumentError(ValueError):
    """What is wrong with a document, with its line and, where that could be read, its title."""

    def __init__(self, line: int, reason: str, title: str = "") -> None:
        super().__init__(reason)
        self.line = line
        self.title = title


def documents(file: RuleFile, text: str, limits: LoadLimits) -> Iterator[Document | BadDocumentError]:
    """The documents of a file in order, and what is wrong with those that cannot be read. Empty ones are left out."""
    try:
        _check_depth(text, limits)
    except BadDocumentError as bad:
        yield bad
        return
    loader = yaml.CSafeLoader(text)
    index = -1
    try:
        while True:
            try:
                if not loader.check_node():
                    return
                node = loader.get_node()
            except (yaml.YAMLError, RecursionError) as error:
                yield _syntax(error)
                return
            if node is None:
                return
            index += 1
            line = node.start_mark.line + 1
            try:
                _check_nodes(node, limits)
                content = loader.construct_document(node)
            except BadDocumentError as bad:
                yield BadDocumentError(bad.line, str(bad), _title(node))
                continue
            except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
                told = _syntax(error, line)
                yield BadDocumentError(told.line, str(told), _title(node))
                continue
            if content is None:
                continue
            if not isinstance(content, dict):
                yield BadDocumentError(line, f"the document is a {_called(content)}, and a rule is a mapping")
                continue
            yield Document(file, index, line, content)
    finally:
        loader.dispose()


def _title(root: yaml.Node) -> str:
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "title" and isinstance(value, yaml.ScalarNode):
                return str(value.value)[:256]
    return ""


def _called(content: object) -> str:
    return (
        "list"
        if isinstance(content, list)
        else "text"
        if isinstance(content, str)
        else type(content).__name__
    )


def _check_depth(text: str, limits: LoadLimits) -> None:
    """libyaml composes recursively, so depth is looked at before: cheaply where brackets and indentation already bound
    it, else event by event."""
    flow = text.count("[") + text.count("{")
    block = max((len(found[0]) for found in _BLOCK_DEPTH.finditer(text)), default=0)
    if flow + block < limits.nesting:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > limits.nesting:
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise BadDocumentError(
                        line, f"more than {limits.nesting} lists and mappings within each other"
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError:
        return  # told when it is read


def _check_nodes(root: yaml.Node, limits: LoadLimits) -> None:
    """Raises for a document that aliases make larger than it may be, for one that contains itself, and for a mapping
    that has a key twice."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        children = _children(node)
        if not children:
            _check_scalar(node)
            sizes[id(node)] = 1
        elif done:
            open_.discard(id(node))
            size = 1 + sum(sizes[id(each)] for each in children)
            if size > limits.nodes:
                raise BadDocumentError(
                    node.start_mark.line + 1,
                    f"more than {limits.nodes} values, with those that aliases (`*name`) stand for",
                )
            sizes[id(node)] = size
        elif id(node) not in sizes:
            _check_keys(node)
            open_.add(id(node))
            stack.append((node, True))
            for each in children:
                if id(each) in open_:
                    raise BadDocumentError(
                        each.start_mark.line + 1, "an alias (`*name`) stands within what it names"
                    )
                stack.append((each, False))


def _check_scalar(node: yaml.Node) -> None:
    agreed = _UNAMBIGUOUS.get(node.tag)
    if agreed is not None and isinstance(node, yaml.ScalarNode) and agreed.fullmatch(node.value) is None:
        raise BadDocumentError(
            node.start_mark.line + 1,
            f"{shortened(node.value, 40)} is a text for one version of YAML and something else for another: "
            "put it in quotes, or write a plain number, true or false",
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.Node) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise BadDocumentError(key.start_mark.line + 1, "a key is a list or a mapping")
        if key.tag == _MERGE:
            continue
        if (key.tag, key.value) in seen:
            raise BadDocumentError(
                key.start_mark.line + 1, f"the key {key.value!r} stands twice in one mapping"
            )
        seen.add((key.tag, key.value))


def _syntax(error: Exception, line: int = 1) -> BadDocumentError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        line = mark.line + 1
    if isinstance(error, RecursionError):
        return BadDocumentError(line, "too many lists and mappings within each other")
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    remedy = next((remedy for part, remedy in _REMEDIES.items() if part in str(problem)), "")
    if "integer string conversion" in str(problem):
        problem = "a number has thousands of digits"
    return BadDocumentError(line, f"invalid YAML: {problem}{f' {context}' if context else ''}{remedy}")
