"""Samples: that there are some, that they can be read, and that records could look like this."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final

from otel_fim.config.errors import did_you_mean
from otel_fim.names.registry import ATTRIBUTES, EVENTS
from otel_fim.processors.rules.command.check_detection import is_known
from otel_fim.processors.rules.command.problems import Problem
from otel_fim.processors.rules.command.reading import SAMPLES, samples_path
from otel_fim.processors.rules.command.samples import Case, SampleError, read_samples
from otel_fim.record import AnyValue
from otel_fim.sigma.load.files import RuleFile

_CHECK: Final = "samples"
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "int": (int,),
    "boolean": (bool,),
    "double": (int, float),
    "string[]": (list,),
    "bytes": (bytes,),
}


def samples_of(file: RuleFile, title: str) -> Iterator[Problem]:
    """What is wrong with the samples of a rule file of the pack."""
    path = samples_path(file.path)
    if not os.path.exists(path):
        yield Problem(
            file.shown, 1, title, _CHECK, f"it has no samples: write {os.path.basename(path)} beside it"
        )
        return
    try:
        cases = read_samples(path)
    except SampleError as error:
        yield Problem(path, 1, title, _CHECK, str(error))
        return
    for key, matches in (("match", True), ("no_match", False)):
        if not any(case.matches is matches for case in cases):
            yield Problem(path, 1, title, _CHECK, f"there is no case of `{key}`")
    seen: set[str] = set()
    for case in cases:
        if case.about in seen:
            yield Problem(path, 1, title, _CHECK, f"two cases are about {case.about!r}")
        seen.add(case.about)
        for message in sorted(set(_strange(case))):
            yield Problem(path, 1, title, _CHECK, f"{case.about}: {message}")


def _strange(case: Case) -> Iterator[str]:
    """What no record of the agent has."""
    for record in case.records:
        if record.event_name and record.event_name not in EVENTS:
            yield f"there is no event {record.event_name!r}{did_you_mean(record.event_name, EVENTS)}"
        for name, value in record.attributes.items():
            if not is_known(name):
                yield f"no record has {name!r}{did_you_mean(name, ATTRIBUTES)}"
            elif name in ATTRIBUTES and not _fits(value, ATTRIBUTES[name].type):
                yield f"{name} is {value!r}, and in records it is of type {ATTRIBUTES[name].type}"


def _fits(value: AnyValue, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES.get(kind, (object,)))


def orphans(folders: Sequence[str]) -> Iterator[Problem]:
    """Samples that no rule file stands beside."""
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(SAMPLES) and not os.path.exists(path.removesuffix(SAMPLES) + ".yml"):
                yield Problem(
                    path,
                    1,
                    "",
                    _CHECK,
                    "there is no rule beside these samples: are they called like its file?",
                )
