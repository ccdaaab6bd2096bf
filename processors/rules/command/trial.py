"""Runs samples through the engine, with every rule loaded, and tells what was not as expected."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim.processors.rules.command.reading import Library, samples_path
from otel_fim.processors.rules.command.samples import Case, SampleError, read_samples
from otel_fim.processors.rules.command.words import OPERATORS, because, why_not, words
from otel_fim.processors.rules.engine import Engine
from otel_fim.processors.rules.hits import Correlated, Hit
from otel_fim.processors.rules.match.interpret import holds
from otel_fim.record import Record
from otel_fim.sigma.ir import Correlation, Rule, RuleSet
from otel_fim.sigma.load.files import RuleFile

_LONGEST: Final = 240
_MOST_REASONS: Final = 6


@dataclass(slots=True, frozen=True)
class Outcome:
    """What came of one case. `why` says in lines what speaks against it, `also` are titles of other rules that found
    something in its records."""

    path: str
    rule: str
    rule_id: str
    kind: str
    about: str
    expected: str
    found: int
    passed: bool
    why: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def run_samples(everything: Library, files: Sequence[RuleFile]) -> Iterator[Outcome]:
    """The outcome of every sample of these files. All rules of `everything` run."""
    bench = _Bench(everything.ruleset)
    for file in files:
        path = samples_path(file.path)
        if not os.path.exists(path):
            continue
        try:
            cases = read_samples(path)
        except SampleError as error:
            yield _failed(path, "", str(error))
            continue
        rules = everything.of_file(file)
        for case in cases:
            rule = _meant(case, rules)
            if isinstance(rule, str):
                yield _failed(path, case.about, rule)
            else:
                yield bench.outcome(rule, case, path)


def _failed(path: str, about: str, reason: str) -> Outcome:
    return Outcome(path, "", "", "", about, "", 0, False, (reason,))


def _meant(case: Case, rules: Sequence[Rule | Correlation]) -> Rule | Correlation | str:
    """The rule that a case is about, or why there is none: the one that it names, else the last that finds anything."""
    if case.rule:
        wanted = case.rule.lower()
        for rule in rules:
            if wanted in (rule.meta.id.lower(), rule.meta.name.lower(), rule.meta.title.lower()):
                return rule
        return f"no rule of the file is called {case.rule!r}"
    emitting = [rule for rule in rules if rule.emits]
    if not emitting:
        return "the file has no rule that was loaded and finds anything: see `otel-fim rules lint`"
    return emitting[-1]


class _Bench:
    """An engine that begins anew for every case."""

    def __init__(self, ruleset: RuleSet) -> None:
        everything: tuple[Rule | Correlation, ...] = (*ruleset.rules, *ruleset.correlations)
        self._by_id = {rule.meta.id: rule for rule in everything}
        self._now = 0
        self._engine = Engine(ruleset, clock=lambda: self._now)

    def outcome(self, rule: Rule | Correlation, case: Case, path: str) -> Outcome:
        found = self._run(case.records)
        own = [each for each in found if _rule_of(each).meta.id == rule.meta.id]
        passed = case.is_met_by(len(own))
        return Outcome(
            path=path,
            rule=rule.meta.title,
            rule_id=rule.meta.id,
            kind="match" if case.matches else "no_match",
            about=case.about,
            expected=case.expected,
            found=len(own),
            passed=passed,
            why=() if passed else tuple(self._why(rule, case, own)),
            also=tuple(
                dict.fromkeys(
                    _rule_of(each).meta.title for each in found if _rule_of(each).meta.id != rule.meta.id
                )
            ),
        )

    def _run(self, records: Sequence[Record]) -> list[Hit | Correlated]:
        self._now = max(record.time_unix_nano for record in records)
        engine = self._engine.anew()
        return [*engine.process(records), *engine.flush()]

    def _why(self, rule: Rule | Correlation, case: Case, found: Sequence[Hit | Correlated]) -> Iterator[str]:
        if isinstance(rule, Correlation):
            yield from self._why_correlation(rule, case)
        elif not found:
            yield from _why_nothing(rule, case.records)
        else:
            for each in found[:_MOST_REASONS]:
                if isinstance(each, Hit):
                    place = next(n for n, record in enumerate(case.records, 1) if record is each.record)
                    why = because(rule.condition, each.record) or [words(rule.condition)]
                    yield f"record {place} matches: {_short(' and '.join(why))}"

    def _why_correlation(self, rule: Correlation, case: Case) -> Iterator[str]:
        for id_ in rule.rules:
            referred = self._by_id[id_]
            if isinstance(referred, Rule):
                count = sum(_matches(referred, record) for record in case.records)
                yield f"{referred.meta.title!r} matches {count} of {len(case.records)} records"
                if not count and case.matches:
                    yield from _why_nothing(referred, case.records)
        keys = ", ".join(key.name for key in rule.group_by) or "everything together"
        bounds = " and ".join(
            f"{OPERATORS[operator]} {number:g}"
            for operator, number in (rule.condition.bounds if rule.condition else ())
        )
        yield f"{rule.type} {bounds}".rstrip() + f" within {rule.timespan_nano / 10**9:g} s, by {keys}"


def _rule_of(found: Hit | Correlated) -> Rule | Correlation:
    return found.rule if isinstance(found, Hit) else found.correlation


def _matches(rule: Rule, record: Record) -> bool:
    return _is_about(rule, record) and holds(rule.condition, record)


def _is_about(rule: Rule, record: Record) -> bool:
    return rule.event_names is None or record.event_name in rule.event_names


def _why_nothing(rule: Rule, records: Sequence[Record]) -> Iterator[str]:
    """What keeps the record that is closest to a match from being one."""
    about = [(number, record) for number, record in enumerate(records, 1) if _is_about(rule, record)]
    if not about:
        seen = ", ".join(sorted({record.event_name or "none" for record in records}))
        wanted = ", ".join(sorted(rule.event_names or ()))
        yield f"the rule is about {wanted}, the records are {seen}"
        return
    number, reasons = min(
        ((number, why_not(rule.condition, record)) for number, record in about), key=lambda pair: len(pair[1])
    )
    for reason in reasons[:_MOST_REASONS]:
        yield f"record {number}: {_short(reason)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
