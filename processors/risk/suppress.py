"""Suppressions: who accepted what, for how long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from otel_fim import names
from otel_fim.processors.risk.config import Suppression
from otel_fim.processors.risk.config_types import show_moment
from otel_fim.processors.risk.facts import Facts
from otel_fim.processors.risk.patterns import Patterns, Sources
from otel_fim.record import Attributes


class _Rule:
    def __init__(self, suppression: Suppression) -> None:
        self.suppression = suppression
        self.expires = suppression.expires.timestamp()
        match = suppression.match
        self._rule = Patterns(match.rule, ignore_case=True)
        self._host, self._user = Patterns(match.host), Patterns(match.user)
        self._executable, self._path = Patterns(match.executable), Patterns(match.path)
        self._source = Sources(match.source)

    def fits(self, facts: Facts) -> bool:
        return (
            self._rule.fit(facts.rule, facts.title)
            and self._host.fit(facts.host)
            and self._user.fit(facts.user, facts.person)
            and self._executable.fit(facts.executable)
            and self._path.fit(facts.path)
            and self._source.fit(facts.source)
        )


class Suppressions:
    """Those of a configuration that have not expired. The clock is the host's: an end is a date."""

    def __init__(
        self,
        suppressions: Sequence[Suppression],
        logger: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = [_Rule(each) for each in suppressions]
        self._logger = logger
        self._clock = clock
        self._ended: set[str] = set()

    def check(self) -> None:
        """Logs once which ones have ended."""
        now = self._clock()
        for rule in self._rules:
            each = rule.suppression
            if rule.expires <= now and each.name not in self._ended:
                self._ended.add(each.name)
                self._logger.warning(
                    "suppression %r of %s has expired on %s: what it suppressed is told again; renew it or take it out",
                    each.name,
                    each.owner,
                    show_moment(each.expires),
                )

    def find(self, facts: Facts) -> Suppression | None:
        """The first that fits and has not expired."""
        if not self._rules:
            return None
        now = self._clock()
        return next(
            (each.suppression for each in self._rules if each.expires > now and each.fits(facts)), None
        )


def describe(suppression: Suppression) -> Attributes:
    """The attributes of a finding that is suppressed."""
    return {
        names.OTEL_FIM_SUPPRESSION_NAME: suppression.name,
        names.OTEL_FIM_SUPPRESSION_OWNER: suppression.owner,
        names.OTEL_FIM_SUPPRESSION_REASON: suppression.reason,
        names.OTEL_FIM_SUPPRESSION_EXPIRES: show_moment(suppression.expires),
    }
