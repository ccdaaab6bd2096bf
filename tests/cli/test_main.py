"""The command line in a process of its own: exit status, what goes where, and no noise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from otel_fim.version import __version__

TIMEOUT = 60
VALID = """
processors: {chain: }
receivers: {file_integrity: {paths: [/nonexistent]}}
exporters: {console: , otlp_file: {path: x}}
service:
  pipelines: {logs: {receivers: [file_integrity], processors: [chain], exporters: [console]}}
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `otel-fim` in an empty directory; keyword arguments are environment variables."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "otel_fim", *arguments],
            env=os.environ | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Announces a command `probe` whose `run` has the given body; gives the environment that knows it."""

    def command(body: str) -> dict[str, str]:
        home = tmp_path / "packages"
        information = home / "probe-1.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
        (information / "entry_points.txt").write_text(
            "[otel_fim.commands]\nprobe = probe\nvalidate = probe\n"
        )
        (home / "probe.py").write_text(
            f"import os, signal, sys\nHELP = 'probe'\ndef add_arguments(parser): pass\ndef run(args):\n    {body}\n"
        )
        return {"PYTHONPATH": str(home)}

    return command


def test_version_and_help(run: Run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"otel-fim {__version__}\n", "")
    done = run("--help")
    assert done.returncode == 0
    for name, text in {
        "validate": "check a configuration",
        "components": "list the installed",
        "run": "",
    }.items():
        assert any(line.split()[:1] == [name] and text in line for line in done.stdout.splitlines())


def test_wrong_usage_is_2(run: Run) -> None:
    assert run().returncode == 2
    done = run("vaildate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("otel-fim: unknown command 'vaildate'; did you mean 'validate'? (known: ")
    done = run("validate", "--nonsense")
    assert done.returncode == 2
    assert "usage: otel-fim validate" in done.stderr


def test_the_program_on_the_path_is_the_same(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("otel-fim")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert done.stdout == f"otel-fim {__version__}\n"


def test_validate(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(VALID)
    done = run("validate", "-c", "c.yaml")
    assert done.returncode == 0
    assert done.stdout == (
        "configuration is valid: 1 pipeline, 1 receiver, 1 processor, 2 exporters, 0 extensions\n"
    )
    assert done.stderr == "warning: exporters.otlp_file: configured but not used: no pipeline names it\n"


def test_validate_reports_everything_on_stderr(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(VALID)
    done = run(
        "validate",
        "--config=c.yaml",
        "--set=receivers.file_integrity.path=[/x]",
        "--set=service.queue_size=${env:OTEL_FIM_TEST_UNSET}",
    )
    assert (done.returncode, done.stdout) == (1, "")
    unset, unknown = done.stderr.splitlines()
    assert unset.startswith("service.queue_size: the environment variable OTEL_FIM_TEST_UNSET is not set; ")
    assert unknown == "receivers.file_integrity.path: unknown key; did you mean 'paths'?"
    assert (
        run("validate", "-c", "none.yaml").stderr == "none.yaml: cannot be read: No such file or directory\n"
    )


def test_the_embedded_default_is_valid(run: Run) -> None:
    done = run("validate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("configuration is valid: 1 pipeline, ")


def test_print_config(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(VALID)
    done = run("print-config", "-c", "c.yaml", "--set", "service.queue_size=77")
    assert done.returncode == 0
    shown = yaml.safe_load(done.stdout)
    assert shown["receivers"]["file_integrity"]["paths"] == ["/nonexistent"]
    assert shown["service"]["queue_size"] == 77
    assert (
        json.loads(run("print-config", "-c", "c.yaml", "--output=json").stdout)["service"]["queue_size"]
        == 8192
    )


def test_the_template_is_the_default(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(run("print-config", "--template").stdout)
    assert run("print-config", "-c", "t.yaml").stdout == run("print-config").stdout


def test_components(run: Run) -> None:
    found = json.loads(run("components", "--output=json").stdout)
    assert yaml.safe_load(run("components", "--output=yaml").stdout) == found
    chain = [one for one in found if one["type"] == "chain"]
    assert chain == [
        {
            "kind": "processor",
            "type": "chain",
            "stability": chain[0]["stability"],
            "distribution": "otel-fim",
            "version": __version__,
            "error": "",
        }
    ]
    assert [one for one in found if one["error"]] == []
    table = run("components").stdout.splitlines()
    assert len(table) == len(found) + 1
    assert "\x1b" not in "".join(table)


@pytest.mark.parametrize(
    ("body", "status", "stderr"),
    [
        ("return 7", 7, ""),
        ("raise KeyError('x')", 2, "otel-fim: KeyError: 'x' (OTEL_FIM_DEBUG=1 shows where)\n"),
        ("sys.exit('sorry')", 1, "sorry\n"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        # What was started in the background may have it ignored.
        (
            "signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT)",
            130,
            "",
        ),
    ],
)
def test_exit_status(
    run: Run, command: Callable[[str], dict[str, str]], body: str, status: int, stderr: str
) -> None:
    done = run("probe", **command(body))
    assert (done.returncode, done.stdout, done.stderr) == (status, "", stderr)


def test_a_traceback_for_those_who_ask(run: Run, command: Callable[[str], dict[str, str]]) -> None:
    done = run("probe", OTEL_FIM_DEBUG="1", **command("raise KeyError('x')"))
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("otel-fim: KeyError: 'x'\n")


def test_our_own_commands_cannot_be_replaced(run: Run, command: Callable[[str], dict[str, str]]) -> None:
    done = run("validate", "-c", "none.yaml", **command("return 0"))
    assert done.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(unbuffered: str) -> None:
    for arguments in (["--help"], ["print-config", "--template"], ["components"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "otel_fim", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            timeout=TIMEOUT,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_an_error(unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "otel_fim", "print-config", "--template"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("otel-fim: OSError: [Errno 28] No space left on device")


def test_only_the_chosen_command_is_imported(run: Run, tmp_path: Path) -> None:
    program = (
        "import sys; from otel_fim.cli.main import main; status = main(['print-config', '--template']);"
        "print(sorted(name for name in sys.modules if name.startswith(('otel_fim.cli.', 'otel_fim.store'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    modules = done.stdout.splitlines()[-1]
    assert "otel_fim.cli.print_config" in modules
    assert "otel_fim.cli.run" not in modules
    assert "otel_fim.store" not in modules
