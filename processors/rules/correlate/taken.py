"""Which records are in the state, so that a replay of the journal counts none of them twice."""

from __future__ import annotations

from typing import Final

MOST: Final = 16_384
REACH_NANO: Final = 300 * 10**9


class Taken:
    """The uids of the newest records that were taken, and the observed time from which on these are all of them.

    Records come in nearly the order in which they were observed; up to five minutes between two receivers are allowed
    for, as long as there are no more than 16,384 records in them.
    """

    def __init__(self, since: int) -> None:
        self.since = since
        self.uids: dict[str, int] = {}
        self._newest = 0

    def note(self, uid: str, observed: int) -> None:
        """Remembers a record that was taken."""
        uids = self.uids
        uids[uid] = observed
        if len(uids) > MOST:
            self._forget(MOST // 8)

    def passed(self, observed: int) -> None:
        """Remembers how far the stream has come, though nothing may be wanted of it for days."""
        if observed > self._newest:
            self._newest = observed

    def set_back(self, now: int) -> None:
        """The clock was set back: what comes is observed from `now` on again."""
        self._newest = min(self._newest, now)
        self.since = min(self.since, now)

    def tidy(self) -> None:
        """Forgets what was observed so long ago that nothing as old is still to come."""
        before = self._newest - REACH_NANO
        old = 0
        for observed in self.uids.values():
            if observed >= before:
                break
            old += 1
        self._forget(old)
        self.since = max(self.since, before)

    def _forget(self, count: int) -> None:
        uids = self.uids
        for uid in list(uids)[:count] if count else ():
            self.since = max(self.since, uids.pop(uid) + 1)
