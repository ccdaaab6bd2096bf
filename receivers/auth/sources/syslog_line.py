"""One line of a syslog text file, as rsyslog, syslog-ng, sysklogd and busybox write them.

`Nov 21 00:01:02 host sshd[123]: text`, `2026-11-21T00:01:02.123456+00:00 host sudo: text`, and RFC 5424's
`<86>1 2026-11-21T00:01:02Z host sshd 123 - - text`, the first two with or without `<86>` at the front.
"""

from __future__ import annotations

import re
from typing import Final

from otel_fim.receivers.auth.event import Entry
from otel_fim.receivers.auth.sources.syslog_time import Clock

REJECTED_TIME: Final = "bad_timestamp"
REJECTED_HEADER: Final = "bad_header"

_PRIORITY: Final = re.compile(rb"<([0-9]{1,3})>(1 )?")
_HOST: Final = re.compile(r"(\S+) ")
_TAG: Final = re.compile(r"([^\s:\[\]]{1,128})(?:\[([0-9]{1,10})\])?: ?")
_5424: Final = re.compile(r"(\S{1,255}) (\S{1,48}) (\S{1,128}) \S{1,32} ")
_ELEMENTS: Final = re.compile(r'(?:-|(?:\[(?:[^\]"\\]|\\.|"(?:[^"\\]|\\.)*")*\])+)(?: |$)', re.DOTALL)


def parse_line(line: bytes, source: str, clock: Clock, latest: int) -> Entry | str:
    """The entry in a line without its newline, or why there is none.

    Nothing in it is trusted. Bytes that are not UTF-8 become `\\xNN`, NUL is removed, other control characters and
    escapes (rsyslog's `#012`) stay. A line without a program's name (`last message repeated 2 times`) has an empty
    `identifier`. `fields`: host, and priority where the line has it. `latest` as in `Clock.read`.
    """
    fields: dict[str, str] = {}
    line = line.replace(b"\0", b"")
    version = False
    if (priority := _PRIORITY.match(line)) is not None:
        fields["priority"] = priority[1].decode()
        version = priority[2] is not None
        line = line[priority.end() :]
    time = clock.read(line, latest)
    if time is None:
        return REJECTED_TIME
    text = line[time[1] :].decode("utf-8", "backslashreplace")
    if version:
        return _rfc5424(text, source, time[0], fields)
    host = _HOST.match(text)
    if host is None:
        return REJECTED_HEADER
    fields["host"] = host[1]
    text = text[host.end() :]
    tag = _TAG.match(text)
    if tag is None:
        return Entry(source, time[0], "", text, fields=fields)
    return Entry(source, time[0], tag[1], text[tag.end() :], _pid(tag[2]), fields=fields)


def _rfc5424(text: str, source: str, time: int, fields: dict[str, str]) -> Entry | str:
    header = _5424.match(text)
    if header is None:
        return REJECTED_HEADER
    elements = _ELEMENTS.match(text, header.end())
    if elements is None:
        return REJECTED_HEADER
    fields["host"] = header[1]
    # rsyslog leaves the blank in that stood behind the tag's colon.
    message = text[elements.end() :].removeprefix("\ufeff").removeprefix(" ")
    identifier = "" if header[2] == "-" else header[2]
    return Entry(source, time, identifier, message, _pid(header[3]), fields=fields)


def _pid(text: str | None) -> int | None:
    """A process id, of what says that it is one."""
    if text is None or len(text) > 10 or not (text.isascii() and text.isdigit()):
        return None
    return int(text) or None
