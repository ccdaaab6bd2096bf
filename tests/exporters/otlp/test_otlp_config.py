"""Endpoints, settings and the small parsers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from otel_fim.component import PermanentError, RetryableError
from otel_fim.config.model import plain
from otel_fim.exporters.otlp import OtlpConfig
from otel_fim.exporters.otlp.endpoint import parse_endpoint
from otel_fim.exporters.otlp.reply import Reply, TooLargeError, grpc_failure, http_reply, retry_after, shown


@pytest.mark.parametrize(
    ("text", "protocol", "address", "is_plain", "path"),
    [
        ("http://localhost:4318", "http/protobuf", "localhost:4318", True, "/v1/logs"),
        ("https://otel.example.com", "http/json", "otel.example.com:443", False, "/v1/logs"),
        ("http://[::1]:4318/a/", "http/json", "[::1]:4318", True, "/a/v1/logs"),
        ("collector:4317", "grpc", "collector:4317", None, "/v1/logs"),
        ("[::1]:4317", "grpc", "[::1]:4317", None, "/v1/logs"),
        ("https://collector:4317", "grpc", "collector:4317", False, "/v1/logs"),
    ],
)
def test_endpoints(text: str, protocol: str, address: str, is_plain: bool | None, path: str) -> None:
    endpoint = parse_endpoint(text, protocol)
    assert (endpoint.address, endpoint.plain, endpoint.path) == (address, is_plain, path)


@pytest.mark.parametrize("text", ["unix:///run/otel.sock", "unix:/run/otel.sock"])
def test_unix_endpoints(text: str) -> None:
    assert parse_endpoint(text, "grpc").socket_path == "/run/otel.sock"


@pytest.mark.parametrize(
    ("text", "protocol", "message"),
    [
        ("localhost:4318", "http/protobuf", "write http://"),
        ("ftp://x", "http/protobuf", "is not an endpoint"),
        ("http://", "http/protobuf", "names no host"),
        ("http://u:secret@x", "http/protobuf", "holds no password"),
        ("http://x:99999", "http/protobuf", "port"),
        ("http://x:4317/path", "grpc", "no path"),
        ("unix:relative", "grpc", "full path"),
    ],
)
def test_wrong_endpoints(text: str, protocol: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        OtlpConfig(endpoint=text, protocol=protocol)  # type: ignore[arg-type] # parametrized
    assert "secret" not in str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "grpc", "compression": "zstd"}, "zstd"),
        ({"protocol": "grpc", "logs_endpoint": "http://x"}, "logs_endpoint"),
        ({"protocol": "grpc", "tls": {"insecure_skip_verify": True}}, "insecure_skip_verify"),
        ({"endpoint": "http://x", "logs_endpoint": "http://x"}, "one of"),
        ({"tls": {"cert_file": "x"}}, "go together"),
        ({"headers": {"a b": "x"}}, "not the name of a header"),
        ({"headers": {"a": "x\r\nb: y"}}, "cannot carry"),
        ({"timeout": 0}, "greater than 0"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OtlpConfig(**settings)


def test_defaults_and_masked_headers() -> None:
    assert OtlpConfig().target.address == "localhost:4318"
    assert OtlpConfig(protocol="grpc").target.address == "localhost:4317"
    shown_config = plain(OtlpConfig(headers={"authorization": "Bearer secret"}))  # type: ignore[dict-item]
    assert "secret" not in str(shown_config)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("999999999", 3600.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 9.0),
        ("Fri, 31 Dec 1999 23:59:40 GMT", 0.0),
        ("Friday, 31-Dec-99 23:59:59 GMT", 9.0),
        ("Fri, 99 Dec 1999 23:59:59 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=946684790.0) == seconds


@given(st.text())
def test_retry_after_never_fails(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or 0 <= seconds <= 3600


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["content-type", "retry-after", "location"]), st.text()),
    st.sampled_from(["application/json", "application/x-protobuf", "text/plain", "text/html", ""]),
    st.binary(),
)
def test_any_answer_has_an_outcome(status: int, headers: dict[str, str], kind: str, body: bytes) -> None:
    headers.setdefault("content-type", kind)
    outcome: object
    try:
        outcome = http_reply(status, headers, body, "http://x")
    except (RetryableError, PermanentError, TooLargeError) as error:
        outcome = error
    if isinstance(outcome, Reply):
        assert outcome.rejected >= 0
        assert outcome.message.isprintable()
        assert 200 <= status < 300
    else:
        assert str(outcome).isprintable()
        assert not 200 <= status < 300 or "web page" in str(outcome)


@given(st.text(), st.text(), st.binary())
def test_any_grpc_failure_has_an_outcome(code: str, details: str, status: bytes) -> None:
    assert isinstance(
        grpc_failure(code, details, status, "x"), RetryableError | PermanentError | TooLargeError
    )


def test_a_strangers_text_is_one_short_line() -> None:
    text = shown("a\r\n\x1b[31mb\u202ec" + "x" * 1000)
    assert text.startswith("a [31mb cxxx")
    assert text.endswith("x…")
    assert len(text) == 501
