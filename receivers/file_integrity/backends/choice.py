"""Which backend sees which root: what the configuration says, or the best that this user may use there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from otel_fim.receivers.file_integrity.backend import Backend, BackendUnavailableError
from otel_fim.receivers.file_integrity.backends import fanotify
from otel_fim.receivers.file_integrity.backends.fanotify import FanotifyBackend
from otel_fim.receivers.file_integrity.backends.mounts import Mount, contains, mount_of, read_mounts
from otel_fim.receivers.file_integrity.backends.polling import PollingBackend
from otel_fim.receivers.file_integrity.config import FileIntegrityConfig

Chosen = list[tuple[Backend, list[bytes]]]


def choose_backend(
    config: FileIntegrityConfig,
    roots: Sequence[bytes],
    ignored_pids: Callable[[], frozenset[int]],
    logger: logging.Logger,
) -> Chosen:
    """Backends with the roots that each is to watch; together they have every root.

    `ignored_pids` gives the processes whose changes are not reported, besides the agent's own. With `auto`, what
    lies on network and FUSE file systems is polled, also where one is mounted below a root. Raises
    `BackendUnavailableError` when the configured backend cannot be used; `auto` always finds one.
    """
    maker = _Maker(config, ignored_pids, logger)
    if config.backend == "polling":
        return [(maker.polling(), list(roots))]
    if config.backend == "inotify":
        return [(maker.inotify(), list(roots))]
    if config.backend == "fanotify":
        unsupported = fanotify.probe(roots)
        if unsupported:
            raise BackendUnavailableError(
                f"the file system of {os.fsdecode(unsupported[0])!r} does not report changes to fanotify; "
                "use backend: auto"
            )
        return [(maker.fanotify(), list(roots))]
    return _automatic(maker, roots, _mounts(), logger)


def _automatic(maker: _Maker, roots: Sequence[bytes], mounts: list[Mount], logger: logging.Logger) -> Chosen:
    polled = [root for root in roots if (mount := mount_of(root, mounts)) is not None and mount.remote]
    local = [root for root in roots if root not in polled]
    if not maker.config.one_file_system:
        for mount in mounts:
            if (
                mount.remote
                and mount.point not in polled
                and any(contains(root, mount.point) for root in local)
            ):
                polled.append(mount.point)
    by_fanotify: list[bytes] = []
    try:
        unsupported = frozenset(fanotify.probe(local))
        by_fanotify = [root for root in local if root not in unsupported]
    except BackendUnavailableError as error:
        logger.info("%s", error)
    by_inotify = [root for root in local if root not in by_fanotify]
    chosen: Chosen = []
    if by_fanotify:
        chosen.append((maker.fanotify(), by_fanotify))
    if by_inotify:
        try:
            chosen.append((maker.inotify(), by_inotify))
        except BackendUnavailableError as error:
            logger.warning("%s", error)
            polled += by_inotify
    if polled:
        chosen.append((maker.polling(), polled))
    return chosen


class _Maker:
    """Makes backends as the configuration says."""

    def __init__(
        self, config: FileIntegrityConfig, ignored_pids: Callable[[], frozenset[int]], logger: logging.Logger
    ) -> None:
        self.config = config
        self._ignored_pids = ignored_pids
        self._logger = logger

    def fanotify(self) -> Backend:
        return FanotifyBackend(
            marks=self.config.marks,
            ignored_pids=self._ignored_pids,
            one_file_system=self.config.one_file_system,
            retry_interval=self.config.poll_interval,
            logger=self._logger,
        )

    def inotify(self) -> Backend:
        try:
            # Imported here: a C library without inotify makes watchdog fail on import.
            from otel_fim.receivers.file_integrity.backends import inotify
        except Exception as error:
            raise BackendUnavailableError(f"inotify cannot be used: {error}; use backend: polling") from error
        inotify.probe()
        return inotify.InotifyBackend(
            one_file_system=self.config.one_file_system,
            retry_interval=self.config.poll_interval,
            logger=self._logger,
        )

    def polling(self) -> Backend:
        return PollingBackend(self.config.poll_interval, logger=self._logger)


def _mounts() -> list[Mount]:
    try:
        return read_mounts()
    except OSError:
        return []
