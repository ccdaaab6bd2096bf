"""The agent's own log on stderr, with a rate limit so that a component that fails all the time stays readable."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from otel_fim.telemetry.config import LogsConfig

_WINDOW_SECONDS: Final = 60.0
_BURST: Final = 5
_REMEMBERED: Final = 512
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}


class RateLimit(logging.Filter):
    """Lets five messages a minute of one logger and text through; the next one says how many were held back.

    Messages are the same when their text before formatting is. `suppressed` is called once for each message
    that is held back.
    """

    def __init__(
        self, suppressed: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ):
        super().__init__()
        self._suppressed = suppressed
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, str(record.msg))
        now = self._clock()
        with self._lock:
            start, seen = self._windows.get(key, (now, 0))
            if now - start >= _WINDOW_SECONDS:
                if seen > _BURST:
                    record.msg = f"{record.msg} ({seen - _BURST} more like this in the last minute)"
                start, seen = now, 0
            self._windows[key] = (start, seen + 1)
            self._windows.move_to_end(key)
            if len(self._windows) > _REMEMBERED:
                self._windows.popitem(last=False)
        if seen < _BURST:
            return True
        self._suppressed()
        return False


class ConsoleFormatter(logging.Formatter):
    """`2026-01-13T14:32:15Z WARN  file_integrity: message`, control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}"
        level = {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(record.levelname, record.levelname)
        name = record.name.removeprefix("otel_fim.")
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        safe = text.translate(_CONTROL).replace("\n", "\n    ")
        return f"{stamp} {level:<5} {name}: {safe}".encode("utf-8", "backslashreplace").decode()


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, severity, logger, message, and exception when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "severity": {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(record.levelname, record.levelname),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure_logging(config: LogsConfig, suppressed: Callable[[], None] = lambda: None) -> None:
    """Sends the log to stderr in the configured form. Called again on a reload, it replaces what was there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if config.encoding == "json" else ConsoleFormatter())
    handler.addFilter(RateLimit(suppressed))
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "otel_fim", False):
            root.removeHandler(old)
    handler.otel_fim = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for library in ("urllib3", "clickhouse_connect"):
        # Their warnings are retries and refusals, which the component that uses them reports in its own words.
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("otel_fim").setLevel({"warn": "WARNING"}.get(config.level, config.level.upper()))
