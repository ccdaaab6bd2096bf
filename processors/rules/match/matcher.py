"""Compiles rules, and finds those that match a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import re2

from otel_fim.names import events
from otel_fim.processors.rules.match.closures import Closure, Compiler
from otel_fim.processors.rules.match.moments import zone_of
from otel_fim.processors.rules.match.needs import Needs, needs_of
from otel_fim.processors.rules.match.plan import Plan
from otel_fim.processors.rules.match.sets import Sets
from otel_fim.processors.rules.match.view import Fields, View
from otel_fim.record import Record
from otel_fim.sigma.ir import Rejected, Rule

MAX_FAILURES: Final = 10
"""So often a rule may fail before it is asked no more."""


@dataclass(slots=True, frozen=True)
class Failure:
    """A rule could not be asked about a record; `is_disabled` when it is asked no more from now on."""

    rule: Rule
    error: str
    is_disabled: bool


class Matcher:
    """Rules about one record. For one thread.

    `rejected` names the rules that could not be compiled. A rule that fails on a record does not match it, and is
    disabled after `MAX_FAILURES`; `failures` tells.
    """

    def __init__(self, rules: Sequence[Rule], *, timezone: str = "UTC") -> None:
        """Raises `ValueError` for a time zone that there is not."""
        fields = Fields()
        compiler = Compiler(fields, zone_of(timezone))
        self.rejected: list[Rejected] = []
        self.rules: list[Rule] = []
        self._tests: list[Closure] = []
        self._getters = fields.getters
        self._failed: dict[int, int] = {}
        self._failures: list[Failure] = []
        needs: list[list[Needs]] = []
        for rule in rules:
            try:
                needed = needs_of(rule.condition)
                test = compiler.compile(rule.condition)
            except (re2.error, ValueError, RecursionError) as error:
                self.rejected.append(_rejected(rule, error))
                continue
            if not needed:
                continue
            self.rules.append(rule)
            self._tests.append(test)
            needs.append(needed)
        self._plans: dict[str, Plan | None] = {}
        self._any = self._make_plans(needs)

    def _make_plans(self, needs: Sequence[Sequence[Needs]]) -> Plan | None:
        """A plan for each event name that a rule names, and the one for all other names."""
        event_names = {name for rule in self.rules for name in rule.event_names or ()}
        made: dict[tuple[int, ...], Plan | None] = {(): None}
        sets = Sets()

        def plan(numbers: tuple[int, ...]) -> Plan | None:
            if numbers not in made:
                made[numbers] = Plan(numbers, needs, sets)
            return made[numbers]

        for name in {*event_names, events.FINDING}:
            self._plans[name] = plan(
                tuple(number for number, rule in enumerate(self.rules) if is_about(rule, name))
            )
        return plan(tuple(number for number, rule in enumerate(self.rules) if rule.event_names is None))

    def match(self, record: Record) -> list[Rule]:
        """The rules that match the record, in the order in which they were given."""
        plan = self._plans.get(record.event_name, self._any)
        if plan is None:
            return []
        candidates = plan.candidates(record)
        if not candidates:
            return []
        view = View(record, self._getters)
        numbers, tests = plan.numbers, self._tests
        found = []
        last = -1
        while candidates:
            lowest = candidates & -candidates
            candidates ^= lowest
            number = numbers[lowest.bit_length() - 1]
            if number == last:
                continue  # another alternative of the same rule
            last = number
            try:
                if tests[number](view):
                    found.append(self.rules[number])
            except Exception as error:  # noqa: BLE001 (one rule's fault is not another's)
                self._fail(number, error)
        return found

    def take_failures(self) -> list[Failure]:
        """What failed since the last call; each rule at most `MAX_FAILURES` times."""
        taken, self._failures = self._failures, []
        return taken

    def _fail(self, number: int, error: Exception) -> None:
        count = self._failed[number] = self._failed.get(number, 0) + 1
        if count >= MAX_FAILURES:
            self._tests[number] = _never
        self._failures.append(
            Failure(self.rules[number], f"{type(error).__name__}: {error}", count >= MAX_FAILURES)
        )


def is_about(rule: Rule, event_name: str) -> bool:
    """Whether the rule is asked about records of that name. Findings are looked at only by rules that name them."""
    if rule.event_names is None:
        return event_name != events.FINDING
    return event_name in rule.event_names


def compile_rules(rules: Sequence[Rule], *, timezone: str = "UTC") -> Matcher:
    """A matcher for the rules; `timezone` (`UTC`, `Europe/Berlin`) is where hours and weekdays are taken. Raises
    `ValueError` for a time zone that this host does not know."""
    return Matcher(rules, timezone=timezone)


def _never(view: View) -> bool:
    del view
    return False


def _rejected(rule: Rule, error: Exception) -> Rejected:
    cause = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Rejected(
        path=rule.meta.path,
        title=rule.meta.title,
        reason=f"{rule.meta.path or rule.meta.title}: {rule.meta.title} cannot be compiled: {cause}",
        rule_id=rule.meta.id,
    )
