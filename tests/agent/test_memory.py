"""One heap for all threads, asked of glibc itself."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# malloc_info(3) writes one element for each heap; blocks below the mapping threshold come from a heap.
SCRIPT = """
import ctypes, threading
from otel_fim.agent.memory import be_lean_with_memory

assert be_lean_with_memory()
meet = threading.Barrier(6)

def work():
    meet.wait()
    blocks = [bytes(20_000) for _ in range(200)]
    meet.wait()
    del blocks

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_all_threads_share_a_heap() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.count("<heap nr=") == 1
