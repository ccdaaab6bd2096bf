"""An INSERT is answered 200 only when its rows are in the table."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LARGE = 5 * 2**20  # more than is read before the engine is asked


@pytest.fixture
def table(store: Any) -> Iterator[str]:
    yield "staged"
    store.query("DROP TABLE IF EXISTS staged")


@pytest.mark.parametrize("rows", [1, LARGE // 8])
@pytest.mark.parametrize("form", ["RowBinary", "CSV", "Values", "JSONEachRow"])
def test_a_violated_constraint_is_an_error(store: Any, table: str, form: str, rows: int) -> None:
    if rows > 1 and form != "RowBinary":
        rows = 1000
    store.query(f"CREATE TABLE {table} (x UInt64, CONSTRAINT p CHECK x < 5) ENGINE = MergeTree ORDER BY x")
    good = {"RowBinary": struct.pack("<Q", 1), "CSV": b"1\n", "Values": b"(1),", "JSONEachRow": b'{"x":1}\n'}[
        form
    ]
    bad = {"RowBinary": struct.pack("<Q", 9), "CSV": b"9\n", "Values": b"(9)", "JSONEachRow": b'{"x":9}\n'}[
        form
    ]
    head = b"VALUES " if form == "Values" else f"FORMAT {form}\n".encode()
    answer = store.request(b"INSERT INTO staged " + head + good * rows + bad)
    assert (answer.status, answer.code) == (500, 469), answer.text
    assert store.query(f"SELECT count() FROM {table}") == "0\n"


def test_too_many_partitions_are_an_error(store: Any, table: str) -> None:
    store.query(f"CREATE TABLE {table} (x UInt32) ENGINE = MergeTree ORDER BY x PARTITION BY x")
    answer = store.request(b"INSERT INTO staged FORMAT RowBinary\n" + struct.pack("<101I", *range(101)))
    assert (answer.status, answer.code) == (500, 252), answer.text
    assert store.query(f"SELECT count() FROM {table}") == "0\n"
    allowed = b"INSERT INTO staged SETTINGS max_partitions_per_insert_block = 200 FORMAT RowBinary\n"
    answer = store.request(allowed + struct.pack("<101I", *range(101)))
    assert answer.status == 200, answer.text
    assert store.query(f"SELECT count() FROM {table}") == "101\n"


def test_a_row_that_cannot_be_read_far_behind_is_an_error(store: Any, table: str) -> None:
    store.query(f"CREATE TABLE {table} (x UInt32) ENGINE = MergeTree ORDER BY x")
    answer = store.request(b"INSERT INTO staged FORMAT CSV\n" + b"1234567\n" * (LARGE // 8) + b"none\n")
    assert answer.status == 400, answer.text
    assert store.query(f"SELECT count() FROM {table}") == "0\n"


def test_large_inserts_are_whole_and_in_order(store: Any, table: str) -> None:
    store.query(f"CREATE TABLE {table} (k UInt8, x UInt64) ENGINE = ReplacingMergeTree ORDER BY k")
    rows = b"".join(struct.pack("<BQ", 1, n) for n in range(LARGE // 8))
    answer = store.request(b"INSERT INTO staged FORMAT RowBinary\n" + rows)
    assert answer.status == 200, answer.text
    assert f'"written_rows":"{LARGE // 8}"' in answer.headers["x-clickhouse-summary"]
    assert store.query(f"SELECT x FROM {table} FINAL") == f"{LARGE // 8 - 1}\n"


def test_settings_of_a_query_leave_no_row_out(store: Any, table: str) -> None:
    store.query(f"CREATE TABLE {table} (x UInt8) ENGINE = MergeTree ORDER BY x")
    for name, value in {"limit": 1, "offset": 1, "additional_result_filter": "x = 1"}.items():
        store.query("INSERT INTO staged FORMAT CSV\n1\n2\n3\n", **{name: value})
    assert store.query(f"SELECT count() FROM {table}") == "9\n"


def test_columns_of_every_kind(store: Any, table: str) -> None:
    store.query(
        f"CREATE TABLE {table} (a UInt8, b String DEFAULT concat('v', toString(a)), m UInt8 MATERIALIZED a + 1, "
        "al UInt8 ALIAS a + 2, e UInt8 EPHEMERAL 3, f UInt8 DEFAULT e, l LowCardinality(UInt8), "
        "n Nested(q UInt8, r String), `odd ``name` Nullable(UInt8) DEFAULT 7) ENGINE = MergeTree ORDER BY a",
        allow_suspicious_low_cardinality_types=1,
    )
    rows = '{"a":1,"n.q":[4],"n.r":["x"]}\n{"a":2,"b":"\\n\\n;","l":9,"odd `name":null}\n'
    store.query(f"INSERT INTO {table} FORMAT JSONEachRow\n{rows}")
    store.query(f"INSERT INTO {table} (e, a) FORMAT CSV\n8,3\n")
    store.query(f"INSERT INTO {table} (* EXCEPT (`n.q`, `n.r`, `odd ``name`)) VALUES (4, 'z', 5, 6)")
    store.query(f"INSERT INTO {table} (a, n.q, n.r) SETTINGS max_threads = 1 FORMAT TSV\n5\t[1]\t['k']\n")
    found = store.query(
        f"SELECT a, b, m, al, f, l, n.q, n.r, `odd ``name` FROM {table} ORDER BY a FORMAT CSV"
    )
    assert found.splitlines() == [
        """1,"v1",2,3,3,0,"[4]","['x']",7""",
        '2,"',
        "",
        r""";",3,4,3,9,"[]","[]",\N""",
        """3,"v3",4,5,8,0,"[]","[]",7""",
        """4,"z",5,6,5,6,"[]","[]",7""",
        """5,"v5",6,7,3,0,"[1]","['k']",7""",
    ]
    for column in ("m", "al", "missing"):
        answer = store.request(f"INSERT INTO {table} (a, {column}) FORMAT CSV\n1,2\n")
        assert answer.status >= 400, column
    assert store.query(f"SELECT count() FROM {table}") == "5\n"


def test_ways_to_name_the_table(store: Any, table: str) -> None:
    store.query("CREATE DATABASE IF NOT EXISTS `a.b`")
    store.query("CREATE TABLE `a.b`.`format` (x UInt8) ENGINE = MergeTree ORDER BY x")
    store.query("INSERT INTO `a.b`.`format` FORMAT CSV\n1\n")
    store.query("INSERT INTO TABLE `format` (x) FORMAT CSV\n2\n", database="a.b")
    store.query(
        "INSERT INTO {d:Identifier}.{t:Identifier} (x) FORMAT CSV\n3\n", param_d="a.b", param_t="format"
    )
    assert store.query("SELECT sum(x) FROM `a.b`.`format`") == "6\n"
    store.query("DROP DATABASE `a.b`")


def test_a_materialized_view_gets_its_rows(store: Any, table: str) -> None:
    store.query(f"CREATE TABLE {table} (x UInt8) ENGINE = Null")
    store.query("CREATE TABLE seen (x UInt8, CONSTRAINT p CHECK x < 5) ENGINE = MergeTree ORDER BY x")
    store.query(f"CREATE MATERIALIZED VIEW seen_view TO seen AS SELECT x FROM {table}")
    store.query(f"INSERT INTO {table} FORMAT CSV\n1\n2\n")
    assert store.request(f"INSERT INTO {table} FORMAT CSV\n9\n").code == 469
    assert store.query("SELECT count() FROM seen") == "2\n"
    store.query("DROP VIEW seen_view")
    store.query("DROP TABLE seen")


def test_rows_of_a_killed_insert_do_not_stay_on_disk(own_store: Any) -> None:
    left = own_store.directory / "data" / "data" / "_temporary_and_external_tables" / "_tmp_left"
    left.mkdir(parents=True)
    own_store.start()
    assert not left.exists()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("rows", [2000, 8000])
def test_a_full_disk_is_said(own_store: Any, tmp_path: Path, rows: int) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(small)], check=True, timeout=20)
    try:
        own_store.directory = small / "data"
        own_store.start()
        own_store.query("CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY tuple()")
        answers = [
            own_store.request(
                b"INSERT INTO t FORMAT RowBinary\n"
                + b"".join(b"\xe8\x07" + os.urandom(1000) for _ in range(rows))
            )
            for _ in range(40000 // rows)
        ]
        kept = sum(answer.status == 200 for answer in answers)
        assert 0 < kept < len(answers)
        assert {answer.code for answer in answers if answer.status != 200} == {243}
        assert own_store.query("SELECT count() FROM t") == f"{kept * rows}\n"
        assert own_store.end() == 0
    finally:
        if own_store.process is not None and own_store.process.poll() is None:
            own_store.process.kill()
            own_store.process.wait()
        subprocess.run(["umount", "--lazy", str(small)], check=True, timeout=20)
