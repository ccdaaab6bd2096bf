"""Windows events as XML, as `wevtutil qe /f:xml` and EvtRender give them.

Schema: Microsoft's event schema (http://schemas.microsoft.com/win/2004/08/events/event). An event holds text that
strangers chose (account names), so that a document with a DOCTYPE is refused: without
one there are no entities to expand.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from otel_fim.receivers.auth.event import Entry

SOURCE: Final = "windows_security"
REJECTED_XML: Final = "bad_event_xml"
REJECTED_DOCTYPE: Final = "event_with_doctype"
REJECTED_TIME: Final = "bad_event_time"
_NAMESPACE: Final = "{http://schemas.microsoft.com/win/2004/08/events/event}"
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_LONGEST: Final = 1 << 20


def split(text: str) -> list[str]:
    """The events of wevtutil's output, which has no root element."""
    return re.findall(r"<Event[ >].*?</Event>", text, re.DOTALL)


def parse_event(text: str) -> Entry | str:
    """The entry of one `<Event>`, or why it is none. Never raises."""
    if len(text) > _LONGEST:
        return REJECTED_XML
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        return REJECTED_DOCTYPE
    try:
        root = ET.fromstring(text)  # noqa: S314 - nothing to expand without a DOCTYPE
    except (ET.ParseError, ValueError):
        return REJECTED_XML
    system = root.find(f"{_NAMESPACE}System")
    if root.tag != f"{_NAMESPACE}Event" or system is None:
        return REJECTED_XML
    created = system.find(f"{_NAMESPACE}TimeCreated")
    time = None if created is None else _time(created.get("SystemTime", ""))
    if time is None:
        return REJECTED_TIME
    fields = {
        name: (found.text or "").strip()
        for name in ("EventID", "Keywords", "Computer", "EventRecordID")
        if (found := system.find(f"{_NAMESPACE}{name}")) is not None
    }
    for data in root.iterfind(f"{_NAMESPACE}EventData/{_NAMESPACE}Data"):
        name = data.get("Name")
        if name and name not in fields:
            fields[name] = (data.text or "").strip()
    return Entry(
        SOURCE, time, "", "", trusted=True, fields=fields, identity=fields.get("EventRecordID") or None
    )


def _time(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        seconds = int(datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
    return seconds * 1_000_000_000 + int((match[2] or "0").ljust(9, "0"))
