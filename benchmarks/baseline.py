"""A first baseline, and a comparison with it, against AIDE and coreutils: `python -m benchmarks.baseline [DIRECTORY]`.

All take SHA-256, mode, inode, link count, owner, group, size, mtime and ctime of everything below the directory
(default /usr). Everything is read once before each run, so that the disk does not count. The best of three runs
is shown (of one for AIDE, which takes long and varies little); memory is the peak resident size of the process that
does the work (`wait4`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROUNDS: Final = 3
_AIDE: Final = """database_in=file:{state}/aide.db
database_out=file:{state}/aide.db.new
gzip_dbout=no
report_url=file:/dev/null
num_workers={workers}
{directory} p+i+n+u+g+s+m+c+sha256
"""


@dataclass(slots=True, frozen=True)
class Row:
    """One line of the table: seconds, peak memory in bytes (0: not measured), how many times as fast as the peer."""

    name: str
    seconds: float
    peak: int
    ratio: float | None = None
    peer: str = ""


def run(directory: str = "/usr", rounds: int = _ROUNDS) -> list[Row]:
    """All measurements; what is not installed is left out."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="otel-fim-bench-") as state:

        def add(name: str, prepare: Callable[[], None], command: Sequence[str], peer: Row | None) -> Row:
            times = 1 if "aide" in command else rounds
            seconds, peak = min(_measure(directory, prepare, command) for _ in range(times))
            rows.append(
                Row(name, seconds, peak, peer.seconds / seconds if peer else None, peer.name if peer else "")
            )
            return rows[-1]

        init = check = None
        if shutil.which("aide"):
            for workers in (1, 2):
                Path(state, f"aide{workers}.conf").write_text(
                    _AIDE.format(state=state, directory=directory, workers=workers)
                )
            aide = ["aide", "-c", f"{state}/aide1.conf"]
            init = add("aide --init", _nothing, [*aide, "--init"], None)
            add("aide --init, num_workers=2", _nothing, ["aide", "-c", f"{state}/aide2.conf", "--init"], init)
        find = (
            'find "$1" -xdev -type f -print0 | xargs -0 -P2 sha256sum > /dev/null 2>&1; '
            "find \"$1\" -xdev -printf '%p %i %m %n %U %G %s %T@ %C@\\n' > /dev/null"
        )
        coreutils = add(
            "find | xargs -P2 sha256sum, find -printf", _nothing, ["sh", "-c", find, "sh", directory], init
        )
        database = Path(state, "baseline.db")

        def remove() -> None:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(f"{database}{suffix}")

        ours = [sys.executable, "-m", "benchmarks.baseline", "--child", str(database), directory]
        baseline = add("otel-fim, first baseline", remove, ours, init or coreutils)
        rows.append(
            Row(
                "  the same",
                baseline.seconds,
                baseline.peak,
                coreutils.seconds / baseline.seconds,
                coreutils.name,
            )
        )
        if shutil.which("aide"):
            os.replace(f"{state}/aide.db.new", f"{state}/aide.db")
            check = add("aide --check", _nothing, [*aide, "--check"], None)
        printf = ["sh", "-c", find.partition("; ")[2], "sh", directory]
        walk = add("find -printf of the same metadata", _nothing, printf, check)
        again = add("otel-fim, comparison, nothing changed", _nothing, ours, check or walk)
        rows.append(Row("  the same", again.seconds, again.peak, walk.seconds / again.seconds, walk.name))
    return rows


def _nothing() -> None:
    pass


def _measure(directory: str, prepare: Callable[[], None], command: Sequence[str]) -> tuple[float, int]:
    """Wall-clock seconds and peak memory in bytes of one run of a command."""
    prepare()
    _read_all(directory)
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = 0
    return seconds, usage.ru_maxrss * 1024


def _read_all(directory: str) -> None:
    subprocess.run(
        ["sh", "-c", 'find "$1" -xdev -type f -exec cat {} + > /dev/null 2>&1', "sh", directory], check=False
    )


def _child(database: Path, directory: bytes) -> None:
    """What is measured: the receiver's own scan, in a process of its own."""
    from otel_fim.receivers.file_integrity.baseline import Baseline
    from otel_fim.receivers.file_integrity.hasher import observe
    from otel_fim.receivers.file_integrity.scanner import Scanner
    from otel_fim.receivers.file_integrity.scope import Rules, Scope

    logging.basicConfig(level=logging.INFO)
    baseline = Baseline(database)
    if directory not in baseline.roots():
        baseline.add_root(directory, observe(directory, 2**30))
    differing: list[bytes] = []
    scanner = Scanner(
        baseline,
        Scope([directory], Rules((), (), True, (), True)),
        threads=2,
        hash_max_size=2**40,
        differs=differing.extend,
        unreadable=lambda path, reason: print(f"not readable: {path!r} ({reason.label})", file=sys.stderr),
        readable=lambda path: None,
        linked=lambda path: None,
        stopping=threading.Event(),
    )
    begin = time.perf_counter()
    report = scanner.walk(directory)
    seconds = time.perf_counter() - begin
    baseline.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"    {report.files} paths, {report.hashed_bytes / 1e9:.2f} GB hashed, {seconds:.2f} s for the walk; "
        f"{len(differing)} differ; CPU {usage.ru_utime:.1f} s user {usage.ru_stime:.1f} s system; "
        f"read from disk {usage.ru_inblock * 512 / 1e6:.0f} MB; "
        f"database {os.path.getsize(database) / max(1, report.files):.0f} bytes a path",
        file=sys.stderr,
    )


def main() -> None:
    """Prints the table."""
    if len(sys.argv) == 4 and sys.argv[1] == "--child":
        _child(Path(sys.argv[2]), os.fsencode(sys.argv[3]))
        return
    directory = sys.argv[1] if len(sys.argv) == 2 and sys.argv[1].startswith("/") else "/usr"
    print(f"{directory}\n{'':<44}{'seconds':>9}{'peak MB':>9}{'ratio':>8}  against")
    for row in run(directory):
        ratio = f"{row.ratio:.1f}×" if row.ratio else ""
        print(f"{row.name:<44}{row.seconds:>9.2f}{row.peak / 1e6:>9.0f}{ratio:>8}  {row.peer}")


if __name__ == "__main__":
    main()
