"""A process as attributes, in groups that are told together or not at all. Made once for each process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otel_fim import names
from otel_fim.host.cache import BoundedCache
from otel_fim.host.identities import Identities
from otel_fim.host.process import Process
from otel_fim.pipeline.coverage import timestamp
from otel_fim.record import AnyValue, Attributes

_CACHE_SIZE: Final = 512
_LIFETIME: Final = 60.0
"""Seconds after which names of users are asked for again: what could not be looked up may be known by then."""


@dataclass(slots=True, frozen=True)
class Facts:
    """What is known of a process. `program` belongs to the program that it ran last, `users` to the rights it had
    then; the others stay the same for as long as it lives. `user` is who acts (`user.id`, `user.name`)."""

    process: Process
    made_at: float
    created: str
    life: Attributes
    program: Attributes
    users: Attributes
    real_users: Attributes
    user: Attributes
    parent: Attributes


class FactsCache:
    """`of` gives the facts of a process. For one thread."""

    def __init__(
        self, identities: Identities, ancestors: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._identities = identities
        self._ancestors = ancestors
        self._clock = clock
        self._known: BoundedCache[str, Facts] = BoundedCache(_CACHE_SIZE)

    def of(self, process: Process) -> Facts:
        known = self._known.get(process.entity_id)
        now = self._clock()
        # The table has a new value when it learns more: the same value is the same knowledge.
        if known is not None and known.process is process and now - known.made_at < _LIFETIME:
            return known
        facts = self._make(process, now)
        self._known.put(process.entity_id, facts)
        return facts

    def _make(self, process: Process, now: float) -> Facts:
        effective, real = process.effective_user_id, process.real_user_id
        effective_name = self._identities.user(effective)
        path = process.executable_path
        parent = process.ancestors[0] if process.ancestors else None
        if parent is not None and process.parent_pid not in (None, parent.pid):
            # It was given to another parent when its own ended; of that one nothing more is known here.
            parent = None
        return Facts(
            process=process,
            made_at=now,
            created=timestamp(process.created_unix_nano),
            life=_known(
                {
                    names.PROCESS_ENTITY_ID: process.entity_id,
                    names.OTEL_FIM_PROCESS_ANCESTORS: [
                        str(each) for each in process.ancestors[: self._ancestors]
                    ]
                    or None,
                    names.OTEL_FIM_PROCESS_TERMINAL: process.terminal,
                    names.CONTAINER_ID: process.container_id,
                    names.OTEL_FIM_SYSTEMD_UNIT: process.systemd_unit,
                }
            ),
            program=_known(
                {
                    names.PROCESS_EXECUTABLE_PATH: path,
                    names.PROCESS_EXECUTABLE_NAME: None if path is None else path.rsplit("/", 1)[-1],
                    names.PROCESS_HASH_SHA256: process.executable_sha256,
                    names.PROCESS_COMMAND: process.command,
                }
            ),
            users=_known({names.PROCESS_USER_ID: effective, names.PROCESS_USER_NAME: effective_name}),
            real_users=_known(
                {
                    names.PROCESS_REAL_USER_ID: real,
                    names.PROCESS_REAL_USER_NAME: self._identities.user(real),
                }
            ),
            user=_known(
                {
                    names.USER_ID: None if effective is None else str(effective),
                    names.USER_NAME: effective_name,
                }
            ),
            parent=_known(
                {
                    names.PROCESS_PARENT_PID: process.parent_pid or (parent.pid if parent else None),
                    names.PROCESS_PARENT_ENTITY_ID: parent.entity_id if parent else None,
                    names.PROCESS_PARENT_EXECUTABLE_PATH: parent.executable_path if parent else None,
                    names.PROCESS_PARENT_COMMAND: parent.command if parent else None,
                }
            ),
        )


def _known(attributes: dict[str, AnyValue]) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
