"""XML without anything that can be expanded, fetched or nested without end: elements, attributes and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

_DEEPEST: Final = 64
_MOST_ELEMENTS: Final = 50_000


class RefusedXmlError(ValueError):
    """It is no XML, has a DOCTYPE, or is too deep or too large."""


@dataclass(slots=True)
class Element:
    """`name` without its namespace."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts).strip()

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def first(self, *path: str) -> Element | None:
        """The first element along the path of names; None when there is none."""
        found: Element | None = self
        for name in path:
            found = next((child for child in found.children if child.name == name), None) if found else None
        return found

    def text_at(self, *path: str) -> str:
        """The text of the first element along the path, empty when there is none."""
        found = self.first(*path)
        return "" if found is None else found.text


def parse_xml(data: bytes) -> Element:
    """The root element; the encoding is that of the byte order mark or the declaration (UTF-8, UTF-16, Latin-1).

    Raises `RefusedXmlError`.
    """
    parser = expat.ParserCreate()
    root = Element("", {})
    stack = [root]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) > _DEEPEST or count > _MOST_ELEMENTS:
            raise RefusedXmlError("too deep or too many elements")
        element = Element(name.rpartition(":")[2], attributes)
        stack[-1].children.append(element)
        stack.append(element)

    def end(name: str) -> None:
        del name
        stack.pop()

    def text(content: str) -> None:
        stack[-1].parts.append(content)

    def doctype(*_: object) -> None:
        raise RefusedXmlError("it has a DOCTYPE")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise RefusedXmlError(str(error)) from error
    return root.children[0]
