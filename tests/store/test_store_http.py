"""ClickHouse's HTTP interface, spoken by hand."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import lz4.frame
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.store.blocks import BlockDecoder, BlockEncoder
from otel_fim.store.encoding import ZSTD_MODULE
from otel_fim.store.native import BLOCK_INFO


@pytest.fixture
def table(store: Any) -> Iterator[str]:
    """A small table, gone after the test."""
    store.query("CREATE TABLE plain (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
    yield "plain"
    store.query("DROP TABLE IF EXISTS plain SYNC")


def test_health_needs_no_password(store: Any) -> None:
    for path in ("/ping", "/replicas_status"):
        answer = store.request(path=path, user=None)
        assert (answer.status, answer.body) == (200, b"Ok.\n")
    assert store.request(path="/ping", user=None, method="HEAD").body == b""
    assert store.request().body == b"Ok.\n"
    assert store.request(path="/nothing/here").status == 404
    assert store.request(method="DELETE").status == 405
    assert store.request(method="OPTIONS", user=None).status == 204


def test_curl_can_do_it(store: Any) -> None:
    curl = shutil.which("curl")
    assert curl is not None, "curl is needed for this test"
    host, port = store.address
    url = f"http://{host}:{port}/"
    user = f"writer:{store.password()}"
    done = subprocess.run(
        [curl, "-sS", "-u", user, url, "-d", "SELECT 1 + 1"], capture_output=True, timeout=30
    )
    assert done.stdout == b"2\n"
    zipped = [curl, "-sS", "--compressed", "-u", user, url + "?query=SELECT+%27a%27+FORMAT+JSON"]
    assert json.loads(subprocess.run(zipped, capture_output=True, timeout=30).stdout)["data"] == [
        {"'a'": "a"}
    ]


@pytest.mark.parametrize("how", ["headers", "parameters"])
def test_other_ways_to_say_who_it_is(store: Any, how: str) -> None:
    if how == "headers":
        headers = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": store.password("reader")}
        answer = store.request(user=None, headers=headers, parameters={"query": "SELECT 1"})
    else:
        who = {"user": "reader", "password": store.password("reader"), "query": "SELECT 1"}
        answer = store.request(user=None, parameters=who)
    assert answer.body == b"1\n"


def test_wrong_passwords_are_told_so(store: Any) -> None:
    for user, headers in (
        (None, {}),
        (None, {"X-ClickHouse-User": "writer", "X-ClickHouse-Key": "wrong"}),
        (None, {"X-ClickHouse-User": "default"}),
        (None, {"Authorization": "Basic nonsense"}),
        (None, {"Authorization": "Bearer x"}),
    ):
        answer = store.request("SELECT 1", user=user, headers=headers)
        assert answer.status == 401
        assert answer.code == 516
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert "AUTHENTICATION_FAILED" in answer.text


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FORM x", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT * FROM nowhere", 404, 60),
        ("SELECT nothing", 404, 47),
        ("SELECT * FROM nowhere.t", 404, 81),
        ("SELECT 1 FORMAT Nonsense", 404, 73),
        ("SELECT nofunction(1)", 404, 46),
        ("SELECT 1 SETTINGS nosetting = 1", 404, 115),
        ("SELECT throwIf(1)", 500, 395),
        (
            "SELECT sleepEachRow(1) FROM numbers(9) SETTINGS max_execution_time = 1, max_block_size = 1",
            408,
            159,
        ),
        ("INSERT INTO nowhere VALUES (1)", 404, 60),
        ("INSERT INTO nowhere FORMAT JSONEachRow {}", 404, 60),
        ("INSERT INTO", 400, 62),
        ("  ", 400, 36),
        ("selec", 400, 62),
    ],
)
def test_errors_have_clickhouse_s_numbers(store: Any, sql: str, status: int, code: int) -> None:
    answer = store.request(sql)
    assert (answer.status, answer.code) == (status, code), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert "(version " in answer.text
    assert "formatQuery" not in answer.text


def test_headers_of_an_answer(store: Any) -> None:
    answer = store.request("SELECT 1 FORMAT CSV", parameters={"query_id": "my-query"})
    assert answer.headers["x-clickhouse-query-id"] == "my-query"
    assert answer.headers["x-clickhouse-format"] == "CSV"
    assert answer.headers["x-clickhouse-timezone"]
    assert answer.headers["x-clickhouse-server-display-name"]
    assert answer.headers["content-type"].startswith("text/csv")
    assert set(json.loads(answer.headers["x-clickhouse-summary"])) >= {"read_rows", "written_rows"}
    assert store.request("SELECT 1").headers["x-clickhouse-query-id"] != "my-query"
    head = store.request(method="HEAD", parameters={"query": "SELECT 1"})
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "2")


def test_query_in_the_url_and_in_the_body(store: Any) -> None:
    assert store.request("1 + 1", parameters={"query": "SELECT"}).body == b"2\n"
    assert store.request(b"", parameters={"query": "SELECT 3"}).body == b"3\n"
    assert (
        store.request(parameters={"query": "SELECT 1", "default_format": "JSONEachRow"}).body == b'{"1":1}\n'
    )
    headers = {"X-ClickHouse-Format": "TSVWithNames", "X-ClickHouse-Database": "system"}
    assert store.request("SELECT * FROM one", headers=headers).body == b"dummy\n0\n"
    assert store.query("SELECT currentDatabase()", database="system") == "system\n"
    assert store.request("SELECT 1", parameters={"database": "nowhere"}).code == 81


def test_settings_and_parameters_end_with_the_request(store: Any) -> None:
    assert store.query("SELECT getSetting('max_threads')", max_threads=1) == "1\n"
    assert store.query("SELECT number FROM numbers(9)", limit=2, offset=1) == "1\n2\n"
    assert store.query("SELECT count() FROM (SELECT number FROM numbers(9))") == "9\n"
    assert store.request("SELECT 1", parameters={"no_such_setting": 1}).code == 115
    assert store.request("SELECT 1", parameters={"a-b": 1}).status == 400
    assert store.request("SELECT {x:String}").code == 456
    sql = "SELECT {x:String}, {n:UInt8} + 1, {a:Array(String)}"
    text = store.query(sql, param_x="it's\\ta\\\\b", param_n="4", param_a="['a','b\\'c']")
    assert text == "it\\'s\\ta\\\\b\t5\t['a','b\\'c']\n"
    answer = store.request(b"SELECT hex({x:String})", parameters={"param_x": b"\xff\xfe'"})
    assert answer.body == b"FFFE27\n"
    store.query("SET max_threads = 1")
    assert store.query("SELECT value FROM system.settings WHERE name = 'max_threads'") != "1\n"


def test_settings_of_the_store_cannot_be_changed(store: Any) -> None:
    for change in ("dialect=prql", "async_insert=1", "allow_introspection_functions=1", "max_memory_usage=0"):
        name, value = change.split("=")
        answer = store.request("SELECT 1", parameters={name: value})
        assert answer.code == 452, answer.text


def test_get_is_read_only(store: Any, table: str) -> None:
    for sql in (f"INSERT INTO {table} VALUES (1, 'x')", f"DROP TABLE {table}", "SET max_threads = 1"):
        answer = store.request(parameters={"query": sql})
        assert answer.code == 164, answer.text
    assert store.request(parameters={"query": "SELECT 1", "readonly": 0}).code == 164
    assert store.query(f"SELECT count() FROM {table}") == "0\n"


def test_inserts_in_every_shape(store: Any, table: str) -> None:
    store.query(f"INSERT INTO {table} VALUES (1, 'a'), (1 + 1, lower('B'));")
    store.request(b"3\tc\n", parameters={"query": f"INSERT INTO {table} FORMAT TSV"})
    store.request(b"(4, 'd')", parameters={"query": f"INSERT INTO {table} (n, s) VALUES"})
    store.request(b"", parameters={"query": f"INSERT INTO {table} VALUES (5, 'e')"})
    store.query(
        f'INSERT INTO {table} FORMAT JSONEachRow {{"n": 6, "s": "f\\n\\n"}}\n\n\n{{"n": 7, "s": "; DROP"}}'
    )
    store.query(f"INSERT INTO {table} (s, n) SELECT 'h', 8")
    store.query(f"INSERT INTO {table} SELECT n * 3, s FROM input('n UInt32, s String') FORMAT CSV\n3,i\n")
    # The data may be anything, NUL bytes, blank lines and statements included.
    row = struct.pack("<I", 10) + b"\x05\n\n;\0'"
    answer = store.request(row, parameters={"query": f"INSERT INTO {table} FORMAT RowBinary"})
    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == "1"
    text = store.query(
        f"SELECT groupArray((n, s)) FROM (SELECT * FROM {table} ORDER BY n) FORMAT JSONCompact"
    )
    rows = json.loads(text)["data"][0][0]
    assert [n for n, _ in rows] == list(range(1, 11))
    assert [s for _, s in rows] == ["a", "b", "c", "d", "e", "f\n\n", "; DROP", "h", "i", "\n\n;\0'"]


def test_rows_in_chunks_as_rotel_sends_them(store: Any, table: str) -> None:
    """A chunked body of RowBinary in LZ4 blocks, `database` and `async_insert` in the URL; the answer comes when
    the rows are there."""
    packed = BlockEncoder().feed(b"".join(struct.pack("<I", n) + b"\x03abc" for n in range(1000)))
    chunks = [packed[i : i + 777] for i in range(0, len(packed), 777)]
    sql = f"INSERT INTO {table} (n, s) FORMAT RowBinary"
    given = {"query": sql, "database": "default", "decompress": 1, "wait_end_of_query": 1}
    answer = store.request(chunks, parameters=given)
    assert answer.status == 200, answer.text
    assert store.query(f"SELECT count(), sum(n) FROM {table}") == f"1000\t{sum(range(1000))}\n"
    broken = store.request([*chunks[:-1], chunks[-1][:-1]], parameters=given)
    assert broken.code == 271


@pytest.mark.parametrize("name", ["gzip", "zstd", "lz4", "deflate"])
def test_bodies_and_answers_are_compressed(store: Any, table: str, name: str) -> None:
    import zlib

    pack: Any = {"gzip": gzip, "zstd": ZSTD_MODULE, "lz4": lz4.frame, "deflate": zlib}[name]
    body = pack.compress(f"INSERT INTO {table} FORMAT CSV\n1,x\n2,y\n".encode())
    assert store.request(body, headers={"Content-Encoding": name}).status == 200
    answer = store.request(f"SELECT * FROM {table} ORDER BY n", headers={"Accept-Encoding": name})
    assert answer.headers["content-encoding"] == name
    assert pack.decompress(answer.body) == b"1\tx\n2\ty\n"
    plain = store.request(
        "SELECT 1", headers={"Accept-Encoding": name}, parameters={"enable_http_compression": 0}
    )
    assert "content-encoding" not in plain.headers
    bad = store.request(b"not compressed", headers={"Content-Encoding": name})
    assert bad.code == 271


def test_answers_in_blocks(store: Any) -> None:
    answer = store.request("SELECT number FROM numbers(100000) FORMAT TSV", parameters={"compress": 1})
    plain = b"".join(BlockDecoder().feed(answer.body))
    assert plain == b"".join(b"%d\n" % n for n in range(100000))


@pytest.mark.parametrize(
    "name", ["TSV", "TSVWithNames", "CSVWithNames", "JSON", "JSONEachRow", "Native", "Parquet"]
)
def test_large_results_are_whole_in_every_format(store: Any, name: str) -> None:
    """More than one block, more than what is gathered before the answer begins."""
    rows = 300_000
    answer = store.request(f"SELECT number, toString(number) AS s FROM numbers({rows}) FORMAT {name}")
    assert answer.status == 200
    assert answer.complete
    if name == "JSON":
        assert len(json.loads(answer.body)["data"]) == rows
    elif name == "Native":
        assert answer.body.count(b"\x06number\x06UInt64") >= 1
    elif name == "Parquet":
        assert answer.body[:4] == answer.body[-4:] == b"PAR1"
        assert answer.body.count(b"PAR1") == 2
    else:
        expected = rows + (1 if "WithNames" in name else 0)
        assert answer.body.count(b"\n") == expected


def test_totals_come_once(store: Any) -> None:
    sql = "SELECT number % 3 AS k, count() FROM numbers(200000) GROUP BY k WITH TOTALS ORDER BY k"
    assert store.query(sql) == "0\t66667\n1\t66667\n2\t66666\n\n0\t200000\n"
    rows = store.query(
        "SELECT number FROM numbers(200000)", default_format="JSONEachRow", output_format_json_array_of_rows=1
    )
    assert len(json.loads(rows)) == 200000


def test_long_statements(store: Any) -> None:
    numbers = ",".join(map(str, range(150_000)))
    sql = f"SELECT count() FROM numbers(10) WHERE number IN ({numbers})"
    assert len(sql) > 900_000
    assert store.query(sql, max_ast_elements=1_000_000) == "10\n"
    answer = store.request("SELECT '" + "x" * 100_000)
    assert answer.code == 62
    assert len(answer.body) < 10_000
    assert store.request("SELECT 1 " + " " * 17 * 2**20).status == 413


def test_a_result_too_large_for_its_format_is_refused(store: Any) -> None:
    """JSON has a beginning and an end and is made as a whole: not of any size."""
    answer = store.request("SELECT number FROM numbers(1000000000) FORMAT JSON")
    assert answer.code == 396
    assert store.request("SELECT 1 FORMAT JSON", parameters={"max_result_bytes": 5}).status == 200


def test_an_error_after_the_answer_began_cannot_be_missed(store: Any) -> None:
    sql = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) SETTINGS max_block_size = 65536"
    answer = store.request(sql)
    assert answer.status == 200
    assert not answer.complete
    tag = answer.headers["x-clickhouse-exception-tag"]
    assert f"__exception__\r\n{tag}\r\nCode: 395." in answer.text
    whole = store.request(sql, parameters={"wait_end_of_query": 1})
    assert (whole.status, whole.code) == (500, 395)


def test_native_with_a_protocol_version(store: Any) -> None:
    old = store.request("SELECT 1 AS check FORMAT Native", parameters={"client_protocol_version": 54405})
    assert old.body == BLOCK_INFO + b"\x01\x01\x05check\x05UInt8\x01"
    new = store.request("SELECT 1 AS check FORMAT Native", parameters={"client_protocol_version": 54460})
    assert new.body == BLOCK_INFO + b"\x01\x01\x05check\x05UInt8\x00\x01"
    none = store.request("SELECT 1 AS check FORMAT Native")
    assert none.body == b"\x01\x01\x05check\x05UInt8\x01"
    assert store.request("SELECT 1", parameters={"client_protocol_version": "x"}).status == 400


def test_forms(store: Any) -> None:
    def form(*fields: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
        parts = [
            b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
            for name, value in fields
        ]
        return b"".join(parts) + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}

    body, headers = form(("query", b"SELECT hex({x:String})"), ("param_x", b"\xff\\n\\\\"))
    answer = store.request(body, headers=headers)
    assert answer.body == b"FF0A5C\n", answer.text
    assert store.request(b"no form", headers=headers).status == 400
    file = b'--edge\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n1\r\n--edge--\r\n'
    assert store.request(file, headers=headers, parameters={"query": "SELECT 1"}).code == 48


def test_a_values_list_cannot_call_out(store: Any, table: str) -> None:
    for value in ("file('/etc/hostname')", "`f\\x69le`('/etc/hostname')", "FILE /* */ ('/etc/hostname')"):
        answer = store.request(f"INSERT INTO {table} VALUES (1, {value})")
        assert answer.code == 497, answer.text
    store.query(f"INSERT INTO {table} VALUES (1, 'file(''/etc/hostname'')'), (2, '\"file\"(1)')")
    assert store.query(f"SELECT count() FROM {table}") == "2\n"
    big = f"INSERT INTO {table} VALUES " + ",".join(f"({n},'{'x' * 90}')" for n in range(50_000))
    assert store.request(big).status == 413


def raw(store: Any, data: bytes) -> bytes:
    with socket.create_connection(store.address, timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while piece := connection.recv(65536):
            got += piece
    return got


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET /" + b"a" * 3_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 3_000_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nSELECT 1",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /?" + b"a=1&" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%00%ff/../.. HTTP/1.1\r\nHost: x\r\nAuthorization: Basic \xff\xff\r\n\r\n",
    ],
    ids=["nothing", "noise", "cut", "url", "header", "length", "chunk", "parameters", "path"],
)
def test_hostile_requests_harm_nobody_else(store: Any, data: bytes) -> None:
    try:
        answer = raw(store, data)
    except OSError:  # the store closed the connection first
        answer = b""
    assert not answer.startswith(b"HTTP/1.1 2")
    assert store.query("SELECT 1") == "1\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    b"SELECT ",
                    b"1",
                    b"'",
                    b"\0",
                    b"\xff",
                    b"/*",
                    b"--",
                    b"(",
                    b")",
                    b"{x:",
                    b"`",
                    b"$$",
                    b"FORMAT ",
                    b"INSERT INTO t ",
                    b"VALUES ",
                    b";",
                    b"\n\n",
                    b"hex('\\0')",
                    b"SETTINGS ",
                    b"max_threads=1",
                    b" ",
                ]
            ),
            max_size=8,
        ).map(b"".join),
    )
)
def test_no_statement_brings_the_store_down(store: Any, sql: bytes) -> None:
    answer = store.request(sql, method="POST")
    assert answer.status in {200, 400, 401, 403, 404, 413, 500, 501}
    assert answer.complete


def test_bytes_that_are_no_text_reach_the_engine(store: Any) -> None:
    assert store.query(b"SELECT hex('a\xff\x00b')") == "61FF0062\n"
    assert store.query("SELECT 'naïve', '日本'".encode()) == "naïve\t日本\n"
