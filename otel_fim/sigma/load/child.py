"""The child process of `load_isolated`: reads a request from standard input, tells on standard output."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys

import orjson

from otel_fim.sigma.load.limits import LoadLimits


def main() -> int:
    """Exit status 0 with an answer, 3 when memory was not enough, as Python has it otherwise."""
    request = orjson.loads(sys.stdin.buffer.read())
    file_bytes, files, nesting, nodes, memory = request["limits"]
    _bind(memory, request["seconds"])
    out = os.fdopen(os.dup(1), "wb", 0)
    # Whatever a library prints must not come between our lines.
    os.dup2(2, 1)

    def began(path: str) -> None:
        out.write(b"F" + os.fsencode(path).hex().encode() + b"\n")

    try:
        from otel_fim.sigma import ir_json
        from otel_fim.sigma.load.loading import Loading

        limits = LoadLimits(file_bytes, files, nesting, nodes, memory)
        loading = Loading(limits, request["placeholders"], began)
        answer = ir_json.dump(loading.load([_path(each) for each in request["paths"]], _without(request)))
        out.write(b"R\n")
        out.write(answer)
        out.flush()
    except MemoryError:
        return 3
    return 0


def _path(written: str) -> str:
    return os.fsdecode(bytes.fromhex(written))


def _without(request: dict[str, dict[str, str]]) -> dict[str, str]:
    return {_path(path): reason for path, reason in request["without"].items()}


def _bind(memory: int, seconds: float) -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, math.ceil(seconds)),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(kind)
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (bound, bound))
    # The agent asks to be spared when memory runs out; its child does not.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")


if __name__ == "__main__":
    sys.exit(main())
