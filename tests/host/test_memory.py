"""What a burst took is given back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, threading
from otel_fim.host.memory import give_memory_back
assert give_memory_back()

def resident():
    with open("/proc/self/statm") as source:
        return int(source.read().split()[1]) * 4096

def burst():
    large = [bytes(100_000) for _ in range(400)]
    large.append(bytes(30_000_000))
    del large

burst()
before = resident()
for _ in range(8):
    thread = threading.Thread(target=burst)
    thread.start()
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_threads_do_not_keep_what_they_have_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, timeout=60
    )
    assert int(done.stdout) < 4_000_000
