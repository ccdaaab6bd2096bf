"""The first process of a recorded host, as systemd is on a real one: it starts what it is told to, and adopts daemons.

Runs inside the host, with the file descriptors 0 and 1 to the recorder: a line of JSON `{"command": [...], "wait":
true, "environment": {...}}` for each program, answered by a line with its pid or its exit status.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log = open("/run/recorded.out", "ab", buffering=0)  # noqa: SIM115 - until the end
    print(os.getpid(), flush=True)
    waited: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            process = subprocess.Popen(
                asked["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=asked["environment"],
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            print(json.dumps({"error": str(error)}), flush=True)
            continue
        if asked["wait"]:
            answer = {"status": process.wait()}
        else:
            waited.add(process.pid)
            answer = {"pid": process.pid}
        _reap(waited)
        print(json.dumps(answer), flush=True)


def _reap(known: set[int]) -> None:
    """Takes the ends of what was adopted, so that they do not stay as zombies."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        known.discard(pid)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
