"""Closed files: their names, their compression and their end."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

from otel_fim.exporters.otlp_file.config import RotationConfig
from otel_fim.exporters.otlp_file.lines_file import sync_directory

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_STAMP: Final = "%Y-%m-%dT%H-%M-%S"
_COPY_BYTES: Final = 2**20
_SUFFIXES: Final = {"gzip": ".gz", "zstd": ".zst"}
_TEMPORARY: Final = ".tmp"


def _gzip(target: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=target, mode="wb", compresslevel=6)


def _zstd(target: IO[bytes]) -> zstd.ZstdFile:
    return zstd.ZstdFile(target, "w")


_COMPRESSORS: Final[dict[str, Callable[[IO[bytes]], gzip.GzipFile | zstd.ZstdFile]]] = {
    "gzip": _gzip,
    "zstd": _zstd,
}


class Rotation:
    """The closed files beside `path`, named as the collector's file exporter names them, in UTC."""

    def __init__(self, path: Path, config: RotationConfig) -> None:
        self._path = path
        self._config = config
        self._pattern = re.compile(
            re.escape(path.stem)
            + r"-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)\.(\d{3})"
            + re.escape(path.suffix)
            + r"(\.gz|\.zst)?"
        )

    def is_due(self, size: int, more: int) -> bool:
        """Whether a file of `size` bytes is to be closed before `more` bytes are added."""
        return size > 0 and size + more > self._config.max_megabytes * 10**6

    def close_current(self, now: datetime | None = None) -> Path:
        """Renames the current file and gives its new name. Raises `OSError`."""
        moment = now or datetime.now(UTC)
        while True:
            backup = self._named(moment)
            if not any(os.path.lexists(f"{backup}{suffix}") for suffix in ("", *_SUFFIXES.values())):
                break
            moment += timedelta(milliseconds=1)
        os.rename(self._path, backup)
        sync_directory(self._path.parent)
        return backup

    def tidy(self, now: datetime | None = None) -> None:
        """Compresses and removes closed files as configured, also those that an earlier run has left. Raises
        `OSError`; what was not done is done the next time."""
        self._remove_half_done()
        backups = self._backups()
        oldest_allowed = (now or datetime.now(UTC)) - timedelta(days=self._config.max_days)
        kept: list[tuple[datetime, Path]] = []
        for rank, (moment, backup) in enumerate(backups):
            too_many = 0 < self._config.max_backups <= rank
            too_old = self._config.max_days > 0 and moment < oldest_allowed
            if too_many or too_old:
                backup.unlink()
            else:
                kept.append((moment, backup))
        if self._config.compression != "none":
            for _, backup in kept:
                if backup.suffix not in _SUFFIXES.values():
                    self._compress(backup)

    def _backups(self) -> list[tuple[datetime, Path]]:
        """Newest first."""
        found: list[tuple[datetime, Path]] = []
        for entry in os.scandir(self._path.parent):
            match = self._pattern.fullmatch(entry.name)
            if match is None:
                continue
            try:
                moment = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
            except ValueError:
                continue
            found.append((moment + timedelta(milliseconds=int(match[2])), Path(entry.path)))
        return sorted(found, reverse=True)

    def _named(self, moment: datetime) -> Path:
        stamp = f"{moment.strftime(_STAMP)}.{moment.microsecond // 1000:03d}"
        return self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")

    def _compress(self, backup: Path) -> None:
        method = self._config.compression
        target = Path(f"{backup}{_SUFFIXES[method]}")
        temporary = Path(f"{target}{_TEMPORARY}")
        with open(backup, "rb") as source, open(temporary, "wb") as file:
            os.fchmod(file.fileno(), 0o640)
            with _COMPRESSORS[method](file) as packed:
                shutil.copyfileobj(source, packed, _COPY_BYTES)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, target)
        sync_directory(target.parent)
        backup.unlink()

    def _remove_half_done(self) -> None:
        for entry in os.scandir(self._path.parent):
            name = entry.name.removesuffix(_TEMPORARY)
            if name != entry.name and self._pattern.fullmatch(name):
                os.unlink(entry.path)
