"""How each network namespace is looked at: a list of its sockets, and the kernel's notices of those that are gone."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from otel_fim.host.quick import readlink
from otel_fim.receivers.listener.proc_net import ProcTables
from otel_fim.receivers.listener.psutil_sockets import PsutilSockets
from otel_fim.receivers.listener.setns import enter_network_namespace
from otel_fim.receivers.listener.sock_diag import Dumper, Notices
from otel_fim.receivers.listener.sockets import ListeningSocket, Transport

_BACKENDS: Final = ("sock_diag", "proc", "psutil")
T = TypeVar("T")


class Lister(Protocol):
    """What lists the sockets of one network namespace."""

    namespace: int | None
    rejected: int

    @property
    def name(self) -> str:
        """The backend's name."""

    def dump(self) -> tuple[list[ListeningSocket], bool]:
        """All listening sockets, and whether they may be other than the last time. Raises `OSError`."""

    def close(self) -> None:
        """Ends it."""


@dataclass(slots=True)
class View:
    """One network namespace. `namespace` is None for the agent's own, `notices` None where there are none."""

    namespace: int | None
    lister: Lister
    notices: Notices | None = None
    count: int = 0

    def close(self) -> None:
        self.lister.close()
        if self.notices is not None:
            self.notices.close()


def choose_lister(wanted: str, transports: Sequence[Transport], logger: logging.Logger) -> Lister:
    """The first backend that can list sockets. Raises `OSError` with the causes when there is none."""
    candidates = _BACKENDS if wanted == "auto" else (wanted,)
    causes = []
    for name in candidates:
        if name != "psutil" and not sys.platform.startswith("linux"):
            causes.append(f"{name}: only on Linux")
            continue
        try:
            lister = _lister(name, transports)
        except OSError as error:
            causes.append(f"{name}: {error}")
            continue
        try:
            lister.dump()
        except OSError as error:
            lister.close()
            causes.append(f"{name}: {error}")
            continue
        if causes:
            logger.info("listening sockets are listed by %s (%s)", name, "; ".join(causes))
        # What was found belongs to whoever asks first.
        lister.close()
        return _lister(name, transports)
    raise OSError("; ".join(causes))


def _lister(name: str, transports: Sequence[Transport]) -> Lister:
    if name == "sock_diag":
        return Dumper(transports)
    if name == "proc":
        return ProcTables(transports)
    return PsutilSockets(transports)


def client_ports() -> range:
    """The ports that the system gives to clients."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as source:
            first, last = source.read().split()
            return range(int(first), int(last) + 1)
    except (OSError, ValueError):
        # RFC 6335, and what macOS and Windows use.
        return range(49152, 65536)


def namespace_of(process: str) -> int | None:
    """The number of a process's network namespace; None when it cannot be told."""
    try:
        link = readlink(f"/proc/{process}/ns/net".encode())
    except OSError:
        return None
    digits = link.removeprefix(b"net:[").removesuffix(b"]")
    return int(digits) if digits.isdigit() else None


def namespaces(own: int | None) -> tuple[dict[int, int], bool]:
    """Every other network namespace that a process is in, with that process's pid; and whether some process's could
    not be told."""
    found: dict[int, int] = {}
    denied = False
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            link = readlink(b"/proc/%d/ns/net" % int(entry))
        except PermissionError:
            denied = True
            continue
        except OSError:
            continue
        digits = link.removeprefix(b"net:[").removesuffix(b"]")
        if digits.isdigit() and int(digits) != own:
            found.setdefault(int(digits), int(entry))
    return found, denied


def open_view(
    namespace: int, pid: int, transports: Sequence[Transport], ports: range | None, *, real_time: bool
) -> View:
    """A view of the namespace that a process is in. Raises `OSError` when that has vanished or may not be entered."""

    def make() -> View:
        enter_network_namespace(pid, namespace)
        view = View(namespace, Dumper(transports, namespace))
        if real_time:
            with contextlib.suppress(OSError):
                view.notices = Notices(transports, ports, namespace)
        return view

    return _in_a_thread(make)


def _in_a_thread(make: Callable[[], T]) -> T:
    """Runs in a thread that ends with it: a thread that has entered a namespace is of no other use."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(make())
        except BaseException as error:  # noqa: BLE001 - it is raised again below, in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="listener-namespace", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
