"""Jobs as at 3.2 writes them (testdata/at is its own), and anything at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.names import metrics
from otel_fim.receivers.persistence.kinds.at_jobs import commands_of, job
from otel_fim.receivers.persistence.reader import File

SAMPLE = next((Path(__file__).parent / "testdata/at").iterdir())
NEWER = b"""#!/bin/sh
# atrun uid=1000 gid=1000
# mail alice 0
umask 22
cd /home/alice || {
\t echo 'Execution directory inaccessible' >&2
\t exit 1
}
${SHELL:-/bin/sh} << 'marcinDELIMITER4f2a1b3c'
touch /tmp/done

marcinDELIMITER4f2a1b3c
"""


def test_a_job_has_its_time_its_user_and_what_was_typed(bench: Any) -> None:
    bench.start(kinds=["at"])
    target = bench.write(f"/var/spool/cron/atjobs/{SAMPLE.name}", SAMPLE.read_bytes(), mode=0o700)
    bench.write("/var/spool/cron/atjobs/.SEQ", "00001")
    if os.geteuid() != 0:
        target.write_bytes(SAMPLE.read_bytes().replace(b"uid=0", b"uid=%d" % os.geteuid()))
    [record] = bench.look()
    attributes = record.attributes
    assert attributes[names.OTEL_FIM_PERSISTENCE_COMMAND] == '/usr/local/bin/backup --all\necho "two"'
    assert attributes[names.OTEL_FIM_PERSISTENCE_USER] == "root"
    assert attributes[names.OTEL_FIM_PERSISTENCE_TRIGGER] == "2030-01-02T04:10Z (job 1, queue b)"
    assert attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is True
    target.unlink()
    [gone] = bench.look()
    assert gone.event_name == "otel_fim.persistence.removed"


def test_a_job_that_at_has_not_finished_is_not_enabled(bench: Any) -> None:
    bench.start(kinds=["at"])
    target = bench.write(f"/var/spool/at/{SAMPLE.name}", SAMPLE.read_bytes(), mode=0o600)
    [record] = bench.look()
    assert record.attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    shutil.copystat(SAMPLE, target)
    bench.write("/var/spool/cron/atjobs/not-a-job", "x", mode=0o700)
    assert bench.counts[metrics.RECEIVER_REJECTED_INPUTS] == 0


def test_what_newer_versions_put_around_the_commands_is_taken_off() -> None:
    assert commands_of(NEWER) == "touch /tmp/done"
    assert commands_of(b"who knows\n") == "who knows"


@given(st.binary(max_size=300), st.from_regex(rb"[a-z=][0-9a-f]{5}[0-9a-f]{8}", fullmatch=True))
def test_nothing_that_a_job_may_hold_raises(data: bytes, name: bytes) -> None:
    file = File(b"/var/spool/at/" + name, data, os.stat("/"))
    [item] = job(file)
    assert item.trigger
    assert file.rejected in (0, 1)
