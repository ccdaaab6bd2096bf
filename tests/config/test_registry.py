"""Discovery: lazy, and one bad package spoils nothing but itself."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from otel_fim.config.errors import ConfigError
from otel_fim.config.load import load_config
from otel_fim.registry import GROUPS, ComponentLoadError, Registry, UnknownComponentError

MODULES = {
    "fim_test_good": """
from otel_fim.component import Processor
from otel_fim.config.model import ComponentConfig
class Good(Processor[ComponentConfig]):
    Config = ComponentConfig
    stability = "beta"
    def process(self, records):
        return records
class NoConfig(Processor[ComponentConfig]):
    def process(self, records):
        return records
""",
    "fim_test_raises": "raise RuntimeError('out of luck')",
    "fim_test_exits": "import sys; sys.exit('bye')",
    "fim_test_needs": "import a_module_that_nobody_has",
}


def point(name: str, value: str, kind: str = "processor") -> EntryPoint:
    return EntryPoint(name, value, GROUPS[kind])


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return Registry(
        [
            point("good", "fim_test_good:Good"),
            point("raises", "fim_test_raises:X"),
            point("exits", "fim_test_exits:X"),
            point("needs", "fim_test_needs:X"),
            point("absent", "fim_test_good:Absent"),
            point("module", "fim_test_good"),
            point("unset", "fim_test_good:NoConfig"),
            point("twice", "fim_test_good:Good"),
            point("twice", "fim_test_good:Good"),
            point("good", "fim_test_good:Good", "exporter"),
            EntryPoint("foreign", "fim_test_good:Good", "somebody.elses"),
        ]
    )


def test_listing_imports_nothing(installed: Registry) -> None:
    names = ["absent", "exits", "good", "module", "needs", "raises", "twice", "unset"]
    assert installed.names("processor") == names
    assert installed.names("receiver") == []
    assert not [name for name in MODULES if name in sys.modules]


def test_loads_once(installed: Registry) -> None:
    assert installed.load("processor", "good") is installed.load("processor", "good")


@pytest.mark.parametrize(
    ("kind", "type_", "cause"),
    [
        ("processor", "raises", "RuntimeError: out of luck"),
        ("processor", "exits", "SystemExit: bye"),
        ("processor", "needs", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("processor", "absent", "AttributeError: "),
        ("processor", "module", "fim_test_good is not a subclass of otel_fim.component.Processor"),
        ("processor", "unset", "fim_test_good:NoConfig has no Config that is a subclass of ComponentConfig"),
        ("processor", "twice", "two packages provide it; uninstall one of them"),
        ("exporter", "good", "fim_test_good:Good is not a subclass of otel_fim.component.Exporter"),
    ],
)
def test_what_cannot_be_used_is_named(installed: Registry, kind: str, type_: str, cause: str) -> None:
    for _ in range(2):
        with pytest.raises(ComponentLoadError) as caught:
            installed.load(kind, type_)
        assert cause in caught.value.cause
        assert str(caught.value).startswith(f"the {kind} {type_!r} of ")


def test_unknown_types(installed: Registry) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        installed.load("processor", "god")
    assert str(caught.value).startswith("unknown processor type 'god'; did you mean 'good'? (known: absent, ")
    with pytest.raises(UnknownComponentError) as caught:
        installed.load("receiver", "x")
    assert str(caught.value) == "unknown receiver type 'x' (known: none is installed)"


def test_describe_goes_on_after_a_failure(installed: Registry) -> None:
    found = {(one.kind, one.type): one for one in installed.describe()}
    assert found["processor", "good"].stability == "beta"
    assert found["processor", "good"].error == ""
    assert found["processor", "raises"].error == "RuntimeError: out of luck"
    assert len(found) == 9


def test_a_broken_component_matters_only_when_it_is_used(
    installed: Registry, registry: Registry, minimal: str, tmp_path: Path
) -> None:
    for kind in ("receiver", "exporter"):
        for type_ in registry.names(kind):
            installed.register(kind, type_, registry.load(kind, type_))
    for type_ in registry.names("processor"):
        installed.register("processor", type_, registry.load("processor", type_))
    extra = tmp_path / "extra.yaml"
    extra.write_text("processors: {raises: {anything: 1}}")
    config = load_config([minimal, str(extra)], registry=installed)
    assert "raises" not in config.processors
    (warning,) = config.warnings
    assert str(warning) == (
        "processors.raises: configured but not used: no pipeline names it; "
        "the processor 'raises' of an unknown package cannot be loaded: RuntimeError: out of luck"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(
            [minimal, str(extra)], ["service.pipelines.logs.processors=[raises, chain]"], {}, installed
        )
    assert str(caught.value) == (
        "service.pipelines.logs.processors[0]: "
        "the processor 'raises' of an unknown package cannot be loaded: RuntimeError: out of luck"
    )


def test_this_package_s_own_components_are_found() -> None:
    found = Registry.discover()
    assert {"attack", "chain"} <= set(found.names("processor"))
    assert found.load("processor", "chain").Config.model_fields == {}
