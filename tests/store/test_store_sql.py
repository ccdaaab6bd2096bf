"""The lexer, and where an INSERT's data begins."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_fim.store.errors import StoreError
from otel_fim.store.insert import NeedMoreError, split_insert
from otel_fim.store.sql import called_names, read_canonical, tokens, unquote

CASES = [
    (b"INSERT INTO t FORMAT Native\n\x00\x01", b"INSERT INTO t ", "Native", b"\x00\x01"),
    (b"INSERT INTO t FORMAT RowBinary\n\n\n", b"INSERT INTO t ", "RowBinary", b"\n\n"),
    (
        b"insert into d.t (a, `format`) values (1,'x')",
        b"insert into d.t (a, `format`) ",
        "Values",
        b" (1,'x')",
    ),
    (b"INSERT INTO t SETTINGS a=1 FORMAT CSV\r\n1", b"INSERT INTO t SETTINGS a=1 ", "CSV", b"1"),
    (b"-- x\n/* y */ # z\n INSERT INTO TABLE t VALUES (1)", b"INSERT INTO TABLE t ", "Values", b" (1)"),
    (b"INSERT INTO values VALUES (1)", b"INSERT INTO values ", "Values", b" (1)"),
    (b"INSERT INTO format FORMAT CSV 1", b"INSERT INTO format ", "CSV", b"1"),
    (b"INSERT INTO table VALUES (1)", b"INSERT INTO table ", "Values", b" (1)"),
    (b"INSERT INTO function VALUES (1)", b"INSERT INTO function ", "Values", b" (1)"),
    (b"INSERT INTO d.values FORMAT CSV\n1", b"INSERT INTO d.values ", "CSV", b"1"),
    (b'INSERT INTO t FORMAT JSONEachRow{"a":1}', b"INSERT INTO t ", "JSONEachRow", b'{"a":1}'),
    (b"INSERT INTO t -- FORMAT a\n FORMAT CSV\n1", b"INSERT INTO t -- FORMAT a\n ", "CSV", b"1"),
    (b"INSERT INTO `FORMAT x` (a) FORMAT CSV\n", b"INSERT INTO `FORMAT x` (a) ", "CSV", b""),
    (b"INSERT INTO t (* EXCEPT(b)) FORMAT CSV\n\n1", b"INSERT INTO t (* EXCEPT(b)) ", "CSV", b"\n1"),
    (b";INSERT t VALUES(1)", b"INSERT t ", "Values", b"(1)"),
]


@pytest.mark.parametrize(("text", "statement", "name", "data"), CASES, ids=[repr(c[0][:40]) for c in CASES])
def test_an_insert_is_split_where_its_data_begins(
    text: bytes, statement: bytes, name: str, data: bytes
) -> None:
    found = split_insert(text, complete=True)
    assert found is not None
    assert (found.statement, found.format, text[found.data_offset :]) == (statement, name, data)
    assert found.structure is None


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"INSERT INTO t SELECT 1",
        b"INSERT INTO t (a) SELECT 1 FORMAT CSV",
        b"INSERT INTO t (SELECT 1)",
        b"INSERT INTO t WITH x AS (SELECT 1) SELECT 1",
        b"INSERT INTO t",
        b"INSERTED",
        b"",
        b"/* INSERT INTO t VALUES (1)",
    ],
)
def test_what_carries_no_data_is_left_to_the_engine(text: bytes) -> None:
    assert split_insert(text, complete=True) is None


def test_the_data_of_input_is_found() -> None:
    text = b"INSERT INTO t (a) SELECT x FROM input('x UInt8, `y` String') WHERE 'FORMAT z' != '' FORMAT TSV\n1\t2"
    found = split_insert(text, complete=True)
    assert found is not None
    assert found.structure == b"x UInt8, `y` String"
    assert found.statement == b"INSERT INTO t (a) SELECT x FROM _otel_fim_input WHERE 'FORMAT z' != '' "
    assert (found.format, text[found.data_offset :]) == ("TSV", b"1\t2")


@pytest.mark.parametrize(
    "text", [b"INSERT INTO FUNCTION file('x') VALUES (1)", b"INSERT INTO t FROM INFILE '/x' FORMAT CSV"]
)
def test_inserts_that_leave_the_store_are_refused(text: bytes) -> None:
    with pytest.raises(StoreError):
        split_insert(text, complete=True)


@pytest.mark.parametrize("text", [case[0] for case in CASES])
def test_a_head_cut_anywhere_gives_the_same_or_asks_for_more(text: bytes) -> None:
    whole = split_insert(text, complete=True)
    for size in range(len(text)):
        try:
            found = split_insert(text[:size], complete=False)
        except NeedMoreError:
            continue
        assert found == whole


@given(
    name=st.sampled_from(["t", "db.t", "`a b`", '"FORMAT"', "`VALUES (`", "values", "system"]),
    columns=st.sampled_from(["", "(a)", "(a, `b)`)", "(* EXCEPT(c))", "( -- )\n a)"]),
    settings=st.sampled_from(["", "SETTINGS x = 1", "SETTINGS x = 'FORMAT CSV', y = 2"]),
    gap=st.sampled_from([" ", "\n", " /* FORMAT Null */ ", " -- VALUES\n", "\t# x\n"]),
    data=st.binary(max_size=200),
)
def test_any_data_comes_through_whole(name: str, columns: str, settings: str, gap: str, data: bytes) -> None:
    head = gap.join(["INSERT INTO", name, columns, settings, "FORMAT RowBinary"]).encode() + b"\n"
    found = split_insert(head + data, complete=True)
    assert found is not None
    assert (found.format, found.data_offset) == ("RowBinary", len(head))


@given(st.binary(max_size=300))
@example(b"INSERT INTO t VALUES $tag$ $ta")
@example(b"INSERT INTO '")
@example(b"\xe2\x80\x98 \xe2\x80\x99 \xe2\x80\x9c")
def test_no_text_breaks_the_lexer(text: bytes) -> None:
    position = 0
    for token in tokens(text):
        assert position <= token.start < token.end <= len(text)
        assert token.depth >= 0
        position = token.end
    called_names(text)
    read_canonical(text)
    try:
        found = split_insert(text, complete=True)
    except StoreError:
        return
    if found is not None:
        assert 0 < found.data_offset <= len(text)


@given(st.lists(st.sampled_from([b"'a\\'b'", b"`x`", b'"y"', b"(", b")", b"f", b" ", b"--\n", b"1", b"'"])))
def test_strings_hide_what_is_in_them(parts: list[bytes]) -> None:
    inside = b"'file(' " + b"".join(part for part in parts if part != b"'")
    assert "file" not in called_names(inside)


def test_names_that_are_called() -> None:
    text = b"SELECT FILE ('x'), `f\\x69le2`(1), \"a\"\"b\"(2), x, 'url(' FROM t /* s3( */ ENGINE = Kafka"
    assert called_names(text) == {"file", "file2", 'a"b', "kafka"}


def test_quoted_names_and_strings() -> None:
    assert unquote(b"`a``b`") == b"a`b"
    assert unquote(b'"a\\"b"') == b'a"b'
    assert unquote(b"'it''s \\t\\x41'") == b"it's \tA"


def test_a_canonical_statement() -> None:
    found = read_canonical(
        b"CREATE TEMPORARY TABLE x (`FORMAT` String DEFAULT file('it\\'s url(1)')) ENGINE = Kafka "
        b"AS SELECT `f\\x69le2` (1), 'INTO OUTFILE', x.s3(2), 1234, [5] FORMAT JSON SETTINGS a = 'FORMAT CSV'"
    )
    assert found.called == {"x", "file", "kafka", "file2", "s3"}
    assert found.format == "JSON"
    assert found.first == ("CREATE", "TEMPORARY", "TABLE", "X")
    assert not found.files
    assert read_canonical(b"SELECT 1 INTO OUTFILE 'x'").files
    assert read_canonical(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV").files
    assert not read_canonical(b"SELECT outfile, infile FROM t WHERE a = 'INTO OUTFILE'").files
    assert read_canonical(b"SELECT 1").format is None


def test_the_engine_writes_what_is_read_here(store: Any) -> None:
    """Whatever way a call is spelled, the canonical form shows it."""
    for sql in (
        "SELECT FILE /* x */ ('a')",
        "SELECT `f\\x69le`('a')",
        "SELECT \"file\"('a')",
        "SELECT -- \n file\n(\n'a')",
        "SELECT $tag$ ' $tag$, file('a'), $$ ` $$",
        "SELECT 'it''s \\' \"', file('a'), '\\\\'",
        'SELECT `a``b`, "c""d", file(\'a\') AS `x\'y`',
        "SELECT 1 IN file('a'), {p:String}",
        "SELECT (x -> file(x)) AS f",
        "WITH file('a') AS y SELECT y",
        "SELECT * FROM numbers(3) AS t ARRAY JOIN [file('a')] AS q",
        "SELECT 1 ORDER BY file('a') SETTINGS max_threads = 1 FORMAT CSV",
        "EXPLAIN AST SELECT file('a')",
        "SELECT CAST(file('a') AS String), file('a')::String, -file('a'), NOT file('a'), file('a') ? 1 : 2",
    ):
        answer = store.request(
            "SELECT formatQuerySingleLine({q:String}) FORMAT RawBLOB",
            parameters={"param_q": sql.replace("\\", "\\\\").replace("\n", "\\n")},
        )
        assert answer.status == 200, answer.text
        assert "file" in read_canonical(answer.body).called, answer.body
        assert store.request(sql, user="reader").code == 497
