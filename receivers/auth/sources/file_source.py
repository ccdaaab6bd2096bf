"""The thread that drives a tail, for every source that is a file which grows."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Final

from otel_fim.component import StoppingError
from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.framing import Framing
from otel_fim.receivers.auth.sources.source import REASON_ERROR, Position, Sink, Source, StartAt
from otel_fim.receivers.auth.sources.tail import LINGER_SECONDS, MISSING_SECONDS, Frame, Tail
from otel_fim.receivers.auth.sources.waiter import Waiter

_SETTLE_SECONDS: Final = 0.05
"""A burst of writes is read in few batches rather than one by one."""
_RETRY_SECONDS: Final = 30.0

_logger = logging.getLogger(__name__)


def unreadable(path: str) -> str | None:
    """Why a file cannot be read, as `Source.available` says it."""
    try:
        status = os.stat(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        os.close(descriptor)
    except FileNotFoundError:
        return f"{path} does not exist"
    except PermissionError:
        return f"{path} cannot be read without root"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if status.st_mode & 0o170000 == 0o100000 else f"{path} is no regular file"


class ThreadedSource(Source):
    """A source with one thread, which is begun again after an error, from the last position that was taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._position: Position = None

    def start(self, sink: Sink, position: Position = None) -> None:
        self._position = position
        self._thread = threading.Thread(
            target=self._run, args=(sink,), name=f"auth {os.path.basename(self.name)}", daemon=True
        )
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        self._stopping.set()
        self._wake()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @abstractmethod
    def _wake(self) -> None:
        """Ends what `_session` waits for; `_stopping` is set."""

    @abstractmethod
    def _session(self, sink: Sink) -> None:
        """Reads, from `_position`, until `_stopping` is set."""

    def _hand(self, sink: Sink, entries: list[Entry], position: Position) -> None:
        if self._stopping.is_set():
            raise StoppingError
        sink.entries(entries, position)
        self._position = position

    def _run(self, sink: Sink) -> None:
        while not self._stopping.is_set():
            failed: str | None = None
            try:
                self._session(sink)
            except StoppingError:
                return
            except Exception as error:
                _logger.exception("reading %s failed", self.name)
                failed = f"{self.name}: {error or type(error).__name__}"
            if failed is None or not self._tell(sink.gap, REASON_ERROR, failed, time.time_ns()):
                continue
            self._stopping.wait(_RETRY_SECONDS)
            self._tell(sink.restored, REASON_ERROR, f"{self.name} is read again from where it was")

    def _tell(self, function: Callable[..., None], *arguments: object) -> bool:
        try:
            function(*arguments)
        except Exception:
            _logger.exception("what %s tells was not taken", self.name)
            self._stopping.wait(_RETRY_SECONDS)
            return False
        return True


class BelledSource(ThreadedSource):
    """A source that waits in poll(2): `_bell[1]` is readable once it is to stop."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._bell: tuple[socket.socket, socket.socket] | None = None

    def start(self, sink: Sink, position: Position = None) -> None:
        self._bell = socket.socketpair()
        super().start(sink, position)

    def stop(self, timeout: float) -> bool:
        ended = super().stop(timeout)
        if ended and self._bell is not None:
            for end in self._bell:
                end.close()
            self._bell = None
        return ended

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell[0].send(b"!")


class FileSource(ThreadedSource):
    """A log that grows at its end. A subclass makes entries of frames."""

    def __init__(
        self,
        name: str,
        path: str,
        framing: Framing,
        *,
        start_at: StartAt = "end",
        linger: float = LINGER_SECONDS,
        missing: float = MISSING_SECONDS,
    ) -> None:
        super().__init__(name)
        self.path = os.path.abspath(path)
        self._framing = framing
        self._start_at: StartAt = start_at
        self._linger = linger
        self._missing = missing
        self._waiter: Waiter | None = None
        self._lock = threading.Lock()

    def available(self) -> str | None:
        return unreadable(self.path)

    @abstractmethod
    def _parse(self, frame: bytes, modified: int) -> Entry | str:
        """The entry in a frame, or the reason for which there is none. `modified`: the file's time in ns."""

    def _wake(self) -> None:
        with self._lock:
            if self._waiter is not None:
                self._waiter.wake()

    def start(self, sink: Sink, position: Position = None) -> None:
        # Here, so that what is written from now on is read whenever the thread gets to run.
        tail = self._make_tail(sink)
        self._tail: Tail | None = tail
        if position is None and (first := tail.begin()) is not None:
            # An agent that is stopped before the thread has looked goes on from here. The thread meets the error again.
            with contextlib.suppress(Exception):
                sink.entries([], first)
        super().start(sink, position)

    def _make_tail(self, sink: Sink) -> Tail:
        return Tail(
            self.path,
            self._framing,
            _Reader(self, sink),
            start_at=self._start_at,
            linger=self._linger,
            missing=self._missing,
        )

    def _session(self, sink: Sink) -> None:
        tail = self._tail = self._tail or self._make_tail(sink)
        with self._lock:
            waiter = self._waiter = Waiter(self.path)
        try:
            self._restore(tail, sink)
            waiter.watch(())
            while not self._stopping.is_set():
                tail.pump()
                if not waiter.watch(tail.descriptors()):
                    waiter.wait(tail.seconds_to_next())
                    self._stopping.wait(_SETTLE_SECONDS)
        finally:
            tail.close()
            self._tail = None
            with self._lock:
                self._waiter = None
            waiter.close()

    def _restore(self, tail: Tail, sink: Sink) -> None:
        if self._position is None:
            return
        try:
            tail.restore(self._position)
        except ValueError as error:
            now = time.time_ns()
            detail = f"{self.path}: {error}; it is read from its {self._start_at}"
            sink.gap(REASON_ERROR, detail, now, now)

    def take(self, sink: Sink, frames: list[Frame], modified: int) -> None:
        """Parses a batch and hands it over. Raises what the sink raises."""
        assert self._tail is not None
        entries: list[Entry] = []
        rejected: dict[str, int] = {}
        for frame in frames:
            entry = self._parse(frame.data, modified)
            if isinstance(entry, str):
                rejected[entry] = rejected.get(entry, 0) + 1
            else:
                entries.append(identified(entry, frame.identity))
        for reason, count in rejected.items():
            sink.rejected(reason, count)
        self._hand(sink, entries, self._tail.position())


def identified(entry: Entry, identity: str) -> Entry:
    """The entry with its identity."""
    return Entry(
        entry.source,
        entry.time_unix_nano,
        entry.identifier,
        entry.message,
        entry.pid,
        entry.user_id,
        entry.trusted,
        entry.fields,
        identity,
    )


class SinkError(Exception):
    """The sink has failed, not the file."""


class _Reader:
    """Stands between the tail and the sink: frames become entries, the rest is passed on."""

    def __init__(self, source: FileSource, sink: Sink) -> None:
        self._source = source
        self._sink = sink

    def frames(self, frames: list[Frame], modified: int) -> None:
        with _sinking():
            self._source.take(self._sink, frames, modified)

    def rejected(self, reason: str, count: int = 1) -> None:
        with _sinking():
            self._sink.rejected(reason, count)

    def gap(self, reason: str, detail: str, start_ns: int, end_ns: int | None = None) -> None:
        with _sinking():
            self._sink.gap(reason, detail, start_ns, end_ns)

    def restored(self, reason: str, detail: str) -> None:
        with _sinking():
            self._sink.restored(reason, detail)


@contextlib.contextmanager
def _sinking() -> Iterator[None]:
    try:
        yield
    except StoppingError:
        raise
    except Exception as error:
        raise SinkError(f"what was read was not taken: {error or type(error).__name__}") from error
