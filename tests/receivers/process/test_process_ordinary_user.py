"""What an ordinary user sees, and what is said of the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from otel_fim import names
from otel_fim.names import events

SCRIPT = """
import json, logging, os, subprocess, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import otel_fim.host.redaction, pwd, grp
from otel_fim.component import ReceiverContext
from otel_fim.host.table import ProcessTable
from otel_fim.receivers.process import ProcessReceiver
from otel_fim.receivers.process.config import ProcessConfig
from otel_fim.record import Resource, Scope
if os.geteuid() == 0:
    # Only now: the interpreter may lie where nobody else may go.
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
records = []
context = ReceiverContext(
    id="process", kind="receiver", state_directory=Path("/tmp"), service_directory=Path("/tmp"), agent_directories=(),
    resource=Resource({}), scope=Scope("test"), logger=logging.getLogger("test"), report=lambda *args: None,
    count=lambda *args, **more: None, emit=lambda batch, on_durable=None: records.extend(batch),
    processes=ProcessTable(),
)
receiver = ProcessReceiver(ProcessConfig(interval=0.1), context, own_pid=-1)
receiver.start()
child = subprocess.Popen(["sleep", "300"])
print(json.dumps([child.pid]), flush=True)
wanted = {child.pid, int(input())}
deadline = time.monotonic() + 50
while not wanted <= {r.attributes.get(sys.argv[2]) for r in records if r.attributes.get(sys.argv[3]) == "sleep"}:
    if time.monotonic() > deadline:
        break
    time.sleep(0.05)
child.kill()
child.wait()
receiver.stop(10)
print(json.dumps([[r.event_name, {k: v for k, v in r.attributes.items() if isinstance(v, (str, int))},
                  r.attributes.get("otel_fim.process.missing")] for r in records]))
"""


def test_an_ordinary_user() -> None:
    command = [sys.executable, "-c", SCRIPT, str(Path.cwd()), names.PROCESS_PID, names.PROCESS_COMMAND]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as agent:
        (own,) = json.loads(agent.stdout.readline())
        with subprocess.Popen(["/bin/sleep", "300"]) as other:
            agent.stdin.write(f"{other.pid}\n")
            agent.stdin.flush()
            found = json.loads(agent.stdout.readline())
            other.kill()
        agent.wait(20)
    gaps = [attributes for name, attributes, _ in found if name == events.COVERAGE_GAP]
    assert {gap[names.OTEL_FIM_COVERAGE_REASON] for gap in gaps} <= {"permission_denied", "backend_limited"}
    assert gaps
    mine = [attributes for _, attributes, _ in found if attributes.get(names.PROCESS_PID) == own]
    assert mine[-1][names.PROCESS_EXECUTABLE_PATH] == os.path.realpath("/bin/sleep")
    assert names.PROCESS_HASH_SHA256 in mine[-1]
    theirs = [
        (attributes, missing)
        for _, attributes, missing in found
        if attributes.get(names.PROCESS_PID) == other.pid
    ]
    assert theirs
    attributes, missing = theirs[-1]
    assert attributes[names.PROCESS_COMMAND] == "sleep"
    if os.geteuid() == 0:
        assert names.PROCESS_EXECUTABLE_PATH in missing
        assert names.PROCESS_WORKING_DIRECTORY in missing
        assert attributes[names.PROCESS_USER_ID] == 0
