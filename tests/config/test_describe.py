"""Rows for the documentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from otel_fim.config.describe import FieldDoc, describe
from otel_fim.config.model import ByteSize, ComponentConfig, ConfigModel, Duration
from otel_fim.config.validate import ServiceConfig


class Inner(ConfigModel):
    size: ByteSize = 2**20
    """How
    large."""


class Outer(ComponentConfig):
    endpoint: str
    """Where to."""
    timeout: Duration = 5.0
    """How long."""
    mode: Literal["a", "b"] = "a"
    """Which."""
    names: list[str] = Field(default_factory=list)
    """Whose."""
    host: str = Field(default_factory=lambda: "this one")
    """Known at start."""
    secret: SecretStr = SecretStr("")
    """Hidden."""
    inner: Inner = Inner()
    """More."""
    maybe: Inner | None = None
    """Perhaps."""
    many: dict[str, list[Inner]] = {}
    """Many."""
    class_: str | None = Field(default=None, alias="class")
    """Named otherwise."""


def test_every_kind_of_key() -> None:
    assert describe(Outer) == [
        FieldDoc("endpoint", "text", "required", "Where to."),
        FieldDoc("timeout", "duration", "5s", "How long."),
        FieldDoc("mode", "`a` or `b`", "a", "Which."),
        FieldDoc("names", "list of text", "[]", "Whose."),
        FieldDoc("host", "text", "computed", "Known at start."),
        FieldDoc("secret", "secret text", '""', "Hidden."),
        FieldDoc("inner", "map", "", "More."),
        FieldDoc("inner.size", "size", "1MiB", "How large."),
        FieldDoc("maybe", "map", "null", "Perhaps."),
        FieldDoc("maybe.size", "size", "1MiB", "How large."),
        FieldDoc("many", "map of list of map", "{}", "Many."),
        FieldDoc("many.<name>[].size", "size", "1MiB", "How large."),
        FieldDoc("class", "text", "null", "Named otherwise."),
    ]


def test_the_service_is_documented_throughout() -> None:
    rows = describe(ServiceConfig)
    assert [row.path for row in rows if not row.text] == []
    paths = [row.path for row in rows]
    assert len(paths) == len(set(paths))
    assert "pipelines.<name>.receivers" in paths
    assert "journal.retention.max_bytes" in paths
    assert "telemetry.metrics.readers[].pull.exporter.prometheus.port" in paths
