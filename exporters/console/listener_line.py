"""`[LISTENER] OPENED tcp 0.0.0.0:4444 @ … by root /usr/bin/nc pid 4711: open to every address`."""

from __future__ import annotations

from typing import Final

from otel_fim import names
from otel_fim.exporters.console.escape import quoted
from otel_fim.exporters.console.parts import (
    Paint,
    actor,
    label,
    last_word,
    moment,
    number,
    techniques,
    text,
    with_rest,
)
from otel_fim.record import Record

_REACH: Final = {
    "loopback": "this host only",
    "link_local": "the local link",
    "private": "a private network",
    "public": "a public network",
    "any": "every address",
}


def listener(record: Record, paint: Paint) -> list[str]:
    """A listening socket appeared or went; nothing without a port."""
    attributes = record.attributes
    port = number(attributes, names.NETWORK_LOCAL_PORT)
    if port is None:
        return []
    address = text(attributes, names.NETWORK_LOCAL_ADDRESS) or "*"
    shown = f"[{quoted(address)}]" if ":" in address else quoted(address)
    transport = text(attributes, names.NETWORK_TRANSPORT)
    unit = text(attributes, names.OTEL_FIM_SYSTEMD_UNIT)
    reach = _REACH.get(text(attributes, names.OTEL_FIM_LISTENER_EXPOSURE), "")
    parts = [
        label(f"[LISTENER] {last_word(record.event_name)}", record, paint),
        quoted(transport) if transport else "",
        f"{shown}:{port}",
        f"@ {moment(record)}",
        "while the agent was down" if attributes.get(names.OTEL_FIM_LISTENER_WHILE_DOWN) is True else "",
        techniques(attributes),
        actor(attributes),
    ]
    said = [f"open to {reach}" if reach else "", f"unit {quoted(unit)}" if unit else ""]
    return with_rest(parts, ", ".join(part for part in said if part))
