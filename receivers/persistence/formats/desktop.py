"""Key files: desktop entries, D-Bus services, pacman hooks."""

from __future__ import annotations

from otel_fim.receivers.persistence.formats.lines import plain


def group(data: bytes, name: bytes) -> dict[bytes, bytes] | None:
    """Keys and values of the first group with this name; None without one. The last of two equal keys counts."""
    found: dict[bytes, bytes] | None = None
    inside = False
    for line in plain(data):
        if line.startswith(b"["):
            inside = found is None and line == b"[" + name + b"]"
            if inside:
                found = {}
            continue
        if inside and found is not None:
            key, equals, value = line.partition(b"=")
            if equals:
                found[key.strip()] = value.strip()
    return found


def is_true(value: bytes) -> bool:
    return value.lower() in (b"true", b"1", b"yes")
