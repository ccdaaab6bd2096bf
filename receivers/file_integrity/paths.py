"""System calls on paths that are bytes and may be longer than the kernel takes at once, and paths as text.

The kernel refuses a path of 4,096 bytes and more (PATH_MAX), but directories can be nested deeper. Such paths are
walked in pieces, each relative to the directory before it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Final

# PATH_MAX is 4096 with the terminating zero; some room is left for a name behind a directory.
_LONGEST: Final = 3800

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

# Control characters, those that reorder or hide text on a terminal, the no-break space, which passes for a plain one,
# and the backslash that escapes them.
_UNSAFE: Final = re.compile(
    "[\\\\\x00-\x1f\x7f-\xa0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def text_of(name: bytes) -> str:
    """The name as text; a byte that is not UTF-8 becomes `\\xNN`."""
    return name.decode("utf-8", "backslashreplace")


def is_utf8(name: bytes) -> bool:
    """Whether `text_of` loses nothing."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def display(name: bytes) -> str:
    """The name for a person's eyes, on one line: what could move a cursor, forge a line or turn the reading
    direction is escaped."""
    return _UNSAFE.sub(_escape, name.decode("utf-8", "surrogateescape"))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\\":
        return "\\\\"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if short is not None:
        return short
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def split(path: bytes) -> tuple[bytes, bytes]:
    """Directory and name of an absolute, normalised path; the root is `(b"/", b"")`."""
    cut = path.rfind(b"/")
    return path[:cut] or b"/", path[cut + 1 :]


def join(directory: bytes, name: bytes) -> bytes:
    """The inverse of `split`."""
    if not name:
        return directory
    return directory + name if directory == b"/" else directory + b"/" + name


def is_below(path: bytes, directory: bytes) -> bool:
    """Whether `path` lies strictly below `directory`, by whole components."""
    return path.startswith(directory if directory == b"/" else directory + b"/") and path != directory


@contextlib.contextmanager
def short(path: bytes) -> Iterator[tuple[bytes, int | None]]:
    """The path in a form that the kernel takes: `(path, None)`, or `(rest, descriptor)` for a long one."""
    if len(path) <= _LONGEST:
        yield path, None
        return
    descriptor: int | None = None
    try:
        rest = path
        while len(rest) > _LONGEST:
            cut = rest.rfind(b"/", 1, _LONGEST)
            following = os.open(rest[:cut], _DIRECTORY_FLAGS & ~os.O_NOFOLLOW, dir_fd=descriptor)
            if descriptor is not None:
                os.close(descriptor)
            descriptor = following
            rest = rest[cut + 1 :]
        yield rest, descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def lstat(path: bytes) -> os.stat_result:
    """`os.lstat` for a path of any length."""
    if len(path) <= _LONGEST:
        return os.lstat(path)
    with short(path) as (rest, descriptor):
        return os.stat(rest, dir_fd=descriptor, follow_symlinks=False)


def readlink(path: bytes) -> bytes:
    """`os.readlink` for a path of any length."""
    with short(path) as (rest, descriptor):
        return os.readlink(rest, dir_fd=descriptor)


def open_directory(path: bytes) -> int:
    """A descriptor of the directory itself: a symbolic link in its place is an error (ENOTDIR)."""
    if len(path) <= _LONGEST:
        return os.open(path, _DIRECTORY_FLAGS)
    with short(path) as (rest, descriptor):
        return os.open(rest, _DIRECTORY_FLAGS, dir_fd=descriptor)
