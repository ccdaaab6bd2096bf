"""A real rsyslogd writes, is rotated and told so, while the source is stopped, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_fim.receivers.auth.sources.text_log import TextLogSource

_CONFIGURATION = """
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{directory}/socket" RateLimit.Interval="0")
action(type="omfile" file="{directory}/auth.log" template="{template}")
"""


class Rsyslog:
    """`directory` has the socket and auth.log."""

    def __init__(self, template: str) -> None:
        self.directory = tempfile.mkdtemp(prefix="otel-fim-rsyslog-", dir="/tmp")
        self.log_path = os.path.join(self.directory, "auth.log")
        configuration = Path(self.directory, "rsyslog.conf")
        configuration.write_text(_CONFIGURATION.format(directory=self.directory, template=template))
        self._process = subprocess.Popen(
            ["rsyslogd", "-n", "-f", str(configuration), "-i", os.path.join(self.directory, "pid")],
            stderr=subprocess.DEVNULL,
        )
        self._wait_for("socket")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(os.path.join(self.directory, "socket"))

    def _wait_for(self, name: str) -> None:
        deadline = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.directory, name)):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def say(self, *messages: str) -> None:
        for message in messages:
            self._socket.send(f"<38>Nov 21 00:01:02 sshd[77]: {message}".encode())

    def rotate(self) -> None:
        """As logrotate does it, with rsyslog-rotate as its postrotate script."""
        self._wait_for("auth.log")
        for number in (2, 1):
            if os.path.exists(f"{self.log_path}.{number}"):
                os.rename(f"{self.log_path}.{number}", f"{self.log_path}.{number + 1}")
        os.rename(self.log_path, self.log_path + ".1")
        self._process.send_signal(signal.SIGHUP)

    def end(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.directory)


@pytest.fixture(
    params=["RSYSLOG_TraditionalFileFormat", "RSYSLOG_FileFormat", "RSYSLOG_SyslogProtocol23Format"]
)
def rsyslog(request) -> Iterator[Rsyslog]:
    if shutil.which("rsyslogd") is None:
        pytest.skip("needs rsyslogd")
    made = Rsyslog(request.param)
    yield made
    made.end()


def test_every_line_once(rsyslog: Rsyslog, new_recorder) -> None:
    first, second = new_recorder(), new_recorder()
    source = TextLogSource(rsyslog.log_path)
    source.start(first)
    rsyslog.say(*(f"line {number}" for number in range(500)))
    first.wait(lambda: first.got)
    rsyslog.rotate()
    rsyslog.say(*(f"line {number}" for number in range(500, 1000)), "of\ttwo\nlines")
    rsyslog.rotate()
    rsyslog.say("last of the first")
    first.wait(lambda: "last of the first" in first.messages())
    assert source.stop(30)
    rsyslog.say("while down")
    time.sleep(0.1)
    rsyslog.rotate()
    rsyslog.say("after")
    again = TextLogSource(rsyslog.log_path)
    again.start(second, first.position)
    second.wait(lambda: "after" in second.messages())
    assert again.stop(30)
    expected = [f"line {number}" for number in range(1000)]
    expected += ["of#011two#012lines", "last of the first", "while down", "after"]
    # A rotated file may get its last lines when the next one has its first.
    assert sorted(first.messages() + second.messages()) == sorted(expected)
    assert first.gaps == second.gaps == []
    assert first.rejections == second.rejections == {}
    assert {(entry.identifier, entry.pid) for entry in first.got} == {("sshd", 77)}
