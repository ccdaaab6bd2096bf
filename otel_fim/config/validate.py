"""From the expanded tree to an `AgentConfig`, with every problem found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from otel_fim.component import Component
from otel_fim.config.check import check, covered, unknown_key
from otel_fim.config.errors import ConfigError, Problem, did_you_mean, key_path
from otel_fim.config.expand import Expanded
from otel_fim.config.ids import check_pipeline_id, parse_id
from otel_fim.config.model import ComponentConfig
from otel_fim.config.service import PipelineConfig, ServiceConfig
from otel_fim.config.shape import kind_of
from otel_fim.registry import ComponentLoadError, Registry, UnknownComponentError

__all__ = ["AgentConfig", "ComponentSpec", "PipelineConfig", "ServiceConfig", "validate"]

SECTIONS: Final = {
    "extensions": "extension",
    "receivers": "receiver",
    "processors": "processor",
    "exporters": "exporter",
}
"""The sections that hold components, and the kind of each."""
ComponentClass: TypeAlias = type[Component[Any]]
_PIPELINE_SECTIONS: Final = ("receivers", "processors", "exporters")
_SEAL: Final = "chain"


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """One configured component: `kind` is receiver, processor, exporter or extension."""

    kind: str
    id: str
    type: str
    cls: ComponentClass
    config: ComponentConfig


@dataclass
class AgentConfig:
    """A valid configuration. The maps hold every configured component, also those that nothing uses."""

    receivers: dict[str, ComponentSpec]
    processors: dict[str, ComponentSpec]
    exporters: dict[str, ComponentSpec]
    extensions: dict[str, ComponentSpec]
    service: ServiceConfig
    warnings: list[Problem] = field(default_factory=list)


def validate(expanded: Expanded, registry: Registry) -> AgentConfig:
    """Raises `ConfigError` with all problems, those of the expansion first."""
    return _Validator(expanded, registry).run()


class _Validator:
    def __init__(self, expanded: Expanded, registry: Registry) -> None:
        self._expanded = expanded
        self._registry = registry
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self._specs: dict[str, dict[str, ComponentSpec]] = {}
        self._configured: dict[str, list[str]] = {}
        self._broken: dict[tuple[str, str], ComponentLoadError] = {}

    def run(self) -> AgentConfig:
        tree: dict[str, Any] = self._expanded.tree
        known = [*SECTIONS, "service"]
        for key in tree:
            if key not in known:
                self._complain((key,), unknown_key(key, known))
        for section in SECTIONS:
            self._components(section, tree.get(section))
        service = self._service(tree.get("service"))
        problems = [*self._expanded.problems, *covered(self._problems, self._expanded.failed)]
        if problems or service is None:
            raise ConfigError(problems)
        return AgentConfig(
            receivers=self._specs["receivers"],
            processors=self._specs["processors"],
            exporters=self._specs["exporters"],
            extensions=self._specs["extensions"],
            service=service,
            warnings=self._warnings,
        )

    def _complain(self, path: Iterable[str | int], message: str) -> None:
        self._problems.append(Problem(key_path(path), message))

    def _components(self, section: str, raw: Any) -> None:
        self._specs[section] = {}
        self._configured[section] = []
        if raw is None:
            return
        if not isinstance(raw, dict):
            self._complain((section,), f"a map of components is needed, not {kind_of(raw)}")
            return
        for id_, settings in raw.items():
            self._configured[section].append(id_)
            spec = self._component(section, id_, settings)
            if spec:
                self._specs[section][id_] = spec

    def _component(self, section: str, id_: str, settings: Any) -> ComponentSpec | None:
        kind = SECTIONS[section]
        try:
            type_, _ = parse_id(id_)
            cls = self._registry.load(kind, type_)
        except (ValueError, UnknownComponentError) as error:
            self._complain((section, id_), str(error))
            return None
        except ComponentLoadError as error:
            self._broken[section, id_] = error
            return None
        config, problems = check(cls.Config, settings, (section, id_), self._expanded.texts)
        self._problems += problems
        return ComponentSpec(kind, id_, type_, cls, config) if config is not None else None

    def _service(self, raw: Any) -> ServiceConfig | None:
        if raw is None:
            self._complain(("service",), "this key is required: it says which pipelines to run")
            return None
        # What refers to what is looked at in the raw values, so that a wrong key does not hide what else is wrong.
        service, problems = check(ServiceConfig, raw, ("service",), self._expanded.texts)
        self._problems += problems
        if not isinstance(raw, dict):
            return None
        used: dict[str, set[str]] = {section: set() for section in SECTIONS}
        used["extensions"] = self._references(raw.get("extensions"), "extensions", ("service", "extensions"))
        pipelines = raw.get("pipelines")
        if pipelines == {}:
            self._complain(("service", "pipelines"), "at least one pipeline is needed, such as 'logs'")
        if isinstance(pipelines, dict):
            for id_, pipeline in pipelines.items():
                for section, names in self._pipeline(id_, pipeline).items():
                    used[section] |= names
        self._unused(used)
        return service

    def _pipeline(self, id_: str, raw: Any) -> dict[str, set[str]]:
        path = ("service", "pipelines", id_)
        try:
            check_pipeline_id(id_)
        except ValueError as error:
            self._complain(path, str(error).replace("a component id", "a pipeline id"))
        if not isinstance(raw, dict):
            return {}
        processors = raw.get("processors")
        if isinstance(processors, list):
            for index, name in enumerate(processors[:-1]):
                if isinstance(name, str) and name.partition("/")[0] == _SEAL:
                    self._complain(
                        (*path, "processors", index),
                        f"{name!r} must be the last processor: it seals what the others have made",
                    )
        return {
            section: self._references(raw.get(section), section, (*path, section))
            for section in _PIPELINE_SECTIONS
        }

    def _references(self, raw: Any, section: str, path: tuple[str, ...]) -> set[str]:
        """The ids in a list of `service`; complains of those that are not configured or stand twice."""
        if not isinstance(raw, list):
            return set()
        kind = SECTIONS[section]
        seen: set[str] = set()
        for index, name in enumerate(raw):
            if not isinstance(name, str):
                continue
            if name in seen:
                self._complain((*path, index), f"{name!r} stands twice in this list")
            elif name not in self._configured[section]:
                hint = did_you_mean(name, self._configured[section])
                self._complain(
                    (*path, index), f"the {kind} {name!r} is not configured under '{section}'{hint}"
                )
            elif (section, name) in self._broken:
                self._complain((*path, index), str(self._broken[section, name]))
            seen.add(name)
        return seen

    def _unused(self, used: dict[str, set[str]]) -> None:
        for section, ids in self._configured.items():
            where = (
                "service.extensions does not name it" if section == "extensions" else "no pipeline names it"
            )
            for id_ in ids:
                if id_ in used[section]:
                    continue
                broken = self._broken.get((section, id_))
                message = f"configured but not used: {where}"
                if broken:
                    message += f"; {broken}"
                self._warnings.append(Problem(key_path((section, id_)), message))
