"""Which components and commands are installed: found by entry points, imported only when asked for."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from otel_fim.component import Component, Exporter, Extension, Processor, Receiver
from otel_fim.config.errors import did_you_mean
from otel_fim.config.model import ComponentConfig

GROUPS: Final = {
    "receiver": "otel_fim.receivers",
    "processor": "otel_fim.processors",
    "exporter": "otel_fim.exporters",
    "extension": "otel_fim.extensions",
}
"""The entry-point group of each kind."""

_BASES: Final[dict[str, type[Component[Any]]]] = {
    "receiver": Receiver,
    "processor": Processor,
    "exporter": Exporter,
    "extension": Extension,
}


class UnknownComponentError(LookupError):
    """No installed package has a component of this kind and type; the message lists those that there are."""


class ComponentLoadError(Exception):
    """A component is installed and cannot be used; the message names its distribution and the cause."""

    def __init__(self, kind: str, type_: str, distribution: str, cause: str) -> None:
        super().__init__(f"the {kind} {type_!r} of {distribution} cannot be loaded: {cause}")
        self.kind = kind
        self.type = type_
        self.distribution = distribution
        self.cause = cause


@dataclass(frozen=True, slots=True)
class ComponentInfo:
    """One line of `otel-fim components`; `error` is empty for a component that can be used."""

    kind: str
    type: str
    stability: str
    distribution: str
    version: str
    error: str


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    type: str
    points: tuple[importlib.metadata.EntryPoint, ...]

    @property
    def distributions(self) -> list[str]:
        return sorted({_distribution(point) for point in self.points})


class Registry:
    """The components of one environment. Listing imports nothing; each class is loaded once, when asked for."""

    def __init__(self, points: Iterable[importlib.metadata.EntryPoint] = ()) -> None:
        kinds = {group: kind for kind, group in GROUPS.items()}
        found: dict[tuple[str, str], list[importlib.metadata.EntryPoint]] = {}
        for point in points:
            if point.group in kinds:
                found.setdefault((kinds[point.group], point.name), []).append(point)
        self._entries = {key: _Entry(*key, tuple(points)) for key, points in found.items()}
        self._loaded: dict[tuple[str, str], type[Component[Any]] | ComponentLoadError] = {}

    @classmethod
    def discover(cls) -> Registry:
        """The components of the packages that are installed here."""
        return cls(
            point for group in GROUPS.values() for point in importlib.metadata.entry_points(group=group)
        )

    def register(self, kind: str, type_: str, cls: type[Component[Any]]) -> None:
        """Adds a component that no package announces, for programs that embed the agent. It wins over a package's."""
        self._entries[kind, type_] = _Entry(kind, type_, ())
        self._loaded[kind, type_] = cls

    def names(self, kind: str) -> list[str]:
        """The types of this kind, sorted. Nothing is imported."""
        return sorted(type_ for known, type_ in self._entries if known == kind)

    def load(self, kind: str, type_: str) -> type[Component[Any]]:
        """The component's class. Raises `UnknownComponentError` or `ComponentLoadError`."""
        key = (kind, type_)
        if key not in self._entries:
            raise UnknownComponentError(self._unknown(kind, type_))
        if key not in self._loaded:
            self._loaded[key] = self._load(self._entries[key])
        found = self._loaded[key]
        if isinstance(found, ComponentLoadError):
            raise found
        return found

    def describe(self) -> Iterator[ComponentInfo]:
        """Every component with what it says of itself; imports all of them."""
        for kind in GROUPS:
            for type_ in self.names(kind):
                points = self._entries[kind, type_].points
                error = stability = ""
                try:
                    stability = str(self.load(kind, type_).stability)
                except ComponentLoadError as failure:
                    error = failure.cause
                distributions = ", ".join(self._entries[kind, type_].distributions)
                yield ComponentInfo(kind, type_, stability, distributions, _version(points), error)

    def _unknown(self, kind: str, type_: str) -> str:
        names = self.names(kind)
        known = ", ".join(names) if names else "none is installed"
        return f"unknown {kind} type {type_!r}{did_you_mean(type_, names)} (known: {known})"

    def _load(self, entry: _Entry) -> type[Component[Any]] | ComponentLoadError:
        try:
            return _import(entry)
        except _UnusableError as error:
            cause = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way, also by exiting
            cause = f"{type(error).__name__}: {error}"
        return ComponentLoadError(entry.kind, entry.type, ", ".join(entry.distributions), cause)


class _UnusableError(Exception):
    """What was imported is not a component."""


def _import(entry: _Entry) -> type[Component[Any]]:
    if len(entry.points) > 1:
        raise _UnusableError("two packages provide it; uninstall one of them")
    cls = entry.points[0].load()
    base = _BASES[entry.kind]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise _UnusableError(
            f"{entry.points[0].value} is not a subclass of otel_fim.component.{base.__name__}"
        )
    config = getattr(cls, "Config", None)
    if not (isinstance(config, type) and issubclass(config, ComponentConfig)):
        raise _UnusableError(f"{entry.points[0].value} has no Config that is a subclass of ComponentConfig")
    return cls


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"


def _version(points: tuple[importlib.metadata.EntryPoint, ...]) -> str:
    return ", ".join(sorted({point.dist.version for point in points if point.dist}))
