"""Whole configurations: what is made of them, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_fim.component import Component
from otel_fim.config.errors import ConfigError
from otel_fim.config.load import default_config_text, load_config
from otel_fim.registry import Registry

TESTDATA = Path(__file__).parent / "testdata"


def problems(load: object, *args: object, **options: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*args, **options)
    assert str(caught.value).split("\n") == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_all_errors_at_once(registry: Registry) -> None:
    """`errors.expected` is read by people when it changes: these lines are the interface."""
    found = problems(load_config, [str(TESTDATA / "errors.yaml")], environ={}, registry=registry)
    assert found == (TESTDATA / "errors.expected").read_text().splitlines()


def test_what_is_valid(load_minimal: object) -> None:
    config = load_minimal()
    assert config.warnings == []
    spec = config.receivers["files"]
    assert (spec.kind, spec.id, spec.type) == ("receiver", "files", "files")
    assert spec.cls.Config is type(spec.config)
    assert spec.config.settle == 0.1
    assert list(config.processors) == ["attack", "chain"]
    assert config.service.pipelines["logs"].processors == ["attack", "chain"]
    assert config.service.shutdown_timeout == 10
    assert config.service.queue_size == 8192
    assert config.service.state_path == Path.cwd() / "otel-fim-data"


def test_the_issue_s_example(load_minimal: object) -> None:
    found = problems(load_minimal, "receivers: {files: {path: [/etc]}}")
    assert found == ["receivers.files.path: unknown key; did you mean 'paths'?"]


def test_state_directory_of_the_home(load_minimal: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = load_minimal("service: {state_directory: ~/fim}")
    assert config.service.state_path == Path("/home/somebody/fim")


def test_files_merge_and_set_is_last(load_minimal: object) -> None:
    config = load_minimal(
        "receivers: {files: {settle: 1s, threads: 4}, files/2: {paths: [/a]}}",
        "receivers: {files: {settle: 2s}}",
        sets=("receivers.files.threads=8", "receivers.files/2.paths=[/b, /c]", "service.queue_size=9"),
    )
    files = config.receivers["files"].config
    assert (files.settle, files.threads) == (2.0, 8)
    assert config.receivers["files/2"].config.paths == ["/b", "/c"]
    assert config.service.queue_size == 9
    assert [str(warning) for warning in config.warnings] == [
        "receivers.files/2: configured but not used: no pipeline names it"
    ]


def test_text_keys_get_the_text(load_minimal: object) -> None:
    config = load_minimal(
        "exporters: {send: {endpoint: '${env:E}', password: '${env:P}', headers: {a: '${env:P}'}, "
        "token: '${env:UNSET:-}', tls: {ca_file: '${env:E}'}}}",
        "receivers: {files: {threads: '${env:T}', one_or_many: '${env:L}', recursive: '${env:B}', even: '${env:T}'}}",
        environ={"E": "true", "P": "0012345", "T": "8", "L": "[a]", "B": "false"},
        sets=("receivers.files.backend=polling", "receivers.files.paths=['1']"),
    )
    send, files = config.exporters["send"].config, config.receivers["files"].config
    assert (send.endpoint, send.password.get_secret_value()) == ("true", "0012345")
    assert (send.headers, send.token, send.tls.ca_file) == ({"a": "0012345"}, "", "true")
    assert (files.threads, files.one_or_many, files.recursive, files.even) == (8, ["a"], False, 8)
    assert problems(load_minimal, "receivers: {files: {threads: '${env:T}'}}", environ={"T": "many"}) == [
        "receivers.files.threads: a whole number is needed, not text"
    ]


def test_null_is_the_default(load_minimal: object) -> None:
    config = load_minimal(
        "receivers: {files: {paths: , settle: ~, threads: null, backend: , limit: null, ratio: }}\n"
        "service: {telemetry: , journal: {retention: }, extensions: }"
    )
    files = config.receivers["files"].config
    assert (files.paths, files.settle, files.threads, files.backend) == (["/etc"], 0.1, 2, "auto")
    assert files.limit is None
    assert config.service.extensions == []
    (found,) = problems(load_minimal, "receivers: {files: {nonsense: }}")
    assert found.startswith("receivers.files.nonsense: unknown key (known: backend, even, limit, max_size,")
    assert problems(load_minimal, "receivers: {files: {paths: [~]}}") == [
        "receivers.files.paths[0]: text is needed, not nothing"
    ]


def test_errors_do_not_show_secrets(load_minimal: object) -> None:
    found = problems(
        load_minimal,
        "exporters: {send: {endpoint: x, password: [hunter2], token: {hunter2: 1}, headers: hunter2, tls: hunter2}}",
    )
    assert len(found) == 4
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0.yaml: is empty"),
        ("# nothing\n", "0.yaml: is empty"),
        ("- a", "0.yaml: a map with 'receivers', 'service' and so on is needed, not a list"),
        ("just text", "0.yaml: a map with 'receivers', 'service' and so on is needed, not text"),
        ("a: 1\na: 1", "0.yaml:2: the key 'a' stands twice in one map, first in line 1"),
        ("receivers: {}", "service: this key is required"),
        ("service: 5", "service: a map of keys is needed, not a number"),
        ("service: {}", "service.pipelines: this key is required"),
        ("service: {pipelines: }", "service.pipelines: this key is required"),
        ("service: {pipelines: {}}", "service.pipelines: at least one pipeline is needed"),
        ("service: {pipelines: {logs: }}", "service.pipelines.logs: a map of keys is needed, not nothing"),
    ],
)
def test_files_that_are_no_configuration(load: object, text: str, message: str) -> None:
    (found,) = problems(load, text)
    assert message in found


def test_a_problem_is_one_line(load_minimal: object) -> None:
    (found,) = problems(load_minimal, 'receivers: {files: {"a\\nservice: forged\\e[2J": 1}}')
    assert found.startswith("receivers.files.a\\nservice: forged\\x1b[2J: unknown key")


def test_files_that_cannot_be_read(tmp_path: Path, registry: Registry) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    names = [str(tmp_path / "none.yaml"), str(tmp_path), str(latin)]
    assert problems(load_config, names, ["nonsense"], {}, registry) == [
        f"{names[0]}: cannot be read: No such file or directory",
        f"{names[1]}: cannot be read: Is a directory",
        f"{names[2]}:2: not valid UTF-8; save the file as UTF-8",
        "--set nonsense: '=' is missing; write it like --set service.queue_size=1000",
    ]


def test_a_byte_order_mark_is_no_error(tmp_path: Path, minimal: str, registry: Registry) -> None:
    marked = tmp_path / "marked.yaml"
    marked.write_bytes(b"\xef\xbb\xbf" + Path(minimal).read_bytes())
    assert load_config([str(marked)], registry=registry).receivers


def test_what_cannot_be_expanded_brings_no_second_error(load_minimal: object) -> None:
    found = problems(
        load_minimal,
        "service: {queue_size: '${env:A}', pipelines: {logs: {receivers: ['${env:B}'], exporters: '${env:C}'}}}\n"
        "exporters: {send: {endpoint: '${env:D}'}}",
    )
    assert [line.partition(":")[0] for line in found] == [
        "exporters.send.endpoint",
        "service.pipelines.logs.receivers[0]",
        "service.pipelines.logs.exporters",
        "service.queue_size",
    ]


class _Raises:
    """A plugin's configuration model that has a mistake of its own."""

    @staticmethod
    def model_validate(_: object) -> None:
        raise KeyError("oops")


def test_a_plugin_s_own_mistake_is_reported(load_minimal: object, registry: Registry) -> None:
    base = registry.load("receiver", "files")
    faulty: type[Component] = type("Faulty", (base,), {"Config": _Raises})
    registry.register("receiver", "faulty", faulty)
    assert problems(load_minimal, "receivers: {faulty: }") == [
        "receivers.faulty: cannot be checked: KeyError: 'oops'"
    ]


def test_chain_may_stand_in_several_pipelines(load_minimal: object) -> None:
    config = load_minimal(
        "service: {pipelines: {logs/2: {receivers: [files], processors: [chain], exporters: [console]}}}"
    )
    assert list(config.service.pipelines) == ["logs", "logs/2"]


def test_the_embedded_default(registry: Registry) -> None:
    """Its components may be missing in this environment; its form may not be wrong."""
    for kind, types in {
        "receiver": ["file_integrity", "process", "auth", "listener", "persistence"],
        "processor": ["identity", "novelty", "rules", "risk"],
        "exporter": ["clickhouse"],
        "extension": ["health_check", "embedded_store"],
    }.items():
        for type_ in types:
            stands_for = {
                "receiver": "files",
                "processor": "attack",
                "exporter": "console",
                "extension": "health",
            }
            base = registry.load(kind, stands_for[kind])
            registry.register(kind, type_, base)
    found = problems(load_config, [], [], {}, registry)
    # These stand for keys that the components of this test do not have, and for nothing else.
    assert [line.partition(": ")[0] for line in found] == [
        "extensions.health_check.endpoint",
        "receivers.process.command_line",
        "exporters.clickhouse.endpoint",
        "exporters.clickhouse.username",
        "exporters.clickhouse.password_file",
    ]
    assert default_config_text().startswith("#")
