"""`Entries` gathers the items of one file and gives each an id that no other has."""

from __future__ import annotations

from typing import Final

from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.reader import File
from otel_fim.receivers.persistence.text import digest, text_of

MOST_ITEMS: Final = 5_000
_LONGEST_KEY: Final = 160
LONGEST_TEXT: Final = 4096


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, cut when it is too long to be told; its hash is among what is compared."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def key_of(text: str) -> str:
    """A key of bounded length; a long one ends in a hash, so that two long ones stay apart."""
    if len(text) <= _LONGEST_KEY:
        return text
    return f"{text[: _LONGEST_KEY - 13]}…{digest(text.encode('utf-8', 'surrogatepass'))[:12]}"


def hash_key(content: bytes) -> str:
    """The key of what has nothing but its content to be known by."""
    return digest(content)[:12]


def command_key(command: bytes) -> str:
    """The program, and a hash of its arguments: they may hold a secret, and a key is told as it is."""
    program, _, arguments = command.strip().partition(b" ")
    return text_of(program) + (f" {hash_key(arguments)}" if arguments else "")


def one_space(content: bytes) -> str:
    """The bytes as text, with every run of white space as one blank."""
    return text_of(b" ".join(content.split()))


class Entries:
    """The items of `file`. The second one with the same key gets `#2` behind it, and so on.

    A file with more than 5,000 entries is either no such file or one in which something is to be hidden: what comes
    after is counted as rejected, and one item, `…:more`, stands for the whole file and so shows every change of it.
    """

    def __init__(self, file: File) -> None:
        self._file = file
        self._seen: dict[tuple[str, str], int] = {}
        self._items: list[Item] = []
        self._too_many = False

    def add(
        self,
        kind: str,
        key: str,
        content: bytes,
        *,
        command: str = "",
        user: str = "",
        trigger: str = "",
        enabled: bool = True,
    ) -> None:
        if len(self._items) >= MOST_ITEMS:
            if not self._too_many:
                self._too_many = True
                self._items.append(self._file.item(kind, key="more"))
            self._file.reject()
            return
        key = key_of(key)
        count = self._seen[kind, key] = self._seen.get((kind, key), 0) + 1
        self._items.append(
            self._file.item(
                kind,
                content,
                key=key if count == 1 else f"{key}#{count}",
                command=clipped(command),
                user=user,
                trigger=clipped(trigger, 512),
                enabled=enabled,
            )
        )

    def done(self) -> tuple[Item, ...]:
        return tuple(self._items)
