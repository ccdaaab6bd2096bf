"""Correlations with many groups, against their bound: `python -m benchmarks.correlations [RECORDS [GROUPS]]`.

10 million records in 100,000 groups by default, 20,000 a second by their own time, in batches of 500; windows of an
hour, so that nothing is ever over. Each row runs in a process of its own. Records per second are of the processor time
that the engine takes, not of the making of records. Memory is what the process has more than before the first record.
Where all does not fit, evidence gets shorter first, then the groups that were active least recently are given up.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.correlate import Correlator, StateLimits
from otel_fim.record import Record, Resource
from otel_fim.sigma.ir import (
    Condition,
    Const,
    Correlation,
    CorrelationType,
    Field,
    GroupKey,
    Meta,
    Operator,
    Rule,
    RuleSet,
    Source,
)
from otel_fim.ulid import new_ulid

_RECORDS: Final = 10_000_000
_GROUPS: Final = 100_000
_BATCH: Final = 500
_SECOND: Final = 10**9
_START: Final = 1_768_314_735 * _SECOND
_STEP: Final = _SECOND // 20_000
_MIB: Final = 2**20
_RULES: Final = (Rule(Meta("a", "a"), Const(True)), Rule(Meta("b", "b"), Const(True)))
_RESOURCE: Final = Resource({names.HOST_NAME: "web-1"})
_USERS: Final = [f"user-{number}" for number in range(50)]


@dataclass(slots=True, frozen=True)
class Case:
    """What is run: the correlation's type, what it may hold, and how much goes through."""

    kind: CorrelationType
    max_bytes: int
    records: int
    groups: int


@dataclass(slots=True, frozen=True)
class Row:
    """Records per second; memory at 10, 50 and 100 % of the records, what the engine itself takes it to be, and the
    bound, all in MiB; groups at the end and groups that were given up; the state's size and the seconds to write and
    read it."""

    case: Case
    per_second: float
    memory: tuple[float, float, float]
    estimate: float
    groups: int
    evicted: int
    findings: int
    state: float
    written: float
    read: float


def run(records: int = _RECORDS, groups: int = _GROUPS) -> Iterator[Row]:
    """The measurements, each when it is done."""
    cases = [
        Case(CorrelationType.EVENT_COUNT, 1024 * _MIB, records, groups),
        Case(CorrelationType.EVENT_COUNT, 64 * _MIB, records, groups),
        Case(CorrelationType.TEMPORAL_ORDERED, 128 * _MIB, records, groups),
        Case(CorrelationType.VALUE_COUNT, 128 * _MIB, records, groups),
    ]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        yield from pool.imap(_measure, cases)


def _ruleset(kind: CorrelationType) -> RuleSet:
    address = Field(Source.ATTRIBUTE, names.OTEL_FIM_LOGIN_SOURCE_ADDRESS)
    user = Field(Source.ATTRIBUTE, names.USER_NAME)
    ids = tuple(rule.meta.id for rule in _RULES)
    correlation = Correlation(
        Meta("c", "c"),
        kind,
        ids,
        3600 * _SECOND,
        (GroupKey("address", tuple((each, address) for each in ids)),),
        None if kind is CorrelationType.TEMPORAL_ORDERED else Condition(((Operator.GTE, 40.0),)),
        tuple((each, user) for each in ids),
        "user",
    )
    return RuleSet(_RULES, (correlation,))


def _measure(case: Case) -> Row:
    limits = StateLimits(max_groups=2 * case.groups, max_bytes=case.max_bytes)
    now = _START
    ruleset = _ruleset(case.kind)
    engine = Correlator(ruleset, lateness_nano=5 * _SECOND, limits=limits, clock=lambda: now)
    chance = random.Random(4)
    process = psutil.Process()
    base = process.memory_info().rss
    marks = [case.records // 10, case.records // 2, case.records]
    memory: list[float] = []
    spent = 0.0
    evicted = findings = done = 0
    while done < case.records:
        batch = [_record(now + number * _STEP, chance, case.groups) for number in range(_BATCH)]
        now += _BATCH * _STEP
        rules = [_RULES[chance.random() < 0.01] for _ in batch]
        begun = time.process_time()
        for rule, record in zip(rules, batch, strict=True):
            engine.add(rule, record)
        findings += len(engine.due())
        spent += time.process_time() - begun
        done += len(batch)
        evicted += sum(each.groups for each in engine.evictions())
        if done >= marks[len(memory)]:
            memory.append((process.memory_info().rss - base) / _MIB)
    begun = time.process_time()
    state = engine.state()
    written = time.process_time() - begun
    begun = time.process_time()
    Correlator(ruleset, lateness_nano=0, limits=limits, clock=lambda: now).restore(state)
    read = time.process_time() - begun
    return Row(
        case,
        done / spent,
        (memory[0], memory[1], memory[2]),
        engine.memory_bytes / _MIB,
        engine.groups,
        evicted,
        findings,
        len(state) / _MIB,
        written,
        read,
    )


def _record(moment: int, chance: random.Random, groups: int) -> Record:
    number = chance.randrange(groups)
    return Record(
        moment,
        moment,
        events.AUTH_LOGIN,
        attributes={
            names.OTEL_FIM_LOGIN_SOURCE_ADDRESS: f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            names.USER_NAME: chance.choice(_USERS),
            names.LOG_RECORD_UID: new_ulid(moment),
        },
        resource=_RESOURCE,
    )


def main() -> None:
    """Prints the table."""
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    print(
        "| correlation | records | bound MiB | records/s | MiB at 10 % | 50 % | 100 % | own estimate |",
        end="",
    )
    print(" groups | given up | findings | state MiB | s to write | s to read |")
    print("|---|" + "--:|" * 13)
    for row in run(*numbers[:2]):
        case = row.case
        cells = [
            case.kind.value,
            f"{case.records:,}",
            f"{case.max_bytes / _MIB:.0f}",
            f"{row.per_second:,.0f}",
            *(f"{each:.0f}" for each in row.memory),
            f"{row.estimate:.0f}",
            f"{row.groups:,}",
            f"{row.evicted:,}",
            f"{row.findings:,}",
            f"{row.state:.1f}",
            f"{row.written:.2f}",
            f"{row.read:.2f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
