"""The exporter's configuration: what it takes, and what it says of what it does not take."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from otel_fim.config.model import plain
from otel_fim.exporters.clickhouse import ClickHouseConfig


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://127.0.0.1", 8123),
        ("https://db.example.com", 8443),
        ("http://[::1]:9123", 9123),
        ("https://proxy.example.com:443/clickhouse", 443),
    ],
)
def test_an_http_endpoint_is_taken_with_the_port_of_its_scheme(endpoint: str, port: int) -> None:
    assert ClickHouseConfig(endpoint=endpoint).port == port


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("clickhouse://127.0.0.1:9000", "native protocol, this exporter speaks HTTP; write http://host:8123"),
        ("tcp://127.0.0.1:9000", "native protocol"),
        ("127.0.0.1:8123", "not the address of ClickHouse's HTTP interface"),
        ("http://", "not the address"),
        ("http://h:99999", "is not a URL"),
        ("http://h:0", "not the address"),
        ("http://user:secret@h:8123", "use username and password"),
        ("http://h:8123/?compress=1", "takes no parameters"),
        ("http://a:8123,http://b:8123", "is not a URL"),
        ("http://a,b:8123", "one endpoint only"),
    ],
)
def test_another_endpoint_is_an_error_that_says_what_to_write(endpoint: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says.replace("?", r"\?")) as caught:
        ClickHouseConfig(endpoint=endpoint)
    assert caught.value.errors()[0]["loc"] == ("endpoint",)


def test_a_password_comes_from_one_place() -> None:
    with pytest.raises(ValidationError, match="password and password_file exclude each other"):
        ClickHouseConfig.model_validate({"password": "a", "password_file": "b"})


def test_tls_settings_without_tls_are_an_error() -> None:
    with pytest.raises(ValidationError, match="tls has no effect on an http:// endpoint"):
        ClickHouseConfig.model_validate({"tls": {"ca_file": "/ca.pem"}})
    with pytest.raises(ValidationError, match="key_file needs cert_file"):
        ClickHouseConfig.model_validate({"endpoint": "https://h", "tls": {"key_file": "/key.pem"}})


def test_the_password_is_masked_when_the_configuration_is_shown() -> None:
    config = ClickHouseConfig.model_validate({"password": "hunter2"})

    assert "hunter2" not in str(plain(config))
    assert "hunter2" not in repr(config)


def test_the_defaults_never_give_up() -> None:
    config = ClickHouseConfig()

    assert config.retry_on_failure.enabled
    assert config.retry_on_failure.max_elapsed_time == 0
    assert (config.database, config.logs_table_name, config.create_schema) == ("default", "otel_logs", True)
