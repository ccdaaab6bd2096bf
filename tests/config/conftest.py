"""Components of every kind for configurations under test, and a way to write configurations down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from otel_fim.component import Exporter, Extension, Processor, Receiver
from otel_fim.config.load import load_config
from otel_fim.config.model import ByteSize, ComponentConfig, ConfigModel, Duration
from otel_fim.config.validate import AgentConfig
from otel_fim.registry import Registry


class FilesConfig(ComponentConfig):
    """A receiver's settings of every type that settings have."""

    paths: list[str] = Field(default=["/etc"], min_length=1)
    """Where."""
    recursive: bool = True
    """Deep."""
    settle: Duration = 0.1
    """How long."""
    max_size: ByteSize = 2**30
    """How large."""
    threads: int = Field(default=2, ge=1, le=64)
    """How many."""
    ratio: float = 0.5
    """How much."""
    backend: Literal["auto", "fanotify", "polling"] = "auto"
    """By what."""
    shape: tuple[int, ...] = (1, 2)
    """A list that is a tuple."""
    limit: int | None = 5
    """May be null."""
    one_or_many: int | list[str] = 1
    """Two types."""
    even: int = 2
    """Takes '4' too: its validator says so."""

    @field_validator("even", mode="before")
    @classmethod
    def _even(cls, value: object) -> object:
        number = int(value) if isinstance(value, str) else value
        if isinstance(number, int) and number % 2:
            raise ValueError(f"{number} is odd")
        return number


class FilesReceiver(Receiver[FilesConfig]):
    Config = FilesConfig

    def start(self) -> None:
        return None


class PassProcessor(Processor[ComponentConfig]):
    Config = ComponentConfig

    def process(self, records: list) -> list:
        return records


class TlsConfig(ConfigModel):
    """A map within a map."""

    insecure: bool = False
    """Plain."""
    ca_file: str | None = None
    """Whom to trust."""


class SendConfig(ComponentConfig):
    """An exporter's settings, with secrets."""

    endpoint: str
    """Where to."""
    password: SecretStr = SecretStr("")
    """A secret."""
    token: str = ""
    """A secret that its author forgot to declare."""
    headers: dict[str, str] = {}
    """Secrets, perhaps."""
    tls: TlsConfig = TlsConfig()
    """How."""


class SendExporter(Exporter[SendConfig]):
    Config = SendConfig

    def export(self, batch: object) -> None:
        raise NotImplementedError


class PrintExporter(Exporter[ComponentConfig]):
    Config = ComponentConfig

    def export(self, batch: object) -> None:
        raise NotImplementedError


class Beside(Extension[ComponentConfig]):
    Config = ComponentConfig


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    found.register("receiver", "files", FilesReceiver)
    found.register("processor", "attack", PassProcessor)
    found.register("processor", "chain", PassProcessor)
    found.register("exporter", "console", PrintExporter)
    found.register("exporter", "send", SendExporter)
    found.register("extension", "health", Beside)
    return found


MINIMAL = """
receivers: {files: }
processors: {attack: , chain: }
exporters: {console: }
service:
  pipelines:
    logs: {receivers: [files], processors: [attack, chain], exporters: [console]}
"""

Load = Callable[..., AgentConfig]


@pytest.fixture
def minimal(tmp_path: Path) -> str:
    """The path of the smallest configuration that has everything."""
    path = tmp_path / "minimal.yaml"
    path.write_text(MINIMAL)
    return str(path)


@pytest.fixture
def load(registry: Registry, tmp_path: Path) -> Load:
    """Loads configurations given as texts, in order."""

    def load(*texts: str, sets: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> AgentConfig:
        files = []
        for number, text in enumerate(texts):
            path = tmp_path / f"{number}.yaml"
            path.write_text(text)
            files.append(str(path))
        return load_config(files, sets, environ or {}, registry)

    return load


@pytest.fixture
def load_minimal(load: Load) -> Load:
    """Loads the minimal configuration with texts upon it."""

    def load_minimal(*texts: str, **options: object) -> AgentConfig:
        return load(MINIMAL, *texts, **options)

    return load_minimal
