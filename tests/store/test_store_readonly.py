"""What nobody may do, and what the reader may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_fim.store.engine import parameter, quote
from otel_fim.store.guard import ALLOWED_TABLE_FUNCTIONS

WRITES = [
    "INSERT INTO kept VALUES (2)",
    "INSERT INTO kept SELECT 2",
    "INSERT INTO kept FORMAT CSV 2",
    "INSERT INTO kept SELECT n FROM input('n UInt8') FORMAT CSV\n2",
    "CREATE TABLE other (n UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE other (n UInt8)",
    "CREATE VIEW other AS SELECT 1",
    "CREATE DATABASE other",
    "CREATE FUNCTION other AS x -> x",
    "ALTER TABLE kept DELETE WHERE 1",
    "ALTER TABLE kept ADD COLUMN m UInt8",
    "DELETE FROM kept WHERE 1",
    "TRUNCATE TABLE kept",
    "DROP TABLE kept",
    "RENAME TABLE kept TO gone",
    "DETACH TABLE kept",
    "OPTIMIZE TABLE kept FINAL",
    "SYSTEM FLUSH LOGS",
    "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "SET max_threads = 1",
    "SELECT 1 SETTINGS readonly = 0",
    "USE system",
    "GRANT SELECT ON *.* TO default",
    "CREATE USER eve",
    "BACKUP TABLE kept TO File('/tmp/x')",
    "EXECUTE AS default SELECT 1",
    "BEGIN TRANSACTION",
    "ATTACH TABLE x FROM '/tmp/x' (n UInt8) ENGINE = MergeTree ORDER BY n",
    "SELECT 1 PARALLEL WITH DROP TABLE kept",
    "SELECT 1; DROP TABLE kept",
    "/* x */ DROP TABLE kept",
    "WITH 1 AS x INSERT INTO kept SELECT x",
]

OUTSIDE = [
    "SELECT * FROM file('/etc/hostname', LineAsString)",
    "SELECT file('/etc/hostname')",
    "SELECT FILE('/etc/hostname')",
    "SELECT `f\\x69le`('/etc/hostname')",
    "SELECT 1 WHERE 'x' IN file('/etc/hostname', LineAsString)",
    "SELECT arrayMap(x -> file(x), ['/etc/hostname'])",
    "SELECT (SELECT file('/etc/hostname'))",
    'SELECT * FROM "/etc/hostname"',
    "SELECT * FROM default.`/etc/hostname`",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', CSV, 'a String')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM executable('id', LineAsString, 'a String')",
    "SELECT * FROM sqlite('/tmp/x', 't')",
    "SELECT * FROM python(os)",
    "SELECT * FROM Python('sys')",
    "SELECT * FROM arrowstream('x')",
    "SELECT * FROM eval('SELECT 1') SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT * FROM view(SELECT * FROM file('/etc/hostname', LineAsString))",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT 1 INTO OUTFILE '/tmp/otel-fim-test-outfile'",
    "SELECT 1 INTO OUTFILE '/tmp/otel-fim-test-outfile' AND STDOUT",
    "EXPLAIN SELECT 1 INTO OUTFILE '/tmp/otel-fim-test-outfile'",
    "SHOW TABLES INTO OUTFILE '/tmp/otel-fim-test-outfile'",
    "SELECT aiGenerate('x')",
]

OUTSIDE_BY_WRITING = [
    "INSERT INTO FUNCTION file('/tmp/otel-fim-test-outfile', CSV, 'a UInt8') VALUES (1)",
    "INSERT INTO FUNCTION file('/tmp/otel-fim-test-outfile', CSV, 'a UInt8') SELECT 1",
    "INSERT INTO kept FROM INFILE '/etc/hostname' FORMAT CSV",
    "INSERT INTO kept SELECT n FROM input('n UInt8) ENGINE = File(CSV, ''/etc/hostname''') FORMAT CSV\n1",
    "CREATE TABLE other (a String) ENGINE = File(CSV, '/etc/hostname')",
    "CREATE TABLE other (a String) ENGINE = URL('http://127.0.0.1:1/', CSV)",
    "CREATE TABLE other (a String) ENGINE = Executable('id', CSV)",
    "CREATE TABLE other (a String) ENGINE = Kafka",
    "CREATE TABLE other AS file('/etc/hostname', LineAsString)",
    "CREATE TABLE other (a String DEFAULT file('/etc/hostname')) ENGINE = Memory",
    "CREATE TABLE other (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/x/')",
    "CREATE VIEW other AS SELECT file('/etc/hostname')",
    "CREATE FUNCTION other AS x -> file(x)",
    "CREATE DATABASE other ENGINE = Filesystem('/etc')",
    "CREATE DATABASE other ENGINE = SQLite('/tmp/x')",
    *(
        f"CREATE DICTIONARY other (a String) PRIMARY KEY a SOURCE({source}) LAYOUT(FLAT()) LIFETIME(1)"
        for source in (
            "FILE(PATH '/etc/hostname' FORMAT 'CSV')",
            "EXECUTABLE(COMMAND 'id' FORMAT 'CSV')",
            "HTTP(URL 'http://127.0.0.1:1/' FORMAT 'CSV')",
        )
    ),
    "BACKUP TABLE kept TO File('/tmp/otel-fim-test-outfile')",
    "ATTACH TABLE x FROM '/tmp/x' (n UInt8) ENGINE = MergeTree ORDER BY n",
    "CREATE USER eve",
    "GRANT ALL ON *.* TO default",
    "CREATE NAMED COLLECTION other AS a = 1",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM RELOAD CONFIG",
    "EXECUTE AS default SELECT 1",
    "CREATE TEMPORARY TABLE other (n UInt8)",
]


@pytest.fixture(scope="module")
def kept(store: Any) -> Iterator[str]:
    """A table whose one row must outlive every attempt."""
    store.query("CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    store.query("INSERT INTO kept VALUES (1)")
    yield "kept"
    store.query("DROP TABLE kept SYNC")


@pytest.mark.parametrize("sql", WRITES)
def test_the_reader_changes_nothing(store: Any, kept: str, sql: str) -> None:
    for parameters in ({}, {"readonly": 0}, {"readonly": 1, "allow_ddl": 1}):
        answer = store.request(sql, user="reader", parameters=parameters)
        assert answer.status >= 400, answer.text
    answer = store.request(sql, method="GET", user="reader", parameters={"query": sql})
    assert answer.status >= 400
    assert store.query(f"SELECT groupArray(n) FROM {kept}", user="reader") == "[1]\n"
    assert store.query("SHOW TABLES FROM default", user="reader") == "kept\n"


@pytest.mark.parametrize("sql", OUTSIDE)
@pytest.mark.parametrize("user", ["reader", "writer"])
def test_nobody_reads_or_writes_outside_of_the_store(store: Any, sql: str, user: str) -> None:
    answer = store.request(sql, user=user)
    assert answer.status >= 400, answer.text
    assert answer.code in {1, 48, 60, 62, 81, 164, 497}, answer.text
    assert not Path("/tmp/otel-fim-test-outfile").exists()


@pytest.mark.parametrize("sql", OUTSIDE_BY_WRITING)
def test_the_writer_stays_inside_as_well(store: Any, kept: str, sql: str) -> None:
    answer = store.request(sql)
    assert answer.status >= 400, answer.text
    assert not Path("/tmp/otel-fim-test-outfile").exists()
    assert store.query("SHOW TABLES FROM default") == f"{kept}\n"
    assert store.query(f"SELECT groupArray(n) FROM {kept}") == "[1]\n"


def test_words_in_quotes_are_no_calls(store: Any) -> None:
    for sql in (
        "SELECT 'file(''x'')', 'INTO OUTFILE', 'python(os)'",
        "SELECT 1 AS file, 2 AS `url`",
        "SELECT count() FROM numbers(3) WHERE toString(number) IN ('file', 'x')",
        "WITH url AS (SELECT 1) SELECT * FROM url",
        "SELECT * FROM values('a String', 'x')",
        "SELECT * FROM generateRandom('a UInt8') LIMIT 1 FORMAT Null",
    ):
        store.query(sql, user="reader")


def test_the_reader_may_tune_its_queries(store: Any) -> None:
    assert store.query("SELECT getSetting('max_execution_time')", user="reader") == "300\n"
    assert (
        store.query("SELECT getSetting('max_execution_time')", user="reader", max_execution_time=7) == "7\n"
    )
    assert store.query("SELECT getSetting('max_threads') SETTINGS max_threads = 1", user="reader") == "1\n"
    assert store.request("SELECT 1", user="reader", parameters={"readonly": 0}).code == 164


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SHOW TABLES",
        "DESCRIBE system.one",
        "EXISTS system.one",
        "EXPLAIN SELECT 1",
        "SHOW CREATE TABLE kept",
        "SHOW PROCESSLIST",
        "WITH 1 AS x SELECT x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "CHECK TABLE kept",
        "SELECT * FROM numbers(2)",
        "SELECT 1 SETTINGS max_threads = 1 FORMAT JSON;",
    ],
)
def test_what_the_reader_is_there_for(store: Any, kept: str, sql: str) -> None:
    store.query(sql, user="reader")


def test_every_table_function_is_decided_on(store: Any) -> None:
    """A function of the engine that is not on the list is refused, whatever it does."""
    names = store.query("SELECT name FROM system.table_functions").split()
    assert len(names) > 50
    for name in names:
        answer = store.request(f"SELECT * FROM `{name}`() LIMIT 1", user="reader")
        if name.lower() not in ALLOWED_TABLE_FUNCTIONS:
            assert answer.code == 497, f"{name}: {answer.text}"
        else:
            assert answer.code != 497 or "not available" not in answer.text


def test_literals() -> None:
    assert quote(b"a'b\\c\0") == b"'a\\'b\\\\c\\0'"
    assert parameter(b"a\tb\nc\\d") == b"a\\tb\\nc\\\\d"
