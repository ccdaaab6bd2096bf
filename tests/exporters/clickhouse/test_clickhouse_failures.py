"""What goes wrong, what the exporter says of it, and how it goes on."""

from __future__ import annotations

import http.server
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.component import PermanentError, RetryableError


def _count(client: Any, database: str) -> int:
    return int(client.command(f"SELECT count() FROM `{database}`.otel_logs"))


def test_no_server_is_an_error_to_try_again_after(exporter: Callable[..., Any], chain: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    running = exporter(endpoint=endpoint)

    for _ in range(2):
        with pytest.raises(
            RetryableError, match=f"cannot reach {endpoint}: .*refused.*; is the server running"
        ):
            running.export(chain.batch(1))


def test_a_server_that_does_not_answer_is_given_up_after_the_timeout(
    exporter: Callable[..., Any], chain: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running = exporter(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="1s")
        with pytest.raises(RetryableError, match=r"cannot reach .*timed out"):
            running.export(chain.batch(1))


def test_a_password_may_be_wrong_for_a_while_and_is_never_shown(
    store: Any,
    exporter: Callable[..., Any],
    client: Any,
    database: str,
    chain: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = tmp_path / "pw"
    running = exporter(password_file="pw")

    with caplog.at_level(logging.DEBUG):
        with pytest.raises(RetryableError, match=f"password_file {own} cannot be read: No such file"):
            running.export(chain.batch(1))
        own.write_text("wrong-password\n")
        with pytest.raises(
            RetryableError, match=r"does not let user 'writer' in: .*check username and password_file"
        ) as caught:
            running.export(chain.batch(1))
        own.write_bytes(b"\xff")
        with pytest.raises(RetryableError, match="not UTF-8"):
            running.export(chain.batch(1))
        own.write_text(store.password_file.read_text())
        running.export(chain.batch(1))

    assert _count(client, database) == 1
    shown = f"{caught.value} {caplog.text} {running.reports}"
    assert "wrong-password" not in shown
    assert store.password_file.read_text().strip() not in shown


def test_a_table_that_nobody_made_is_waited_for(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter(create_schema=False)
    with pytest.raises(
        RetryableError, match=f"table {database}.otel_logs does not exist; create it .*otel-fim schema"
    ):
        running.export(chain.batch(1))
    exporter().export(chain.batch(2))

    running.export(chain.batch(1))

    assert _count(client, database) == 2


def test_a_table_that_is_dropped_meanwhile_is_made_again(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter()
    running.export(chain.batch(1))
    client.command(f"DROP DATABASE `{database}` SYNC")

    with pytest.raises(RetryableError, match="does not exist; it will be created"):
        running.export(chain.batch(2))
    running.export(chain.batch(2))

    assert _count(client, database) == 1


def _with_constraint(client: Any, database: str, condition: str) -> None:
    client.command(f"ALTER TABLE `{database}`.otel_logs ADD CONSTRAINT c CHECK {condition}")


def test_a_record_that_the_table_refuses_is_found_and_the_others_are_inserted(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter()
    running.export(chain.batch(1))
    _with_constraint(client, database, "Body NOT IN ('record 77', 'record 300')")

    result = running.export(chain.batch(range(1, 501)))

    assert result.rejected == 2
    assert f"record 77 of stream {chain.stream}" in result.message
    assert "record 300 of stream" in result.message
    assert "VIOLATED_CONSTRAINT" in result.message
    assert _count(client, database) == 498
    assert client.command(f"SELECT uniqExact(sequence) FROM `{database}`.otel_fim_files") == 498


def test_a_batch_of_nothing_but_refused_records_is_set_aside(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter()
    running.export(chain.batch(1))
    _with_constraint(client, database, "Body != 'record 2'")

    with pytest.raises(PermanentError, match="record 2 of stream"):
        running.export(chain.batch(2))


def test_a_table_that_refuses_everything_is_the_tables_fault_and_nothing_is_given_up(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any
) -> None:
    running = exporter()
    running.export(chain.batch(1))
    _with_constraint(client, database, "Body = 'record 1'")

    with pytest.raises(RetryableError, match="refuses every record, such as record 2 of stream"):
        running.export(chain.batch(range(2, 300)))
    client.command(f"ALTER TABLE `{database}`.otel_logs DROP CONSTRAINT c")
    running.export(chain.batch(range(2, 300)))

    assert _count(client, database) == 299


def test_a_table_partitioned_more_finely_than_by_day_takes_a_batch_in_parts(
    exporter: Callable[..., Any], client: Any, database: str, chain: Any, make_batch: Callable[..., Any]
) -> None:
    client.command(f"CREATE DATABASE `{database}`")
    client.command(
        f"CREATE TABLE `{database}`.otel_logs (Timestamp DateTime64(9), ServiceName String, Body String, "
        "ResourceAttributes Map(String, String), LogAttributes Map(String, String), EventName String) "
        "ENGINE = MergeTree PARTITION BY toStartOfMinute(Timestamp) ORDER BY Timestamp"
    )
    records = [chain.record(n, n * 60_000_000_000) for n in range(1, 301)]

    assert exporter().export(make_batch(records)).rejected == 0

    assert _count(client, database) == 300


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """A proxy that answers everything with one status; gives its address."""
    servers: list[http.server.HTTPServer] = []

    def start(status: int, text: str) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST  # noqa: N815 - the standard library's name

            def log_message(self, *_: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (502, "Bad Gateway", "answers HTTP 502: "),
        (503, "busy \x1b[31m", r"answers HTTP 503: .*busy \\x1b\[31m"),
        (429, "slow down", "answers HTTP 429: "),
        (401, "who are you?", "answers HTTP 401: .*; check username and password"),
        (404, "not here", "answers HTTP 404: "),
    ],
)
def test_a_proxys_answer_is_shown_and_tried_again(
    answering: Callable[[int, str], str],
    exporter: Callable[..., Any],
    chain: Any,
    status: int,
    text: str,
    says: str,
) -> None:
    running = exporter(endpoint=answering(status, text))

    with pytest.raises(RetryableError, match=says) as caught:
        running.export(chain.batch(1))

    assert str(caught.value).isprintable()


def test_what_is_no_clickhouse_at_all_is_an_error_to_try_again_after(
    answering: Callable[[int, str], str], exporter: Callable[..., Any], chain: Any
) -> None:
    with pytest.raises(RetryableError):
        exporter(endpoint=answering(200, "<html>It works!</html>")).export(chain.batch(1))
