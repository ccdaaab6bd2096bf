"""In a pid namespace of its own: parents, sessions and groups of outside have no pids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_fim import names

SCRIPT = """
import json, logging, os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from otel_fim.component import ReceiverContext
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import ProcessReceiver
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.receivers.process.reading import Reader
from otel_fim.record import Resource, Scope

records = []
context = ReceiverContext(
    id="process", kind="receiver", state_directory=Path("/tmp"), service_directory=Path("/tmp"), agent_directories=(),
    resource=Resource({}), scope=Scope("test"), logger=logging.getLogger("test"), report=lambda *args: None,
    count=lambda *args, **more: None, emit=lambda batch, on_durable=None: records.extend(batch),
    processes=ProcessTable(),
)
assert os.getpid() == 1 and os.getsid(0) == 0, (os.getpid(), os.getsid(0))
receiver = ProcessReceiver(ProcessConfig(interval=0.1), context, own_pid=-1)
receiver.start()
children = [
    subprocess.Popen(["sleep", "300"]),
    subprocess.Popen(["sleep", "300"], process_group=0),
    subprocess.Popen(["sleep", "300"], start_new_session=True),
]
deadline = time.monotonic() + 50
while not {child.pid for child in children} <= {r.attributes.get(sys.argv[2]) for r in records}:
    assert time.monotonic() < deadline, records
    time.sleep(0.05)
read = [Reader(None).running(child.pid, None, None).known for child in children]
for child in children:
    child.kill()
    child.wait()
receiver.stop(10)
kept = (str, int, list, tuple, type(None))
print(json.dumps([
    [child.pid,
     next(dict(r.attributes) for r in records if r.attributes.get(sys.argv[2]) == child.pid),
     {k: v for k, v in known.items() if isinstance(v, kept)}]
    for child, known in zip(children, read)
]))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_leaders_of_outside_are_absent_and_not_missing() -> None:
    done = subprocess.run(
        [
            *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
            *(sys.executable, "-c", SCRIPT, str(Path.cwd()), names.PROCESS_PID),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    (_, plain, read), (grouped_pid, grouped, _), (leader_pid, leader, read_leader) = json.loads(done.stdout)
    for attributes in (plain, grouped, leader):
        assert attributes[names.PROCESS_PARENT_PID] == 1
        assert attributes[names.PROCESS_INTERACTIVE] is False
        missing = attributes.get(names.OTEL_FIM_PROCESS_MISSING, [])
        assert not {names.PROCESS_SESSION_LEADER_PID, names.PROCESS_GROUP_LEADER_PID} & set(missing)
    assert names.PROCESS_SESSION_LEADER_PID not in plain
    assert names.PROCESS_GROUP_LEADER_PID not in plain
    assert names.PROCESS_SESSION_LEADER_PID not in grouped
    assert grouped[names.PROCESS_GROUP_LEADER_PID] == grouped_pid
    assert leader[names.PROCESS_SESSION_LEADER_PID] == leader[names.PROCESS_GROUP_LEADER_PID] == leader_pid
    # What the kernel's events are completed from says the same.
    leaders = ("session_leader_pid", "group_leader_pid", "terminal")
    assert [read[each] for each in leaders] == [0, 0, None]
    assert [read_leader[each] for each in leaders] == [leader_pid, leader_pid, None]
