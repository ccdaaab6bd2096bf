"""One map against one model: pydantic's findings, said so that a person knows what to change."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from otel_fim.config import shape
from otel_fim.config.errors import Problem, did_you_mean, key_path
from otel_fim.config.model import ConfigModel
from otel_fim.config.shape import Path

ModelT = TypeVar("ModelT", bound=ConfigModel)

_ROUNDS: Final = 10


def check(
    model: type[ModelT], raw: Any, base: Path, texts: Mapping[Path, str]
) -> tuple[ModelT | None, list[Problem]]:
    """The model made from `raw`, or None with every problem found; `base` is where `raw` stands.

    `texts` are the texts that values were typed from (see `expand`): where the model wants text, it gets the
    text. A null stands for the default, as in the collector.
    """
    value = {} if raw is None else copy.deepcopy(raw)
    if not isinstance(value, dict):
        return None, [Problem(key_path(base), f"a map of keys is needed, not {shape.kind_of(value)}")]
    errors: list[ErrorDetails] = []
    for _ in range(_ROUNDS):
        try:
            result = model.model_validate(value)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        except Exception as error:  # noqa: BLE001 - another package's model may fail in any way
            return None, [Problem(key_path(base), f"cannot be checked: {type(error).__name__}: {error}")]
        else:
            problems = shape.conversions(model, value, base)
            return (None, problems) if problems else (result, [])
        repaired = [_repair(model, value, error, base, texts) for error in errors]
        if not any(repaired):
            break
    return None, _unite(
        [
            *shape.conversions(model, value, base),
            *(_problem(model, value, error, base) for error in errors),
        ]
    )


def _repair(
    model: type[ConfigModel],
    value: dict[str, Any],
    error: ErrorDetails,
    base: Path,
    texts: Mapping[Path, str],
) -> bool:
    """Gives a key that wants text its text, and a key that is null its default. True when something changed."""
    path = _data_path(value, error)
    if not path or error["type"] in ("missing", "extra_forbidden"):
        return False
    parent = _get(value, path[:-1])
    last = path[-1]
    here = parent[last]
    if error["type"] == "string_type" and (*base, *path) in texts and not isinstance(here, str):
        parent[last] = texts[*base, *path]
        return True
    if isinstance(parent, dict) and here is None and last in shape.known_keys(model, path[:-1]):
        del parent[last]
        return True
    return False


def _data_path(value: Any, error: ErrorDetails) -> Path:
    """The error's place in the data. pydantic's own location also names union members and validators."""
    path: list[str | int] = []
    here = value
    steps = error["loc"]
    for index, step in enumerate(steps):
        is_item = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if is_item or (isinstance(here, dict) and step in here):
            here = here[step]
        elif not (error["type"] == "missing" and index == len(steps) - 1):
            continue
        path.append(step)
    return tuple(path)


def _get(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _problem(model: type[ConfigModel], value: Any, error: ErrorDetails, base: Path) -> Problem:
    path = _data_path(value, error)
    full = key_path((*base, *path))
    if error["type"] == "extra_forbidden":
        known = shape.known_keys(model, path[:-1])
        return Problem(full, unknown_key(str(path[-1]) if path else "", known))
    return Problem(full, _sentence(error))


def unknown_key(key: str, known: list[str]) -> str:
    """The sentence for a key that is not known, with the nearest one that is, or all of them."""
    hint = did_you_mean(key, known)
    if not hint:
        hint = f" (known: {', '.join(sorted(known))})" if known else "; there is nothing to set here"
    return f"unknown key{hint}"


_WANTED: Final = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a map of keys",
    "model": "a map of keys",
    "path": "a path",
    "url": "a URL",
    "bytes": "text",
}
_COMPARED: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


def _sentence(error: ErrorDetails) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    wanted = _WANTED.get(kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float"))
    if kind == "missing":
        return "this key is required"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", error["msg"]))
    if wanted and kind.endswith(("_type", "_parsing", "_from_float")):
        quotes = "; put it in quotes" if wanted == "text" and isinstance(given, bool | int | float) else ""
        return f"{wanted} is needed, not {_given(kind, given)}{quotes}"
    if kind in ("literal_error", "enum"):
        return _choice(str(context["expected"]), given)
    if kind in _COMPARED:
        word, key = _COMPARED[kind]
        return f"must be {word} {_number(context[key])}"
    if kind in ("too_short", "too_long"):
        limit = context["min_length" if kind == "too_short" else "max_length"]
        return f"{'at least' if kind == 'too_short' else 'at most'} {limit} {_entries(limit)} needed"
    message = error["msg"]
    return message[:1].lower() + message[1:]


def _number(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _entries(count: int) -> str:
    return "entry is" if count == 1 else "entries are"


def _given(kind: str, given: Any) -> str:
    if kind == "int_from_float":
        return repr(given)
    return shape.kind_of(given)


def _choice(expected: str, given: Any) -> str:
    known = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
    hint = did_you_mean(given, known) if isinstance(given, str) else ""
    return f"must be {expected}{hint}"


def _unite(problems: list[Problem]) -> list[Problem]:
    """One problem a path: of several alternatives that did not fit, one sentence."""
    united: dict[str, list[str]] = {}
    for problem in problems:
        messages = united.setdefault(problem.path, [])
        if problem.message not in messages:
            messages.append(problem.message)
    return [Problem(path, ", or ".join(messages)) for path, messages in united.items()]


def covered(problems: list[Problem], failed: set[Path]) -> Iterator[Problem]:
    """The problems that do not merely follow from a value that could not be expanded."""
    prefixes = {key_path(path) for path in failed}
    for problem in problems:
        if not any(_within(problem.path, prefix) for prefix in prefixes):
            yield problem


def _within(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "["))
