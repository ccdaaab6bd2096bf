"""A model's keys as rows of a table, for the documentation."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from otel_fim.config import shape
from otel_fim.config.model import ByteSize, Duration

REQUIRED: Final = "required"
COMPUTED: Final = "computed"


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One key: `path` as in an error (`readers[].pull`, `pipelines.<name>.receivers`), `type` in words.

    `default` is the default as YAML would write it on one line, `required`, `computed` when it depends on the
    host, or empty for a map whose keys have rows of their own. `text` is the field's docstring on one line.
    """

    path: str
    type: str
    default: str
    text: str


def describe(model: type[BaseModel]) -> list[FieldDoc]:
    """The model's keys, those of inner models after the key that holds them."""
    return list(_fields(model, ""))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[FieldDoc]:
    for key, (_, field) in shape.keys_of(model).items():
        path = f"{prefix}.{key}" if prefix else key
        text = " ".join(inspect.cleandoc(field.description or "").split())
        inner = list(_inner(field.annotation, path))
        direct = any(where == path for where, _ in inner)
        has_rows = direct and not field.is_required() and field.default is not None
        default = "" if has_rows else _default(field)
        yield FieldDoc(path, _type(field), default, text)
        for where, deeper in inner:
            yield from _fields(deeper, where)


def _inner(annotation: Any, path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models below an annotation, and the path of each."""
    for option in shape.alternatives(annotation):
        arguments = get_args(option)
        if isinstance(option, type) and issubclass(option, BaseModel):
            yield path, option
        elif get_origin(option) in (list, tuple, set, frozenset) and arguments:
            yield from _inner(arguments[0], f"{path}[]")
        elif get_origin(option) is dict:
            yield from _inner(arguments[1], f"{path}.<name>")


def _type(field: FieldInfo) -> str:
    for wanted, name in ((Duration, "duration"), (ByteSize, "size")):
        metadata = get_args(wanted)[1:]
        if any(item in field.metadata for item in metadata):
            return name
    return shape.type_name(field.annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    if field.default_factory is not None:
        return {list: "[]", dict: "{}"}.get(field.default_factory, COMPUTED)  # type: ignore[call-overload, no-any-return]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    value = TypeAdapter(kind).dump_python(field.default, mode="json", exclude_none=True)
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
