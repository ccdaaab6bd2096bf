"""Rules read in a child process: the same rules, and what ends the child is named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from otel_fim.sigma.ir import RuleSet
from otel_fim.sigma.load import LoadLimits, isolated, load_isolated, load_rules

RULE = """
title: {0}
logsource: {{product: linux}}
detection: {{selection: {{user.name|expand: '%admins%', Image: [{0}, "ä"]}}, condition: selection}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "rules"
    made.mkdir()
    for name in "abc":
        (made / f"{name}.yml").write_text(RULE.format(name), encoding="utf-8")
    (made / "bad.yml").write_text("title: [")
    with open(os.fsencode(made) + b"/\xff.yml", "w", encoding="utf-8") as file:
        file.write(RULE.format("odd"))
    return made


PLACEHOLDERS = {"admins": ["root", "adm*"]}


def test_the_same_rules(folder: Path) -> None:
    there = load_isolated([folder], placeholders=PLACEHOLDERS)
    assert there == load_rules([folder], placeholders=PLACEHOLDERS)
    assert len(there.rules) == 4
    assert len(there.rejected) == 1


def test_paths_are_those_of_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert len(load_isolated(["rules/../rules"], placeholders=PLACEHOLDERS).rules) == 4


def test_nothing_to_read() -> None:
    assert load_isolated([]) == RuleSet()


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    """A child that comes to harm when it begins with `b.yml`: a program that does `harm` and else is the real one."""
    module = tmp_path / "harmed_child.py"
    module.write_text(
        textwrap.dedent(
            """
            import os, sys, time, signal
            from otel_fim.sigma.load import child
            from otel_fim.sigma.load.loading import Loading

            real = Loading._file

            def harmed(self, file):
                if file.path.endswith("b.yml"):
                    HARM
                real(self, file)

            Loading._file = harmed
            sys.exit(child.main())
            """
        ).replace("HARM", harm)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(isolated, "CHILD", "harmed_child")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("os._exit(7)", "status 7"),
        ("x = bytearray(3 << 30)", "status 3"),
        ("x = ['x' * 1000 + str(n) for n in range(10 ** 8)]", "status 3"),
        ("raise SystemError('a library gives up')", "status 1"),
    ],
)
def test_a_file_that_ends_the_child_is_named_and_the_rest_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, words: str
) -> None:
    stand_in(tmp_path, monkeypatch, harm)
    ruleset = load_isolated([folder], placeholders=PLACEHOLDERS, limits=LoadLimits(memory_bytes=2**28))
    assert {each.meta.title for each in ruleset.rules} == {"a", "c", "odd"}
    (told,) = [each.reason for each in ruleset.rejected if "bad.yml" not in each.reason]
    assert "b.yml: not read: " in told
    assert words in told


def test_a_file_that_takes_too_long(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "time.sleep(600)")
    ruleset = load_isolated([folder], placeholders=PLACEHOLDERS, limits=LoadLimits(file_seconds=5))
    assert {each.meta.title for each in ruleset.rules} >= {"a", "c"}
    assert any("b.yml: not read: it takes too long" in each.reason for each in ruleset.rejected)


def test_reading_ends_soon_when_nobody_waits_for_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "time.sleep(600)")
    asked: list[None] = []

    def stopping() -> bool:
        asked.append(None)
        return len(asked) > 8

    with pytest.raises(isolated.IsolationError, match="told to stop"):
        load_isolated([folder], placeholders=PLACEHOLDERS, stopping=stopping)
    assert len(asked) == 9


def test_too_many_such_files_give_it_up(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "pass\n    os._exit(7)")
    ruleset = load_isolated([folder], placeholders=PLACEHOLDERS, limits=LoadLimits(restarts=1))
    assert not ruleset.rules
    assert "more than 1 files cannot be read" in ruleset.rejected[0].reason


def test_a_child_that_cannot_be_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(isolated.IsolationError, match="/nonexistent/python cannot be started"):
        load_isolated([folder])


def test_the_child_has_nothing_of_the_agents(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    os.mkfifo(told)
    reading = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
    kept, other = os.pipe()
    os.set_inheritable(kept, True)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
    stand_in(
        tmp_path,
        monkeypatch,
        "pass\n"
        + textwrap.indent(
            f"out = os.open({str(told)!r}, os.O_WRONLY)\n"
            "os.write(out, repr((sorted(os.environ), sorted(os.listdir('/proc/self/fd')))).encode())\n"
            "os.close(out)",
            " " * 20,
        ).replace(" " * 20, "        "),
    )
    load_isolated([folder], placeholders=PLACEHOLDERS)
    text = os.read(reading, 65536).decode()
    for each in (reading, kept, other):
        os.close(each)
    assert "CLICKHOUSE_PASSWORD" not in text
    assert "PYTHONPATH" in text
    descriptors = text.partition("], [")[2]
    # standard streams, the answer, the pipe to the test, and the listing itself
    assert descriptors.count("'") // 2 <= 6, text


def test_the_agent_does_not_import_pysigma() -> None:
    code = (
        "import sys, otel_fim.sigma.load, otel_fim.sigma.ir_json\n"
        "print([name for name in sys.modules if name == 'sigma' or name.startswith(('sigma.', 'yaml'))])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_an_ordinary_user_can(folder: Path) -> None:
    code = (
        "from otel_fim.sigma.load import load_isolated\n"
        f"print(len(load_isolated([{str(folder)!r}], placeholders={PLACEHOLDERS!r}).rules))"
    )
    # The interpreter may lie in root's home: the user may read everything, and nothing else.
    reading = [
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ]
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        *reading,
        sys.executable,
        "-c",
        code,
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert found.stdout.strip() == "4", found.stderr
