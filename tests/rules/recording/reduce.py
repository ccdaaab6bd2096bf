"""Makes test data of a recording: what happened on the host, and nothing of the machine that it ran on.

    python -m tests.rules.recording.reduce RECORDINGS

Writes <story>.jsonl.gz to tests/rules/testdata/quiet and attack: OTLP/JSON, a record a line, in the order of their
times. A record belongs to the host when its process descends from the holder, or when it is of none (a log line, a
scan). The holder becomes systemd. Left out are findings and what novelty said, which the tests make anew; seals,
hashes' second halves and what differs in every run; and, of quiet records that differ in numbers only or are of one
family, those after the first few in a story.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from otel_fim import names
from otel_fim.names import events
from otel_fim.otlp import decode_logs_data_json, encode_logs_data_json
from otel_fim.record import Attributes, Record, Resource, Scope

TARGET = Path(__file__).parents[1] / "testdata"
SYSTEMD = "/usr/lib/systemd/systemd"
INTRUDER = "203.0.113.9"
"""Where the intruder comes from and connects to; it was the machine itself."""
HERE = ("127.0.0.1", "::1")
RESOURCE = Resource({names.HOST_NAME: "web-1"})
ALIKE = 3
"""So many records that differ in numbers only are kept of each story."""
KIN = 20
"""And so many of one `family`."""
LEFT_OUT_EVENTS = (events.FINDING, "otel_fim.stream.", "otel_fim.agent.")
LEFT_OUT = re.compile(
    r"audit\.sequence|otel_fim\.(chain|novelty|risk|finding)\.|log\.record\.uid|process\.linux\.cgroup|container\."
    r"|process\.entity_id|process\.parent\.entity_id|process\.(saved_user|group|real_group|saved_group|session_leader|group_leader)\."
    r"|process\.(creation|exit)\.time|file\.(inode|changed|accessed)$|otel_fim\.file\.(device|nlink)"
    r"|otel_fim\.before\.file\.(changed|inode|accessed)|otel_fim\.process\.(duration|backend)|log\.record\.original"
)
MACHINE = re.compile(
    r"/root/\.pyenv|/work/main|/opt/venv|/tmp/quiet|process_api|line_io_tools|recording/holder"
)


def read(path: Path) -> Iterator[Record]:
    with path.open("rb") as lines:
        for line in lines:
            yield from decode_logs_data_json(line)


def holder_of(records: list[Record]) -> str:
    """The holder as it stands among ancestors, pid and program: what the host's sshd descends from."""
    found: Counter[str] = Counter()
    for record in records:
        for child, parent in pairwise(ancestors_of(record)):
            if child.endswith(" /usr/sbin/sshd") and "python" in parent:
                found[parent] += 1
    return found.most_common(1)[0][0]


def ancestors_of(record: Record) -> list[str]:
    ancestors = record.attributes.get(names.OTEL_FIM_PROCESS_ANCESTORS)
    return [str(each) for each in ancestors] if isinstance(ancestors, list) else []


class Reduction:
    def __init__(self, records: list[Record]) -> None:
        self._holder_line = holder_of(records)
        self._holder = self._holder_line.partition(" ")[0]
        # By their ids: on a busy machine pids come again within minutes.
        self._inside: set[str] = set()
        for record in records:
            if record.event_name.startswith("otel_fim.process.") and self._is_inside(record):
                self._inside.add(str(record.attributes.get(names.PROCESS_ENTITY_ID)))

    def _is_inside(self, record: Record) -> bool:
        """Also where the list of ancestors was cut before the holder: then the parent is known to be inside."""
        get = record.attributes.get
        if self._holder_line in ancestors_of(record):
            return True
        known = (str(get(names.PROCESS_ENTITY_ID)), str(get("process.parent.entity_id")))
        return not self._inside.isdisjoint(known) and "None" not in known[:1]

    def of(self, record: Record) -> Record | None:
        """The record as it is kept, or None."""
        if record.event_name.startswith(LEFT_OUT_EVENTS):
            return None
        pid = record.attributes.get(names.PROCESS_PID)
        if pid is not None and not self._is_inside(record):
            return None
        if record.event_name.startswith("otel_fim.listener.") and pid is None:
            return None
        attributes = {key: value for key, value in record.attributes.items() if not LEFT_OUT.match(key)}
        self._tell_of_systemd(attributes)
        for key, value in attributes.items():
            if key.endswith("hash.sha256") and isinstance(value, str):
                attributes[key] = value[:16]
        if MACHINE.search(json.dumps(attributes)):
            return None
        return Record(
            record.time_unix_nano,
            record.observed_time_unix_nano,
            record.event_name,
            record.severity_number,
            "",
            record.body if record.event_name.startswith("otel_fim.coverage.") else None,
            attributes,
            RESOURCE,
            Scope(),
        )

    def _tell_of_systemd(self, attributes: Attributes) -> None:
        ancestors = attributes.get(names.OTEL_FIM_PROCESS_ANCESTORS)
        if isinstance(ancestors, list):
            pids = [str(each).split(" ", 1)[0] for each in ancestors]
            if self._holder in pids:
                attributes[names.OTEL_FIM_PROCESS_ANCESTORS] = [
                    *ancestors[: pids.index(self._holder)],
                    f"1 {SYSTEMD}",
                ]
        if str(attributes.get(names.PROCESS_PARENT_PID)) == self._holder:
            attributes[names.PROCESS_PARENT_PID] = 1
            attributes[names.PROCESS_PARENT_EXECUTABLE_PATH] = SYSTEMD
            attributes["process.parent.name"] = "systemd"
            attributes.pop(names.PROCESS_PARENT_COMMAND_LINE, None)
            attributes.pop("process.parent.entity_id", None)


def _tell_of_the_intruder(record: Record) -> None:
    attributes = record.attributes
    for key in (names.SOURCE_ADDRESS, names.OTEL_FIM_LOGIN_SOURCE_ADDRESS):
        if attributes.get(key) in HERE:
            attributes[key] = INTRUDER
    for key, value in attributes.items():
        if isinstance(value, str) and "command" in key:
            attributes[key] = value.replace(HERE[0], INTRUDER)


def shape(record: Record) -> str:
    """What is the same in records that differ in numbers, temporary names and hashes only."""
    kept = {
        key: value
        for key, value in record.attributes.items()
        if not key.endswith(("hash.sha256", "entity_id", "pid", ".time", "file.size", "file.modified"))
    }
    text = json.dumps([record.event_name, kept], sort_keys=True, default=str)
    return re.sub(r"(?<=[._-])[A-Za-z0-9]{6,10}(?=[\"/ ])|\d+", "#", text)


def family(record: Record) -> str:
    """Files of one kind in one part of the tree, such as a kernel's modules, by directory and suffix; runs of one
    program by another, however different their arguments are."""
    get = record.attributes.get
    path, who = str(get(names.FILE_PATH, "")), get(names.PROCESS_EXECUTABLE_PATH)
    if path:
        text = f"{record.event_name} {'/'.join(path.split('/')[:5])} {Path(path).suffix} {who}"
    elif record.event_name.startswith("otel_fim.process."):
        above = [str(each).partition(" ")[2] for each in get(names.OTEL_FIM_PROCESS_ANCESTORS) or []]  # type: ignore[union-attr]
        text = f"{record.event_name} {who} {get(names.EVENT_ACTION)} {above[:3]}"
    else:
        return shape(record)
    return re.sub(r"\d+", "#", text)


def reduce(directory: Path, name: str) -> None:
    marks = sorted(json.loads((directory / "marks.json").read_text()).items(), key=lambda mark: mark[1])
    records = sorted(read(directory / "records.jsonl"), key=lambda record: record.observed_time_unix_nano)
    reduction = Reduction(records)
    target = TARGET / name
    target.mkdir(parents=True, exist_ok=True)
    for (story, begin), (_, end) in pairwise(marks):
        seen: Counter[str] = Counter()
        kept: list[Record] = []
        for record in records:
            if not begin <= record.time_unix_nano < end:
                continue
            reduced = reduction.of(record)
            if reduced is None:
                continue
            if name == "attack":
                _tell_of_the_intruder(reduced)
            else:
                alike, kin = shape(reduced), "family " + family(reduced)
                seen.update((alike, kin))
                if seen[alike] > ALIKE or seen[kin] > KIN:
                    continue
            kept.append(reduced)
        content = b"".join(encode_logs_data_json([record]) + b"\n" for record in kept)
        path = target / f"{story}.jsonl.gz"
        path.write_bytes(gzip.compress(content, 9, mtime=0))
        print(f"{path.name}: {len(kept)} records, {path.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    for name in ("quiet", "attack"):
        if (Path(sys.argv[1]) / name / "marks.json").exists():
            reduce(Path(sys.argv[1]) / name, name)
