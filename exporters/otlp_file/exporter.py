"""Appends journal lines to a file of OTLP/JSON lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from otel_fim.component import (
    Batch,
    Exporter,
    ExporterContext,
    ExportResult,
    Health,
    RetryableError,
    StartError,
)
from otel_fim.exporters.otlp_file.config import OtlpFileConfig
from otel_fim.exporters.otlp_file.lines_file import LinesFile
from otel_fim.exporters.otlp_file.position import Position, first_missing, position_of
from otel_fim.exporters.otlp_file.rotation import Rotation
from otel_fim.otlp import OtlpDecodeError


class OtlpFileExporter(Exporter[OtlpFileConfig]):
    """A file that the collector's `otlpjsonfile` receiver and `jq` can read, each record in it once.

    A batch counts as delivered when it is on disk. A batch that was on disk before a crash, but not yet
    acknowledged, is recognised by the file's last line and not written twice.
    """

    Config = OtlpFileConfig

    def __init__(self, config: OtlpFileConfig, context: ExporterContext) -> None:
        super().__init__(config, context)
        self._path = Path(config.path)
        self._file: LinesFile | None = None
        self._rotation = None if config.rotation is None else Rotation(self._path, config.rotation)
        self._last: Position | None = None
        """The end of the file, while lines that are there already may still come."""

    def start(self) -> None:
        try:
            self._open(truncate=not self.config.append)
        except OSError as error:
            raise StartError(f"cannot write {self._path}: {error.strerror or error}") from error
        self._tidy()
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        del timeout
        self._close()

    def directories(self) -> Sequence[Path]:
        return (self._path.absolute(),)

    def export(self, batch: Batch) -> ExportResult:
        try:
            self._append([line for line in batch.lines if line])
        except StartError as error:
            raise RetryableError(str(error)) from error
        except OSError as error:
            raise RetryableError(f"cannot write {self._path}: {error.strerror or error}") from error
        return ExportResult()

    def _append(self, lines: list[bytes]) -> None:
        file = self._current()
        if self._last is not None:
            lines = lines[first_missing(lines, self._last) :]
        if not lines:
            return
        rotation = self._rotation
        # While it is open whether the file has a part of this batch, the file stays: its last line tells.
        if rotation is not None and self._last is None and rotation.is_due(file.size, sum(map(len, lines))):
            file = self._rotate(rotation)
        try:
            file.append(lines, sync=self.config.fsync)
        except OSError:
            # What is in the file now is found out by opening it again.
            self._close()
            raise
        self._last = None

    def _current(self) -> LinesFile:
        """The open file: opened again after a failure, or when another program has moved it away."""
        if self._file is not None and self._file.is_in_place:
            return self._file
        if self._file is not None:
            self.context.logger.info("%s was moved or removed; a new one is begun", self._path)
        return self._open()

    def _rotate(self, rotation: Rotation) -> LinesFile:
        backup = rotation.close_current()
        self.context.logger.info("%s is full and is now %s", self._path, backup)
        file = self._open()
        self._tidy()
        return file

    def _open(self, *, truncate: bool = False) -> LinesFile:
        self._close()
        self._last = None
        file = LinesFile(self._path, truncate=truncate)
        self._file = file
        if file.torn:
            self.context.logger.warning(
                "%s ended with an unfinished line of %d bytes, which was cut; its records are written again",
                self._path,
                file.torn,
            )
        while (last := file.last_line()) is not None:
            try:
                self._last = position_of(last)
                break
            except OtlpDecodeError as error:
                # A power failure can leave blocks of zeros before the end of what was not synced yet.
                file.cut_last_line()
                self.context.logger.warning(
                    "the last line of %s was unreadable and was cut: %s", self._path, error
                )
        return file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _tidy(self) -> None:
        if self._rotation is None:
            return
        try:
            self._rotation.tidy()
        except OSError as error:
            # The records are safe; closed files that stay too long or too large are put right the next time.
            self.context.logger.warning("cannot compress or remove closed files of %s: %s", self._path, error)
