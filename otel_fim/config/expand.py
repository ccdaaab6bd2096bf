"""`${env:NAME}`, `${env:NAME:-default}`, `${file:path}`, `${NAME}` and `$$`, before anything is validated.

The collector's rules (confmap/expand.go, confmap/provider/{env,file}provider), with three differences, each on
the safe side: a variable that is not set and has no default is an error, a `${` without its `}` is an error, and
what a variable or a file holds is data: a `$` in it stays as it is, so that a password needs no escaping. Only
when it holds a map or a list, which is configuration, is it looked into for further references.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otel_fim.config.errors import Problem, key_path
from otel_fim.config.scalar import Typed
from otel_fim.config.yaml_source import typed_text

Path = tuple[str | int, ...]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_MAX_DEPTH: Final = 20
_MAX_FILE_BYTES: Final = 4 * 2**20


@dataclass(slots=True)
class Expanded:
    """The tree after expansion.

    `texts` holds, for each value that was typed from a text, that text; `problems` what could not be expanded
    and `failed` where: there the tree holds None.
    """

    tree: Any = None
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    failed: set[Path] = field(default_factory=set)


class _ReferenceError(Exception):
    """A reference that cannot be followed; the message is for people."""


def expand(tree: Any, environ: Mapping[str, str]) -> Expanded:
    """`tree` with every reference in its values replaced. Keys are left alone. Raises nothing: see `problems`."""
    result = Expanded()
    result.tree = _Expander(environ, result).value(tree, (), 0)
    return result


def escape(text: str) -> str:
    """The text that expands to `text`: what `print-config` writes so that its output can be read again."""
    return re.sub(r"\$(?=[${])", "$$", text)


class _Expander:
    def __init__(self, environ: Mapping[str, str], result: Expanded) -> None:
        self._environ = environ
        self._result = result

    def value(self, value: Any, path: Path, depth: int) -> Any:
        """The expanded value; `depth` counts the variables and files that led here."""
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key), depth) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*path, index), depth) for index, item in enumerate(value)]
        if isinstance(value, Typed) and not isinstance(value.value, str):
            self._result.texts[path] = value.text
            return self.value(value.value, path, depth)
        text = value.value if isinstance(value, Typed) else value
        if not isinstance(text, str) or "$" not in text:
            return text
        try:
            found = _Scanner(text, self._environ).run()
        except _ReferenceError as error:
            return self._fail(path, str(error))
        if isinstance(found, str):
            return found
        return self._found(found, path, depth + 1)

    def _found(self, found: Typed, path: Path, depth: int) -> Any:
        if not isinstance(found.value, str):
            self._result.texts[path] = found.text
        if not isinstance(found.value, dict | list):
            return found.value
        if depth > _MAX_DEPTH:
            return self._fail(
                path, f"references lead through more than {_MAX_DEPTH} variables or files; a loop?"
            )
        return self.value(found.value, path, depth)

    def _fail(self, path: Path, message: str) -> None:
        self._result.problems.append(Problem(key_path(path), message))
        self._result.failed.add(path)


class _Scanner:
    """One text, from left to right."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        self._text = text
        self._environ = environ
        self._at = 0

    def run(self) -> str | Typed:
        """The expanded text, or a typed value when the text is one reference and nothing else."""
        if self._text.startswith("${"):
            self._at = 2
            found = self._reference()
            if self._at == len(self._text):
                return found
            self._at = 0
        return self._part(nested=False)

    def _part(self, *, nested: bool) -> str:
        """Up to the end of the text or, inside a reference, up to and over its `}`."""
        out: list[str] = []
        while self._at < len(self._text):
            if self._text.startswith("$$", self._at):
                out.append("$")
                self._at += 2
            elif self._text.startswith("${", self._at):
                self._at += 2
                out.append(self._reference().text)
            elif nested and self._text[self._at] == "}":
                self._at += 1
                return "".join(out)
            else:
                out.append(self._text[self._at])
                self._at += 1
        if nested:
            raise _ReferenceError("'${' without its '}'; a '${' that is meant as text is written '$${'")
        return "".join(out)

    def _reference(self) -> Typed:
        return _follow(self._part(nested=True), self._environ)


def _follow(reference: str, environ: Mapping[str, str]) -> Typed:
    """What `reference`, the text between `${` and `}`, stands for."""
    if reference.startswith("file:"):
        return typed_text(_read(reference.removeprefix("file:")))
    name, has_default, default = reference.removeprefix("env:").partition(":-")
    scheme = _SCHEME.match(name)
    if scheme:
        raise _ReferenceError(
            f"'${{{scheme[1]}:...}}' is not supported; there are ${{env:NAME}} and ${{file:PATH}}"
        )
    if not _NAME.fullmatch(name):
        raise _ReferenceError(
            f"{name!r} is not the name of an environment variable; text '${{' is written '$${{'"
        )
    value = environ.get(name)
    if value is None:
        if not has_default:
            raise _ReferenceError(
                f"the environment variable {name} is not set; set it, or give a default: ${{env:{name}:-default}}"
            )
        value = default
    if not _is_unicode(value):
        raise _ReferenceError(f"the environment variable {name} is not valid UTF-8")
    return typed_text(value)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read(path: str) -> str:
    """A file's text without its last line break, which editors add and secrets do not have."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise _ReferenceError(f"the file {path!r} cannot be read: {cause}") from None
    if len(content) > _MAX_FILE_BYTES:
        raise _ReferenceError(f"the file {path!r} is larger than {_MAX_FILE_BYTES // 2**20} MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _ReferenceError(f"the file {path!r} is not valid UTF-8 (byte {error.start})") from None
    return text.removesuffix("\n").removesuffix("\r")
