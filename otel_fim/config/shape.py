"""What a model expects at a path: for suggestions, for the documentation, and against silent conversion.

pydantic turns the text `"yes"` into true and `"5"` into 5 unless it is strict, and strict it refuses the lists and
texts of YAML for tuples, paths and enumerations. So numbers and truth values are looked at here, as the
collector does, and everything else is pydantic's.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic.functional_validators import BeforeValidator, PlainValidator, WrapValidator

from otel_fim.config.errors import Problem, key_path

Path = tuple[str | int, ...]

_VALIDATORS: Final = (BeforeValidator, PlainValidator, WrapValidator)
_EARLY: Final = frozenset({"before", "wrap", "plain"})


def key_of(name: str, field: FieldInfo) -> str:
    """The field's key in YAML."""
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def keys_of(model: type[BaseModel]) -> dict[str, tuple[str, FieldInfo]]:
    """The model's keys in order of definition, each with the field's name and the field."""
    return {key_of(name, field): (name, field) for name, field in model.model_fields.items()}


def alternatives(annotation: Any) -> list[Any]:
    """The types that a value may have, without the wrappers around them."""
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        # What a validator takes is unknown; only the validator can say.
        return [annotation] if any(isinstance(item, _VALIDATORS) for item in metadata) else alternatives(base)
    if get_origin(annotation) in (Union, types.UnionType):
        return [found for part in get_args(annotation) for found in alternatives(part)]
    return [annotation]


def field_type(model: type[BaseModel], name: str, field: FieldInfo) -> Any:
    """The field's annotation, with its validators."""
    early = any(
        name in decorator.info.fields and decorator.info.mode in _EARLY
        for decorator in model.__pydantic_decorators__.field_validators.values()
    )
    if early or any(isinstance(item, _VALIDATORS) for item in field.metadata):
        return Annotated[field.annotation, BeforeValidator(_anything)]
    return field.annotation


def _anything(value: object) -> object:
    return value


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models among the alternatives."""
    return [
        found
        for found in alternatives(annotation)
        if isinstance(found, type) and issubclass(found, BaseModel)
    ]


def below(annotation: Any, step: str | int) -> list[Any]:
    """The types that may stand one step down."""
    found: list[Any] = []
    for option in alternatives(annotation):
        origin, arguments = get_origin(option), get_args(option)
        if isinstance(option, type) and issubclass(option, BaseModel):
            entry = keys_of(option).get(str(step))
            if entry:
                found.append(field_type(option, *entry))
        elif isinstance(step, str) and isinstance(origin, type) and issubclass(origin, dict) and arguments:
            found.append(arguments[1])
        elif isinstance(step, int) and origin in (list, tuple, set, frozenset) and arguments:
            found.append(arguments[0])
    return found


def at(model: type[BaseModel], path: Path) -> list[Any]:
    """The types that may stand at `path` below `model`; empty for a path that the model does not know."""
    found: list[Any] = [model]
    for step in path:
        found = [deeper for option in found for deeper in below(option, step)]
    return found


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the map at `path` may have."""
    return [key for option in at(model, path) for inner in models_in(option) for key in keys_of(inner)]


def conversions(model: type[BaseModel], value: Any, base: Path) -> list[Problem]:
    """The values below `value` that pydantic would quietly turn into a number or a truth value."""
    return [Problem(key_path((*base, *path)), message) for path, message in _walk([model], value, ())]


def _walk(options: list[Any], value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    flat = [found for option in options for found in alternatives(option) if found is not type(None)]
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    elif flat and all(option in (int, float, bool) for option in flat) and not _fits(flat, value):
        yield path, expected_scalar(flat, value)
    for key, item in items:
        deeper = [found for option in flat if not _reshapes(option) for found in below(option, key)]
        if deeper:
            yield from _walk(deeper, item, (*path, key))


def _reshapes(option: Any) -> bool:
    """Whether a model looks at its map before pydantic does: then the map need not look like the model."""
    if not (isinstance(option, type) and issubclass(option, BaseModel)):
        return False
    validators = option.__pydantic_decorators__.model_validators.values()
    return any(decorator.info.mode in _EARLY for decorator in validators)


def _fits(options: list[Any], value: Any) -> bool:
    if isinstance(value, bool):
        return bool in options
    if isinstance(value, float):
        # A whole number written as 5.0 is pydantic's to judge.
        return int in options or float in options
    return value is None or (isinstance(value, int) and (int in options or float in options))


def expected_scalar(options: list[Any], value: Any) -> str:
    """The sentence for a value of the wrong type."""
    wanted = "true or false" if options == [bool] else "a number" if float in options else "a whole number"
    return f"{wanted} is needed, not {kind_of(value)}"


def kind_of(value: Any) -> str:
    """What a YAML value is, without showing it: it may be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a truth value"
    names = {int: "a number", float: "a number", str: "text", list: "a list", dict: "a map"}
    return names.get(type(value), type(value).__name__)


def type_name(annotation: Any) -> str:
    """The type in the words of the documentation: `text`, `list of text`, `'a' or 'b'`."""
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        SecretStr: "secret text",
    }
    if get_origin(annotation) is Annotated:
        return type_name(get_args(annotation)[0])
    options = alternatives(annotation)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(type_name(option) for option in options if option is not type(None)))
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (list, tuple, set, frozenset):
        return f"list of {type_name(arguments[0])}" if arguments else "list"
    if origin is dict:
        return f"map of {type_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "map"
    return names.get(annotation, getattr(annotation, "__name__", "text"))
