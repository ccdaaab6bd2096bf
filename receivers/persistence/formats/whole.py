"""Items that are a whole file: scripts, libraries and programs."""

from __future__ import annotations

import stat

from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.reader import Reader
from otel_fim.receivers.persistence.text import text_of


def whole_file(
    kind: str,
    path: bytes,
    reader: Reader,
    *,
    command: str = "",
    user: str = "",
    trigger: str = "",
    enabled: bool = True,
    must_be_executable: bool = False,
) -> Item | None:
    """The file as one item, whatever its size, with the file's hash as content; None when there is no regular file.

    `must_be_executable` has a file without any execute bit told as switched off. A file that is there but cannot be
    read is noted by the reader.
    """
    found = reader.stat(path)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    content = reader.sha256(path)
    if content is None:
        return None
    return Item(
        kind=kind,
        id=text_of(path),
        path=path,
        content_hash=content,
        command=command,
        user=user,
        trigger=trigger,
        enabled=enabled and not (must_be_executable and not found.st_mode & 0o111),
        uid=found.st_uid,
        gid=found.st_gid,
        mode=stat.S_IMODE(found.st_mode),
        file_hash=content,
    )


def overridden(path: bytes, directories: tuple[bytes, ...], reader: Reader) -> bool:
    """Whether a directory that stands before the file's own in `directories` has a file of the same name, which
    is read instead (as for udev rules, modules-load.d, …)."""
    directory, _, name = path.rpartition(b"/")
    for earlier in directories:
        if earlier == directory:
            return False
        if reader.stat(earlier + b"/" + name, follow=False) is not None:
            return True
    return False
