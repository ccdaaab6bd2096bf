"""Files that are wrong, or made to harm: each is named, and the rest is loaded."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim.sigma.ir import RuleSet
from otel_fim.sigma.load import LoadLimits, load_rules

Load = Callable[..., RuleSet]
GOOD = """
title: Good
logsource: {product: linux}
detection: {selection: [word], condition: selection}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    (made / "good.yml").write_text(GOOD)
    return made


def reasons(folder: Path, **options: object) -> list[str]:
    """What is rejected of a folder whose good rule must be loaded."""
    ruleset = load_rules([folder], **options)
    assert "Good" in {each.meta.title for each in ruleset.rules}
    assert all(each.reason.startswith(each.path) for each in ruleset.rejected)
    return [each.reason for each in ruleset.rejected]


BOMB = (
    "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]" for n in range(9))
    + "\n"
)
MERGES = (
    "a: &a {x: 1}\n"
    + "\n".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join(['*' + chr(97 + n)] * 10)}]}}" for n in range(9)
    )
    + "\n"
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"title: [", "line 2: invalid YAML"),
        (b"title: a\n  b: c\n", "line 2: invalid YAML"),
        (b"\tx: 1", "invalid YAML"),
        (b"- 1\n---\na: 1\n", "line 1: the document is a list"),
        (b"just words", "the document is a text"),
        (b"5", "the document is a int"),
        (b"title: x\ntitle: y\n", "line 2, 'x': the key 'title' stands twice"),
        (b"? [a, b]\n: c\n", "a key is a list"),
        (b"title: !!python/object/apply:os.system [id]\n", "invalid YAML"),
        (b"title: x\n", "neither detection nor correlation nor filter"),
        (b"action: global\ntitle: x\n", "Sigma 1"),
        (b"title: x\ndetection: {}\nfilter: {}\n", "detection and filter"),
        (b"title: x\nlogsource: {product: linux}\ndetection: {}\n", "no condition"),
        (b"title: x\nlogsource: {product: linux}\ndetection: {condition: a}\n", "no selection"),
        (b"title: x\nlogsource: {product: linux}\ndetection: {a: {}, condition: a}\n", "is empty"),
        (b"title: x\nlogsource: {product: linux}\ndetection: {1: {a.b: c}, condition: a}\n", "quotes"),
        (b"title: x\nlogsource: {product: linux}\ndetection: text\n", "must be a mapping"),
        (
            b"title: x\nlogsource: {product: linux}\ndetection: {a: [x], timeframe: 5m, condition: a}\n",
            "timeframe",
        ),
        (b"title: x\ndetection: {a: [x], condition: a}\n", "log source"),
        (b"logsource: {product: linux}\ndetection: {a: [x], condition: a}\n", "title"),
        (b"title: [x]\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n", "title"),
        (
            b"title: x\nid: 5\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n",
            "UUID, as text",
        ),
        (b"title: x\nid: nonsense\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n", "UUID"),
        (
            b"title: x\nlevel: urgent\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n",
            "urgent",
        ),
        (b"title: x\ntags: [x]\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n", "tag"),
        (
            b"title: x\nconfidence: sure\nlogsource: {product: linux}\ndetection: {a: [x], condition: a}\n",
            "'sure'",
        ),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\xff\xfe", "not UTF-8"),
        ("title: ä".encode("utf-16"), "not UTF-8"),
        (b"title: \x00\x01", "invalid YAML"),
        (b"x" * (2**20 + 1), "larger than 1048576 bytes"),
        (b"[" * 100_000, "within each other"),
        (b"{a: " * 100_000, "within each other"),
        (b"- " * 100_000, "within each other"),
        (b"? " * 100_000, "within each other"),
        (b"a: [" * 40 + b"]" * 40, "within each other|invalid YAML"),
        ("\n".join("  " * n + "a:" for n in range(600)).encode(), "within each other"),
        (BOMB.encode(), "aliases"),
        (MERGES.encode(), "aliases"),
        (b"a: &a [*a]\n", "stands within what it names"),
        (b"a: &a {b: {c: *a}}\n", "stands within what it names"),
        (b"a: " + b"9" * 10_000, "invalid YAML|neither"),
        (b"x: *nothing\n", "invalid YAML"),
        (
            b"title: x\nlogsource: {product: linux}\ndetection: {a: {a.b|windash|contains: ["
            + b", ".join(b"'-a -b -c %d'" % n for n in range(20_000))
            + b"]}, condition: a}\n",
            "with windash at most 500",
        ),
        (
            b"title: x\nlogsource: {product: linux}\ndetection: {a: {a.b: ["
            + b", ".join(b"v%d" % n for n in range(20_000))
            + b"]}, condition: a"
            + b" or a" * 500
            + b"}\n",
            "make it several rules",
        ),
        (
            b"title: x\nlogsource: {product: linux}\ndetection: {a: {a.b: c}, condition: ["
            + b"a, " * 5000
            + b"]}\n",
            "at most 100",
        ),
        (
            b"title: x\nlogsource: {product: linux}\ndetection: {a: {a.b|re: '"
            + b"x" * 9000
            + b"'}, condition: a}\n",
            "9000",
        ),
    ],
)
def test_bad_files_are_named(folder: Path, content: bytes, words: str) -> None:
    (folder / "bad.yml").write_bytes(content)
    told = reasons(folder)
    assert told
    assert any(each in told[0] for each in words.split("|")), told[0][:500]
    assert "bad.yml" in told[0]


def test_documents_before_and_after_a_bad_one_are_loaded(folder: Path) -> None:
    (folder / "several.yml").write_text(
        f"{GOOD.replace('Good', 'First')}---\ntitle: x\n---\n{GOOD.replace('Good', 'Third')}---\n"
    )
    ruleset = load_rules([folder])
    assert [each.meta.title for each in ruleset.rules] == ["Good", "First", "Third"]
    assert "line 6" in ruleset.rejected[0].reason


def test_ids_are_given_once(folder: Path) -> None:
    rule = GOOD.replace("title: Good", "title: {0}\nid: 11111111-2222-4333-8444-555555555555")
    (folder / "a.yml").write_text(rule.replace("{0}", "A"))
    (folder / "b.yml").write_text(rule.replace("{0}", "B"))
    (told,) = reasons(folder)
    assert "'A' in rules/a.yml" in told


def test_what_is_no_file(folder: Path) -> None:
    (folder / "directory.yml").mkdir()
    (folder / "directory.yml" / "within.yaml").write_text(GOOD.replace("Good", "Within"))
    (folder / "samples.samples.yml").write_text("match: []")
    (folder / "notes.txt").write_text("no rule")
    (folder / ".git").mkdir()
    (folder / ".git" / "x.yml").write_text("no rule")
    os.mkfifo(folder / "pipe.yml")
    (folder / "gone.yml").symlink_to("nothing")
    (folder / "round.yml").symlink_to("round.yml")
    (folder / "loop").symlink_to(".")
    (folder / "null.yml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)
        try:
            listener.bind("socket.yml")
        finally:
            os.chdir(here)
    told = "\n".join(reasons(folder))
    for name in ("pipe.yml", "gone.yml", "round.yml", "loop", "null.yml", "socket.yml"):
        assert f"/{name}: " in told, name
    assert told.count("\n") == 5


def test_names_that_are_not_text(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff\n.yml", "wb") as file:
        file.write(b"title: x")
    (told,) = reasons(folder)
    assert r"\xff" in told
    assert told.encode()


def test_paths_that_are_not_there(folder: Path) -> None:
    ruleset = load_rules([folder, "/nonexistent/rules", folder / "good.yml", "bad\0name"])
    assert len(ruleset.rules) == 1
    first, second = ruleset.rejected
    assert first.reason == "/nonexistent/rules: there is no such file or folder"
    assert "null byte" in second.reason


def test_files_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "good.yml").write_text(GOOD)
        (Path(folder) / "good.yml").chmod(0o644)
        (Path(folder) / "secret.yml").write_text(GOOD)
        (Path(folder) / "secret.yml").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            (told,) = reasons(Path(folder))
        finally:
            os.seteuid(user)
    assert "secret.yml: may not be read by this user: give the agent's user the right" in told


def test_no_more_files_than_allowed(folder: Path) -> None:
    for number in range(10):
        (folder / f"z{number}.yml").write_text(GOOD.replace("Good", f"Rule {number}"))
    ruleset = load_rules([folder], limits=LoadLimits(files=5))
    assert len(ruleset.rules) == 5
    assert "more than 5 files" in ruleset.rejected[0].reason


def test_a_large_file_is_loaded_when_allowed(folder: Path) -> None:
    (folder / "large.yml").write_text(GOOD.replace("Good", "Large") + "#" * 2**21)
    assert len(load_rules([folder], limits=LoadLimits(file_bytes=2**22)).rules) == 2


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["linux", "process_creation", "a", "a and b", "1 of them", "5m", "failed"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=3)
                | st.sampled_from(
                    [
                        *(
                            "a",
                            "Image|re",
                            "a.b|base64offset",
                            "|all",
                            "timestamp|hour",
                            "a.b|cidr",
                            "condition",
                        ),
                        *(
                            "category",
                            "product",
                            "rules",
                            "type",
                            "timespan",
                            "group-by",
                            "aliases",
                            "User|expand",
                        ),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        ["detection", "correlation", "filter", "logsource", "title", "tags", "id", "level", "references"]
    ),
)
def test_nothing_that_yaml_can_say_raises(tmp_path: Path, value: object, key: str) -> None:
    import yaml

    document = {
        "title": "x",
        "logsource": {"product": "linux"},
        **({"detection": {"a": ["x"], "condition": "a"}} if key not in ("correlation", "filter") else {}),
        key: value,
    }
    path = tmp_path / "any.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    ruleset = load_rules([path])
    assert len(ruleset.rules) + len(ruleset.correlations) + len(ruleset.rejected) >= (key != "filter")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yml"
    path.write_bytes(content)
    load_rules([path])
