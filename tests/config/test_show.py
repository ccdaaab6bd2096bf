"""print-config: complete, without secrets, and a configuration itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_fim.config.load import load_config
from otel_fim.config.secrets import REDACTED, mask
from otel_fim.config.show import config_tree, show
from otel_fim.registry import Registry

TESTDATA = Path(__file__).parent / "testdata"
ENVIRON = {"PASSWORD": "hunter2"}


def test_golden(registry: Registry) -> None:
    config = load_config([str(TESTDATA / "show.yaml")], (), ENVIRON, registry)
    text = show(config)
    assert text == (TESTDATA / "show.expected").read_text()
    assert "hunter2" not in text


def test_what_is_shown_is_a_configuration(registry: Registry, tmp_path: Path) -> None:
    first = load_config([str(TESTDATA / "show.yaml")], (), ENVIRON, registry)
    shown = tmp_path / "shown.yaml"
    shown.write_text(show(first))
    second = load_config([str(shown)], (), {}, registry)
    assert show(second) == show(first)
    assert second.receivers == first.receivers
    assert second.service.pipelines == first.service.pipelines


def test_data_is_not_escaped(load_minimal: Any) -> None:
    config = load_minimal("receivers: {files: {paths: ['$${a}', '$$$$']}}")
    assert config.receivers["files"].config.paths == ["${a}", "$$"]
    assert config_tree(config)["receivers"]["files"]["paths"] == ["${a}", "$$"]
    assert "$${a}" in show(config)


@pytest.mark.parametrize(
    ("tree", "masked"),
    [
        ({"password": "x"}, {"password": REDACTED}),
        (
            {"db_password": "x", "api_key": "x", "ApiKey": "x", "auth_token": "x"},
            dict.fromkeys(["db_password", "api_key", "ApiKey", "auth_token"], REDACTED),
        ),
        ({"password": "", "token": None}, {"password": "", "token": None}),
        (
            {"password_file": "/p", "tokens": "x", "secretary": "y"},
            {"password_file": "/p", "tokens": "x", "secretary": "y"},
        ),
        ({"headers": {"a": "x", "b": ""}}, {"headers": {"a": REDACTED, "b": ""}}),
        ({"a": [{"headers": {"x": "y"}}]}, {"a": [{"headers": {"x": REDACTED}}]}),
        ({"token": ["x", "y"]}, {"token": [REDACTED, REDACTED]}),
        ("http://u:p@h/x", f"http://u:{REDACTED}@h/x"),
        ("http://:p@h", f"http://:{REDACTED}@h"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("*" * 10, REDACTED),
        (5, 5),
    ],
)
def test_mask(tree: object, masked: object) -> None:
    assert mask(tree) == masked
