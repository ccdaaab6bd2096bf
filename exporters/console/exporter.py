"""Shows alerts on standard output."""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from typing import Final

from otel_fim import names
from otel_fim.component import Batch, Exporter, ExporterContext, ExportResult, Health, RetryableError
from otel_fim.exporters.console.config import ConsoleConfig
from otel_fim.exporters.console.finding_line import is_suppressed
from otel_fim.exporters.console.flat import format_json
from otel_fim.exporters.console.line import coloured, format_record, plain
from otel_fim.exporters.console.output import Output, OutputClosedError, OutputStoppedError
from otel_fim.names import events
from otel_fim.record import Record

_STANDARD_OUTPUT: Final = 1
_SCAN: Final = "scan"


class ConsoleExporter(Exporter[ConsoleConfig]):
    """One line for each record that concerns people, or one JSON object.

    The console is a view, not evidence: when nobody reads it any more the exporter says so in its health and
    lets the records pass, so that they are not kept for it for ever. A reader that is only slow, and a disk
    that is only full, are waited for.
    """

    Config = ConsoleConfig

    def __init__(
        self, config: ConsoleConfig, context: ExporterContext, *, descriptor: int = _STANDARD_OUTPUT
    ) -> None:
        super().__init__(config, context)
        self._output = Output(descriptor)
        self._descriptor = descriptor
        self._closed = False
        self._shown = re.compile("|".join(map(fnmatch.translate, config.events)) or r"(?!)")
        self._least = config.least_severity
        self._hides_suppressed = config.output == "text" and not config.suppressed
        self._paint = plain

    def start(self) -> None:
        if self._descriptor == _STANDARD_OUTPUT and sys.stdout is None:
            self._give_up("the agent was started without a standard output")
            return
        if self._output.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb":
            self._paint = coloured
        self.context.report(Health.OK, "")

    def stop(self, timeout: float) -> None:
        del timeout
        self._output.stop()

    def export(self, batch: Batch) -> ExportResult:
        if self._closed:
            return ExportResult()
        lines = [self._line(record) for record in batch.records if self._is_shown(record)]
        if not lines:
            return ExportResult()
        try:
            self._output.write("".join(lines).encode("utf-8"))
        except OutputClosedError as error:
            self._give_up(str(error))
        except OutputStoppedError as error:
            raise RetryableError(str(error)) from error
        except OSError as error:
            raise RetryableError(f"cannot write to standard output: {error.strerror}") from error
        return ExportResult()

    def _is_shown(self, record: Record) -> bool:
        if 0 < record.severity_number < self._least:
            return False
        if not self.config.inventory and record.attributes.get(names.EVENT_ACTION) == _SCAN:
            return False
        if self._hides_suppressed and record.event_name == events.FINDING and is_suppressed(record):
            return False
        return self._shown.match(record.event_name) is not None

    def _line(self, record: Record) -> str:
        if self.config.output == "json":
            return format_json(record) + "\n"
        return format_record(record, self._paint) + "\n"

    def _give_up(self, reason: str) -> None:
        self._closed = True
        message = f"{reason}: alerts are no longer shown, and go on to every other exporter"
        self.context.logger.error("%s", message)
        self.context.report(Health.PERMANENT_ERROR, message)
