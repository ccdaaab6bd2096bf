from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from otel_fim.pipeline.dead_letter import DeadLetters


def test_lines_and_reasons_are_kept(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "dead", "logs/a.otlp/b")
    letters.add([b'{"a":1}', b'{"a":2}'], 7, "400 Bad\nRequest")
    letters.add([b'{"a":3}'], 1, "no")
    assert letters.path.read_bytes() == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    reasons = [json.loads(line) for line in letters.reasons_path.read_text().splitlines()]
    assert [(r["records"], r["lines"], r["reason"]) for r in reasons] == [
        (7, 2, "400 Bad\nRequest"),
        (1, 1, "no"),
    ]
    assert letters.path.parent == tmp_path / "dead"
    assert letters.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small file system")
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True)
    try:
        letters = DeadLetters(mount, "e")
        letters.add([b"x" * 1000], 1, "first")
        with pytest.raises(OSError, match="No space left"):
            letters.add([b"y" * 100_000], 1, "too much")
        assert letters.path.read_bytes() == b"x" * 1000 + b"\n"
    finally:
        subprocess.run(["umount", str(mount)], check=True)
