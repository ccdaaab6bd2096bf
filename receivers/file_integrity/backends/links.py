"""Files with several names: a write through a name that is not watched changes the one that is."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from otel_fim.receivers.file_integrity.backends.kernel import PATH_FLAGS, open_directory

_LARGEST: Final = 100_000
"""Names that are kept; later ones are left to the rescan."""
_AT_ONCE: Final = 200


class LinkedFiles:
    """Watches single files, whichever of their names is used.

    `watch` takes an open directory and a name and gives what the file's events carry; it raises `OSError`. `watched`
    is called with a path that is watched from now on and has to be looked at once more: it may have been written to
    after it was found. `request` may be called from any thread, the rest belongs to the backend's.
    """

    def __init__(
        self,
        watch: Callable[[int, bytes], Hashable],
        watched: Callable[[bytes], None],
        wake: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._watched = watched
        self._wake = wake
        self._requests: deque[bytes] = deque(maxlen=_LARGEST)
        self._keys: dict[bytes, Hashable] = {}
        self.by_key: dict[Hashable, set[bytes]] = {}

    def request(self, path: bytes) -> None:
        self._requests.append(path)
        self._wake()

    def step(self) -> bool:
        """Takes up some requests; True while there are more."""
        for _ in range(_AT_ONCE):
            if not self._requests:
                return False
            path = self._requests.popleft()
            directory, name = os.path.split(path)
            before = self._keys.get(path)
            self.forget(path)
            if len(self._keys) < _LARGEST:
                try:
                    descriptor = open_directory(directory, PATH_FLAGS)
                    try:
                        key = self._watch(descriptor, name)
                    finally:
                        os.close(descriptor)
                except OSError:
                    # Gone, or not to be watched: its own directory is, and the rescan sees the rest.
                    continue
                self.keep(path, key)
                if key != before:
                    self._watched(path)
        return bool(self._requests)

    def keep(self, path: bytes, key: Hashable) -> None:
        self._keys[path] = key
        self.by_key.setdefault(key, set()).add(path)

    def forget(self, path: bytes) -> None:
        """The name is gone; the file may have others."""
        key = self._keys.pop(path, None)
        if key is not None and (paths := self.by_key.get(key)) is not None:
            paths.discard(path)
            if not paths:
                del self.by_key[key]

    def forget_key(self, key: Hashable) -> None:
        """The file is gone, with all its names."""
        for path in self.by_key.pop(key, ()):
            self._keys.pop(path, None)

    def others(self, key: Hashable, paths: Iterable[bytes]) -> list[bytes]:
        """The names of a file besides those that its event is reported for already."""
        known = self.by_key.get(key)
        return [] if known is None else sorted(known.difference(paths))
