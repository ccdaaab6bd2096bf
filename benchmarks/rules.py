"""Rules on records, on one core: `python -m benchmarks.rules [--rules PATH] [--peer PYTHON]`.

- How many records a second the matcher takes, with findings made of what matches, and what each kind of record costs.
- The peer: sigma-rule-matcher 0.1.0 from PyPI, with the same rules on the same events. It needs an older pySigma, so it
  runs in an interpreter of its own: `python -m venv V && V/bin/pip install sigma-rule-matcher==0.1.0`, `--peer
  V/bin/python`. It is given only the rules of an event's own log source, which its users have to see to themselves.
- What more rules cost: 150, 300, 1,000 and 3,000, the rules themselves and variants of them with other literals.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks._rules_records import make_records
from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.findings import Findings
from otel_fim.processors.rules.match import Matcher, compile_rules
from otel_fim.record import EMPTY_RESOURCE, EMPTY_SCOPE, Record
from otel_fim.sigma.ir import Glob, Rule, RuleSet, Text
from otel_fim.sigma.load import load_rules, pack_path

_RECORDS: Final = 40_000
_COUNTS: Final = (150, 300, 1_000, 3_000)
_ROUNDS: Final = 3
_PEER_SECONDS: Final = 10
_SIGMA_FIELDS: Final = {
    names.PROCESS_EXECUTABLE_PATH: "Image",
    names.PROCESS_COMMAND_LINE: "CommandLine",
    names.PROCESS_PARENT_EXECUTABLE_PATH: "ParentImage",
    names.PROCESS_PARENT_COMMAND_LINE: "ParentCommandLine",
    names.PROCESS_WORKING_DIRECTORY: "CurrentDirectory",
    names.USER_NAME: "User",
    names.FILE_PATH: "TargetFilename",
}
_CATEGORIES: Final = {
    events.PROCESS_STARTED: "process_creation",
    events.FILE_CREATED: "file_event",
    events.FILE_MODIFIED: "file_event",
    events.FILE_RENAMED: "file_event",
}
_PEER: Final = """
import json, sys, time
from sigma.collection import SigmaCollection
from sigma_rule_matcher import RuleMatcher
seconds, folder = float(sys.argv[1]), sys.argv[2]
rules = {}
left_out = 0
for rule in SigmaCollection.load_ruleset([folder], collect_errors=True).rules:
    try:
        rules.setdefault(rule.logsource.category, []).append(RuleMatcher(rule))
    except Exception:
        left_out += 1
events = [json.loads(line) for line in sys.stdin]
count = matched = failed = 0
start = time.process_time()
while time.process_time() - start < seconds:
    for category, event in events:
        count += 1
        for rule in rules.get(category, ()):
            try:
                matched += rule.match(event)
            except Exception:
                failed += 1
        if time.process_time() - start >= seconds:
            break
print(json.dumps({"rate": count / (time.process_time() - start), "rules": sum(map(len, rules.values())),
                  "left_out": left_out, "failed": failed}))
"""


def _rate(work: Callable[[Sequence[Record]], object], records: Sequence[Record]) -> float:
    """Records for each second of processor time, the best of some rounds after one that warms up."""
    work(records)
    best = 0.0
    for _ in range(_ROUNDS):
        start = time.process_time()
        work(records)
        best = max(best, len(records) / (time.process_time() - start))
    return best


def _matching(matcher: Matcher) -> Callable[[Sequence[Record]], int]:
    match = matcher.match

    def work(records: Sequence[Record]) -> int:
        return sum([len(match(record)) for record in records])

    return work


def throughput(ruleset: RuleSet, records: Sequence[Record]) -> list[tuple[str, float, str]]:
    """The matcher alone, all of the engine, and each kind of record."""
    matcher = compile_rules(ruleset.rules)
    work = _matching(matcher)
    rows = [("matcher", _rate(work, records), "records/s")]
    engine = Engine(ruleset)
    findings = Findings(engine.uids, EMPTY_SCOPE, EMPTY_RESOURCE)

    def all_of_it(batch: Sequence[Record]) -> None:
        for start in range(0, len(batch), 2000):
            for found in engine.process(batch[start : start + 2000]):
                findings.of(found)

    rows.append(("engine and findings", _rate(all_of_it, records), "records/s"))
    by_event: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_event[record.event_name].append(record)
    for name, kind in sorted(by_event.items()):
        rows.append((f"  matcher, {name}", 1e6 / _rate(work, kind), "µs/record"))
    rows.append(("rules that matched, for 1,000 records", 1000 * work(records) / len(records), ""))
    return rows


def peer(python: str, folder: Path, records: Sequence[Record]) -> tuple[float, dict[str, float]] | None:
    """The peer's rate on the same records; None when it is not there."""
    asked = subprocess.run([python, "-c", "import sigma_rule_matcher"], capture_output=True, check=False)
    if asked.returncode:
        return None
    lines = "\n".join(
        json.dumps(
            [
                _CATEGORIES.get(record.event_name, ""),
                {
                    sigma: record.attributes[name]
                    for name, sigma in _SIGMA_FIELDS.items()
                    if name in record.attributes
                },
            ]
        )
        for record in records
    )
    told = json.loads(
        subprocess.run(
            [python, "-c", _PEER, str(_PEER_SECONDS), str(folder)],
            input=lines,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    return told["rate"], told


def variants(rules: Sequence[Rule], count: int) -> list[Rule]:
    """`count` rules: these, and copies of them with other words of the same kind in their literals."""
    random = Random(7)
    made = list(rules[:count])
    while len(made) < count:
        rule = rules[len(made) % len(rules)]
        salt = "".join(random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(3))
        made.append(
            replace(
                rule,
                meta=replace(rule.meta, id=f"{rule.meta.id}-{len(made)}"),
                condition=_varied(rule.condition, salt),
            )
        )
    return made


def _varied(node: Any, salt: str) -> Any:
    if isinstance(node, Text) and len(node.value) > 3:
        middle = len(node.value) // 2
        return replace(node, value=node.value[:middle] + salt + node.value[middle:])
    if isinstance(node, tuple):
        return tuple(_varied(each, salt) for each in node)
    if is_dataclass(node) and not isinstance(node, type | Text | Glob):
        changes = {each.name: _varied(getattr(node, each.name), salt) for each in fields(node)}
        return replace(node, **changes)
    return node


def scaling(rules: Sequence[Rule], records: Sequence[Record]) -> list[tuple[int, float, float, float]]:
    """For each number of rules: µs for a record, seconds to compile, MB that the compiled rules took."""
    rows = []
    for count in _COUNTS:
        wanted = variants(rules, count)
        before = _resident()
        start = time.process_time()
        matcher = compile_rules(wanted)
        seconds = time.process_time() - start
        rate = _rate(_matching(matcher), records)
        rows.append((count, 1e6 / rate, seconds, _resident() - before))
    return rows


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(arguments: Sequence[str] = ()) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.rules")
    parser.add_argument("--rules", type=Path, default=pack_path(), help="a folder of Sigma rules")
    parser.add_argument("--peer", default=sys.executable, help="a Python that has sigma-rule-matcher")
    parser.add_argument("--records", type=int, default=_RECORDS)
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    records = make_records(options.records)
    ruleset = load_rules([options.rules])
    print(
        f"{len(ruleset.rules)} rules and {len(ruleset.correlations)} correlations of {options.rules} "
        f"({len(ruleset.rejected)} left out), {len(records):,} records with "
        f"{statistics.mean(len(record.attributes) for record in records):.0f} attributes, one core"
    )
    rows = throughput(ruleset, records)
    for name, value, unit in rows:
        print(f"{name:50} {value:12,.1f} {unit}")
    told = peer(options.peer, options.rules, records)
    if told is None:
        print(f"{options.peer} has no sigma-rule-matcher; see the head of {__file__} for how to give it one")
    else:
        rate, more = told
        name = f"sigma-rule-matcher 0.1.0, {more['rules']} rules"
        print(f"{name:50} {rate:12,.1f} records/s")
        print(f"{'matcher against sigma-rule-matcher':50} {rows[0][1] / rate:12,.0f} ×")
    print(f"\n{'rules':>6} {'µs/record':>10} {'compiling, s':>13} {'MB':>7}")
    for count, cost, seconds, size in scaling(ruleset.rules, records):
        print(f"{count:>6,} {cost:>10.2f} {seconds:>13.2f} {size:>7.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
