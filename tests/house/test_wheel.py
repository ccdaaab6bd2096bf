"""What is in the wheel and the sdist, and that the wheel works in an environment that holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return out


def source_files() -> set[str]:
    """Every module that must be installed, as the wheel names it."""
    rooms = ("otel_fim", "receivers", "processors", "exporters", "dashboards", "rules")
    found = set()
    for room in rooms:
        for path in (ROOT / room).rglob("*"):
            relative = path.relative_to(ROOT)
            if (
                path.is_file()
                and path.suffix in (".py", ".yaml", ".yml", ".typed")
                and "__pycache__" not in path.parts
                and path.parent != ROOT / "otel_fim/sigma/plugin"
            ):
                inside = relative if room == "otel_fim" else Path("otel_fim") / relative
                found.add(str(inside))
    return found


def test_wheel_holds_every_module_once_under_one_name(built: Path) -> None:
    wheel = next(built.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    installed = {name for name in names if ".dist-info/" not in name}
    # pySigma finds its plugins in packages of its own.
    plugins = {f"sigma/{kind}/otel_fim/__init__.py" for kind in ("pipelines", "backends")}
    assert {name for name in installed if not name.startswith("otel_fim/")} == plugins
    assert source_files() <= installed
    assert not [name for name in installed if "test" in name or "benchmark" in name]


def test_sdist_holds_the_rooms_and_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    sdist = next(built.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    tree = next(tmp_path.iterdir())
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--no-isolation",
            "--wheel",
            "--outdir",
            str(tmp_path / "out"),
            str(tree),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    again = zipfile.ZipFile(next((tmp_path / "out").glob("*.whl"))).namelist()
    first = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    assert sorted(again) == sorted(first)


def test_pysigma_finds_the_plugins_of_the_installed_wheel(built: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    wheel = next(built.glob("*.whl"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
    ]
    subprocess.run([*install, str(wheel)], check=True, timeout=120, cwd=tmp_path)
    code = (
        "import otel_fim\n"
        "from sigma.plugins import InstalledSigmaPlugins\n"
        "from sigma.collection import SigmaCollection\n"
        "found = InstalledSigmaPlugins.autodiscover()\n"
        "pipeline = found.get_pipeline_resolver().resolve(['otel_fim'])\n"
        "rules = SigmaCollection.from_yaml(open('rule.yml').read())\n"
        "print(otel_fim.__file__, found.backends['otel_fim'](pipeline).convert(rules)[0], sep='\\n')\n"
    )
    (tmp_path / "rule.yml").write_text(
        "title: A rule\nid: 4b1d9f0c-7d1c-4a5f-8c59-6d1b6f0c2a77\n"
        "logsource: {category: process_creation, product: linux}\n"
        "detection: {selection: {Image|endswith: /nc}, condition: selection}\n"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(site))
    for part in ("process.executable.path", "otel_fim.process.started", "/nc"):
        assert part in ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_wheel_in_an_empty_environment_gives_a_working_command(built: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, timeout=60)
    wheel = next(built.glob("*.whl"))
    subprocess.run(
        [str(environment / "bin/pip"), "install", "--quiet", str(wheel)],
        check=True,
        timeout=240,
        cwd=tmp_path,
    )
    command = str(environment / "bin/otel-fim")
    version = subprocess.run([command, "--version"], check=True, capture_output=True, text=True, timeout=30)
    assert version.stdout.startswith("otel-fim 0.")
    listed = subprocess.run([command, "components"], check=True, capture_output=True, text=True, timeout=30)
    assert "file_integrity" in listed.stdout
    config = tmp_path / "config.yaml"
    config.write_text(
        f"receivers: {{file_integrity: {{paths: [{tmp_path}]}}}}\nprocessors: {{attack: , chain: }}\n"
        "exporters: {console: }\n"
        f"service:\n  state_directory: {tmp_path}/state\n  telemetry: {{metrics: {{level: none}}}}\n"
        "  pipelines: {logs: {receivers: [file_integrity], processors: [attack, chain], exporters: [console]}}\n"
    )
    agent = subprocess.Popen([command, "run", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    assert agent.stderr is not None
    for line in agent.stderr:
        if "file_integrity: compared" in line:
            break
    agent.terminate()
    agent.communicate(timeout=30)
    assert agent.returncode == 0
    lean = subprocess.run(
        [str(environment / "bin/python"), "-c", "import chdb"], capture_output=True, text=True, timeout=30
    )
    assert "ModuleNotFoundError" in lean.stderr, "the core must not bring the embedded database"
