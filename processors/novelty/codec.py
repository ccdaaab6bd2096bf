"""The memory as bytes and back.

Version 1: a line of JSON (`seconds`: how long the agent ran; `hosts`: name, last, begun and evicted for each kind, and
how many things of each kind), then for each host and kind the keys and the values, eight bytes each, little-endian, in
the order in which they were last seen.
"""

from __future__ import annotations

import json
import sys
from array import array
from typing import Final

from otel_fim.processors.novelty.memory import DAY_SECONDS, NEVER, Host, Memory

VERSION: Final = 1
_ITEM: Final = 8


def dump(memory: Memory, seconds: int, kinds: tuple[str, ...]) -> bytes:
    """The memory after so many seconds of the agent's running. `kinds` are the names of what is kept, in order."""
    hosts = list(memory.hosts.values())
    head = {
        "seconds": seconds,
        "hosts": [
            {
                "name": host.name,
                "last": host.last,
                "kinds": {
                    kind: [host.begun[index], host.evicted[index], len(host.things[index])]
                    for index, kind in enumerate(kinds)
                    if host.begun[index] != NEVER
                },
            }
            for host in hosts
        ],
    }
    parts = [json.dumps(head, separators=(",", ":")).encode(), b"\n"]
    for host in hosts:
        for index, things in enumerate(host.things):
            if host.begun[index] != NEVER:
                parts += (_bytes(array("Q", things)), _bytes(array("Q", things.values())))
    return b"".join(parts)


def load(content: bytes, memory: Memory, kinds: tuple[str, ...]) -> int:
    """Fills an empty memory; the seconds that the agent has run. Kinds that the state does not have begin to be learnt
    when the agent comes to them (`begun` is `NEVER`), kinds that are not known any more are left out.

    Raises `ValueError`, `KeyError`, `TypeError`, `AttributeError` or `IndexError` for what is no such state.
    """
    line, _, _ = content.partition(b"\n")
    offset = len(line) + 1
    head = json.loads(line)
    seconds = int(head["seconds"])
    for each in head["hosts"]:
        host = Host(str(each["name"]), int(each["last"]), [NEVER] * len(kinds))
        memory.hosts[host.name] = host
        for kind, (begun, evicted, count) in each["kinds"].items():
            size = int(count) * _ITEM
            keys, values = (
                _array(content[offset + place : offset + place + size], size) for place in (0, size)
            )
            offset += 2 * size
            if kind in kinds:
                index = kinds.index(kind)
                host.begun[index], host.evicted[index] = int(begun), int(evicted)
                memory.restore(host, index, keys, values, seconds // DAY_SECONDS)
    if offset != len(content):
        raise ValueError("it is longer than what it says it holds")
    return seconds


def _bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _array(data: bytes, size: int) -> array[int]:
    if size < 0 or len(data) != size:
        raise ValueError("it is shorter than what it says it holds")
    values = array("Q", data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
