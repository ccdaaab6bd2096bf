"""journalctl as a child process that writes one JSON line for each new entry."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from typing import Final

from otel_fim.receivers.auth.sources.audit_message import TYPES
from otel_fim.receivers.auth.sources.journal_entry import OUTPUT_FIELDS

DIRECTORIES: Final = ("/run/log/journal", "/var/log/journal")
LONGEST_LINE: Final = 1 << 20
_READ_BYTES: Final = 65_536
_ENDING_SECONDS: Final = 2.0
_LAST_WORDS: Final = 4

_FACILITIES: Final = (4, 10)
"""auth and authpriv: where PAM, sshd, sudo, su and the shadow tools write."""
_TRANSPORTS: Final = ("syslog", "journal", "stdout")
"""Not audit: journald gives its records, command lines and system calls among them, the facility auth."""
_IDENTIFIERS: Final = (
    *("sshd", "sshd-session", "sshd-auth", "dropbear", "login", "systemd-logind"),
    *("sudo", "su", "doas", "pkexec", "polkitd", "polkit-agent-helper-1"),
    *(
        "useradd",
        "userdel",
        "usermod",
        "newusers",
        "groupadd",
        "groupdel",
        "groupmod",
        "groupmems",
        "gpasswd",
    ),
    *("passwd", "chpasswd", "chgpasswd", "chage", "chfn", "chsh", "vipw", "systemd-sysusers"),
)
"""Those of them that some systems let write to other facilities. cron is not here: its sessions are authpriv, and
its own lines tell nothing of logins."""


def matches(machine: str | None = None) -> list[str]:
    """What of the journal is read: fields of one name are alternatives, `+` stands between alternative groups.

    With `machine` (/etc/machine-id) only what this machine's journald wrote.
    """
    own = [] if machine is None else [f"_MACHINE_ID={machine}"]
    return [
        *own,
        *(f"SYSLOG_FACILITY={number}" for number in _FACILITIES),
        *(f"_TRANSPORT={name}" for name in _TRANSPORTS),
        "+",
        *own,
        *(f"SYSLOG_IDENTIFIER={name}" for name in _IDENTIFIERS),
        "+",
        *own,
        "_TRANSPORT=audit",
        *(f"_AUDIT_TYPE={number}" for number in TYPES),
    ]


def machine_id() -> str | None:
    """This machine's id, None where there is none."""
    with contextlib.suppress(OSError), open("/etc/machine-id", encoding="ascii", errors="replace") as file:
        text = file.read().strip()
        return text if len(text) == 32 and text.isalnum() else None
    return None


def unavailable(directory: str | None = None) -> str | None:
    """Why there is no journal to be read, or None."""
    if shutil.which("journalctl") is None:
        return "journalctl is not installed"
    places = DIRECTORIES if directory is None else (directory,)
    found = [file for place in places for file in _system_journals(place)]
    if not found:
        return f"there is no journal in {' or '.join(places)}"
    if not any(os.access(file, os.R_OK) for file in found):
        return "the system's journal cannot be read without root or the group systemd-journal"
    return None


def _system_journals(place: str) -> list[str]:
    files = []
    for root, _, names in os.walk(place):
        files += [
            os.path.join(root, n) for n in names if n.endswith(".journal") and not n.startswith("user-")
        ]
    return files


class Journalctl:
    """One run of journalctl. `seek` are the options that say where it begins. Raises `OSError` when it cannot start.

    It has a process group of its own, so that Ctrl-C does not reach it, and ends by itself when nobody reads any
    more, also when the agent is killed.
    """

    def __init__(self, seek: Sequence[str], *, directory: str | None = None) -> None:
        # --follow alone leaves out what was logged before the last boot, also behind a cursor; --merge does not, but
        # brings in journals that other machines have sent.
        command = [
            "journalctl",
            "--output=json",
            "--all",
            "--follow",
            "--no-tail",
            "--merge",
            "--no-pager",
            "--quiet",
        ]
        command.append("--output-fields=" + ",".join(OUTPUT_FIELDS))
        command += [f"--directory={directory}"] if directory is not None else []
        self._process = subprocess.Popen(
            [*command, *seek, *matches(machine_id() if directory is None else None)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._out, self._errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        os.set_blocking(self._out, False)
        os.set_blocking(self._errors, False)
        self._rest = b""
        self._skipping = False
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.too_long = 0
        """Lines longer than `LONGEST_LINE`, which were left out."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def last_words(self) -> str:
        """How it ended, and what it wrote to stderr."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        while self._errors >= 0 and self._take_errors():
            if self._process.returncode is None:
                break
        status = self._process.returncode
        if status is None:
            how = "journalctl closed its output"
        elif status < 0:
            how = f"journalctl was ended by signal {-status}"
        else:
            how = f"journalctl ended with status {status}"
        return ": ".join([how, *self._words])

    def lines(self, wake: int, seconds: float | None) -> list[bytes] | None:
        """Waits for lines; empty when descriptor `wake` became readable or the time is over, None at the end."""
        poll = select.poll()
        for descriptor in (self._out, self._errors, wake):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self._errors in ready and not self._take_errors():
            # Closed, of which poll would tell again and again.
            self._errors = -1
        if self._out not in ready:
            return []
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._out, _READ_BYTES)
            return self._split(data) if data else None
        return []

    def _take_errors(self) -> bool:
        try:
            text = os.read(self._errors, _READ_BYTES)
        except BlockingIOError:
            return False
        self._words.extend(line[:200] for line in text.decode("utf-8", "replace").split("\n") if line)
        return bool(text)

    def _split(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            del lines[0]
            self._skipping = False
        if len(self._rest) > LONGEST_LINE:
            self.too_long += not self._skipping
            self._skipping = True
        if self._skipping:
            self._rest = b""
        return [line for line in lines if line]

    def end(self) -> None:
        """Ends the process and all that it may have started."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(_ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
