"""Random file operations against the disk itself: what is told, played back, gives what is there.

The operations are made by another process, since a backend leaves out what the agent does.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import events
from otel_fim.receivers.file_integrity.backends import choose_backend
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig
from otel_fim.record import Record

# A long run: OTEL_FIM_MODEL_EXAMPLES=5000 pytest tests/receivers/file_integrity/test_fim_model.py
EXAMPLES = int(os.environ.get("OTEL_FIM_MODEL_EXAMPLES", "20"))

HELPER = r"""
import base64, json, os, shutil, sys, time
def run(op, args):
    paths = [base64.b64decode(a) for a in args]
    if op == "write":
        with open(paths[0], "wb") as f: f.write(paths[1])
    elif op == "append":
        with open(paths[0], "ab") as f: f.write(paths[1])
    elif op == "replace":
        with open(paths[0] + b".tmp", "wb") as f: f.write(paths[1])
        os.rename(paths[0] + b".tmp", paths[0])
    elif op == "mkdir": os.mkdir(paths[0])
    elif op == "tree":
        os.makedirs(paths[0] + b"/t/u")
        with open(paths[0] + b"/t/u/f", "wb") as f: f.write(paths[1])
    elif op == "rename": os.rename(paths[0], paths[1])
    elif op == "unlink": os.unlink(paths[0])
    elif op == "rmtree": shutil.rmtree(paths[0])
    elif op == "symlink": os.symlink(paths[1], paths[0])
    elif op == "link": os.link(paths[1], paths[0])
    elif op == "chmod": os.chmod(paths[0], 0o700 if os.stat(paths[0]).st_mode & 0o077 else 0o755)
    elif op == "pause": time.sleep(0.03)
for line in sys.stdin:
    for op, args in json.loads(line):
        try: run(op, args)
        except OSError: pass
    print("done", flush=True)
"""

NAME = st.sampled_from([b"a", b"b", b"c\xff"])
PATH = st.lists(NAME, min_size=1, max_size=3).map(b"/".join)
CONTENT = st.binary(max_size=3)
OPERATION = st.one_of(
    st.tuples(st.sampled_from(["write", "append", "replace", "tree", "symlink"]), PATH, CONTENT),
    st.tuples(st.sampled_from(["mkdir", "unlink", "rmtree", "chmod"]), PATH),
    st.tuples(st.sampled_from(["rename", "rename", "link"]), PATH, PATH),
    st.tuples(st.sampled_from(["move_out", "move_in"]), PATH),
    st.just(("pause",)),
)


class Other:
    """Another process that changes files."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, tree: bytes, outside: bytes, operations: list[Any]) -> None:
        lines = []
        for op, *args in operations:
            if op in ("move_out", "move_in"):
                ends = [tree + b"/" + args[0], outside + b"/" + args[0].replace(b"/", b"_")]
                op, arguments = "rename", ends if op == "move_out" else ends[::-1]
            elif op in ("rename", "link"):
                arguments = [tree + b"/" + argument for argument in args]
            else:
                arguments = [tree + b"/" + argument for argument in args[:1]] + args[1:]
            if op == "symlink":
                # No path holds a zero. (An empty one is refused, as other operations are.)
                arguments[1] = arguments[1].replace(b"\0", b"0")
            lines.append((op, [base64.b64encode(argument).decode() for argument in arguments]))
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(lines) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def other() -> Iterator[Other]:
    made = Other()
    yield made
    made.close()


def on_disk(tree: bytes) -> dict[bytes, tuple[str, str]]:
    """Path: type and mode, hash or target."""
    found = {}
    for directory, directories, files in os.walk(tree):
        for name in directories + files:
            path = directory + b"/" + name
            state = os.lstat(path)
            detail = ""
            if stat.S_ISLNK(state.st_mode):
                detail = os.readlink(path).decode("utf-8", "backslashreplace")
            elif stat.S_ISREG(state.st_mode):
                with open(path, "rb") as file:
                    detail = hashlib.sha256(file.read()).hexdigest()
            found[path] = (f"{stat.S_IFMT(state.st_mode):o} {stat.S_IMODE(state.st_mode):04o}", detail)
    return found


KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}


def path_of(record: Record, prefix: str = "") -> bytes:
    attributes = record.attributes
    exact = attributes.get(prefix + names.OTEL_FIM_FILE_PATH_BYTES)
    return exact if isinstance(exact, bytes) else str(attributes[prefix + names.FILE_PATH]).encode()


def play(state: dict[bytes, tuple[str, str]], records: list[Record]) -> None:
    """What somebody knows who sees nothing but the records."""
    for record in records:
        if names.FILE_PATH not in record.attributes:
            continue
        path = path_of(record)
        told = record.attributes
        if record.event_name == events.FILE_DELETED:
            state.pop(path, None)
            continue
        if record.event_name == events.FILE_RENAMED:
            state.pop(path_of(record, names.BEFORE_PREFIX), None)
        kind = KINDS[str(told[names.FILE_TYPE])]
        detail = told.get(names.FILE_HASH_SHA256) or told.get(names.FILE_SYMBOLIC_LINK_TARGET_PATH) or ""
        state[path] = (f"{kind:o} {told.get(names.FILE_MODE)}", str(detail))


def in_baseline(host: Any, tree: bytes) -> dict[bytes, tuple[str, str]]:
    found = {}
    waiting = [tree]
    while waiting:
        directory = waiting.pop()
        for name, state in host.baseline.children(directory)[1].items():
            path = directory + b"/" + name
            detail = state.sha256.hex() if state.sha256 else ""
            if state.target is not None:
                detail = state.target.decode("utf-8", "backslashreplace")
            found[path] = (f"{stat.S_IFMT(state.mode):o} {stat.S_IMODE(state.mode):04o}", detail)
            if stat.S_ISDIR(state.mode):
                waiting.append(path)
    return found


class Lossy:
    """A sink that loses every other batch and says so, as a full kernel queue does."""

    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self.count = 0

    def hints(self, hints: Any) -> None:
        self.count += 1
        if self.count % 2:
            self.sink.lost("queue_overflow", None, "lost on purpose")
        else:
            self.sink.hints(hints)

    def lost(self, reason: str, scope: bytes | None, detail: str) -> None:
        self.sink.lost(reason, scope, detail)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("backend", ["inotify", "lossy", pytest.param("fanotify", marks=pytest.mark.root)])
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=st.lists(OPERATION, max_size=12),
    during=st.lists(OPERATION, max_size=12),
    down=st.lists(OPERATION, max_size=8),
)
def test_what_is_told_is_what_is_there(
    other: Other, backend: str, before: list[Any], during: list[Any], down: list[Any], host_class: Any
) -> None:
    if backend == "fanotify" and os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, contextlib.ExitStack() as stack:
        base = Path(os.path.realpath(directory))
        outside = os.fsencode(base / "outside")
        os.mkdir(outside)
        host = host_class(base)
        tree = os.fsencode(host.tree)
        stack.callback(host.stop, 5.0)

        def watch(engine: Any, scope: Any) -> None:
            kind = "inotify" if backend == "lossy" else backend
            config = FileIntegrityConfig.model_validate({"paths": [str(host.tree)], "backend": kind})
            ((one, roots),) = choose_backend(config, [tree], frozenset, host.context().logger)
            sink = engine.sink(one.name)
            one.start(roots, scope, Lossy(sink) if backend == "lossy" else sink)
            stack.callback(one.stop, 5.0)

        def finish() -> None:
            """Until what is told is what is there, the operations made last included."""
            number = os.urandom(4).hex().encode()
            other.run(tree, outside, [("write", number, b"last")])
            disk = on_disk(tree)
            played: dict[bytes, tuple[str, str]] = {}

            def agrees() -> bool:
                played.clear()
                played.update(known)
                play(played, host.pipeline.files())
                return played == disk

            with contextlib.suppress(TimeoutError):
                host.wait(agrees)
            assert played == disk, host.told()
            known.clear()
            known.update(played)
            host.pipeline.records.clear()

        other.run(tree, outside, before)
        known = on_disk(tree)
        host.before_start = watch
        host.start(settle=0.01)
        other.run(tree, outside, during)
        finish()
        host.stop()
        other.run(tree, outside, down)
        host.start()
        finish()
        host.restart()
        assert host.told() == []
        assert in_baseline(host, tree) == on_disk(tree)
