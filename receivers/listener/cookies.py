"""The kernel's own numbers of sockets: what a notice of a destroyed socket is recognised by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otel_fim.receivers.listener.sockets import Identity, ListeningSocket

_LIMIT: Final = 4096


class Cookies:
    """Which sockets lists have shown, by network namespace and cookie. For one thread.

    A socket may be missing in a list before the notice of its end is read, so that those of the recent past are
    kept, at most 4,096: their notices are news no more.
    """

    def __init__(self) -> None:
        self._present: dict[tuple[int | None, int], Identity] = {}
        self._past: dict[tuple[int | None, int], None] = {}

    def listed(self, sockets: Iterable[ListeningSocket]) -> None:
        """All sockets that there are now."""
        present = {
            (each.namespace, each.cookie): each.identity for each in sockets if each.cookie is not None
        }
        for gone in self._present.keys() - present.keys():
            self._past[gone] = None
        while len(self._past) > _LIMIT:
            del self._past[next(iter(self._past))]
        self._present = present

    def destroyed(self, namespace: int | None, cookie: int) -> tuple[bool, Identity | None]:
        """Whether a list has shown that socket, and the socket if the last list still had it."""
        identity = self._present.pop((namespace, cookie), None)
        if identity is not None:
            return True, identity
        known = (namespace, cookie) in self._past
        self._past.pop((namespace, cookie), None)
        return known, None
