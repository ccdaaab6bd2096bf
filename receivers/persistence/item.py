"""`Item`: one thing that starts by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(slots=True, frozen=True)
class Item:
    """One thing that starts by itself: a cron line, a unit, a key, a hook.

    `kind` and `id` name it; `id` begins with the path (as text) that it stands in, followed where a file holds
    several by `:` and what tells them apart, and stays the same when the item's content changes. An item that
    has nothing but its place in the file to be known by takes its line number and sets `line`: when lines are
    put in above it, it is still the same item (see `differ`).

    `path` is the file that it stands in, as seen inside the watched root (`/etc/crontab` also when the root is
    `/srv/container`). `command` is what is started and may hold secrets: they are removed when the record is made.
    `user` is whom it runs as (or whose it is), `trigger` when it starts. `content_hash` is the SHA-256 (hex)
    of the item's own content, `file_hash` that of the whole file: a change of the latter alone is no change of
    the item. `uid`, `gid`, `mode` (permission bits) are the file's; None where there is no file.
    """

    kind: str
    id: str
    path: bytes
    content_hash: str
    command: str = ""
    user: str = ""
    trigger: str = ""
    enabled: bool = True
    line: int | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    file_hash: str | None = None


COMPARED: Final = ("command", "user", "trigger", "enabled", "content_hash", "uid", "gid", "mode")
"""The fields that make a change when they differ."""


def differences(before: Item, after: Item) -> tuple[str, ...]:
    """The names of the compared fields that differ."""
    return tuple(name for name in COMPARED if getattr(before, name) != getattr(after, name))
