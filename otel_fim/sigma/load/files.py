"""Which files there are, and their text."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_fim.sigma.ir import Rejected
from otel_fim.sigma.load.limits import LoadLimits

PACK_NAME: Final = "otel-fim"
"""The ruleset of this project's own rules."""
_SUFFIXES: Final = (".yml", ".yaml")
_SAMPLES: Final = (".samples.yml", ".samples.yaml")
_MAX_FOLDERS: Final = 64
"""Folders within each other."""


@dataclass(slots=True, frozen=True)
class RuleFile:
    """A file that is there. `path` is for opening, `shown` for telling, `relative` within the ruleset's folder."""

    path: str
    shown: str
    ruleset: str
    relative: str


def pack_path() -> Path:
    """The folder of the project's own rules."""
    return Path(__file__).resolve().parents[2] / "rules"


def find(paths: Sequence[str | Path], limits: LoadLimits) -> tuple[list[RuleFile], list[Rejected]]:
    """The rule files of files and folders, each once, folders sorted by name; and the paths that gave none."""
    found: list[RuleFile] = []
    rejected: list[Rejected] = []
    seen: set[tuple[int, int]] = set()
    for given in paths:
        path = os.fspath(given)
        shown = printable(path)
        try:
            kind = os.stat(path)
        except (OSError, ValueError) as error:
            rejected.append(Rejected(shown, "", _cannot(shown, error)))
            continue
        if stat.S_ISDIR(kind.st_mode):
            name, above = _ruleset(path)
            for relative, inside in _walk(path, "", (), rejected):
                file = RuleFile(os.path.join(path, relative), "", name, above + printable(relative))
                _add(found, seen, inside, file)
                if len(found) > limits.files:
                    break
        else:
            name, above = _ruleset(os.path.dirname(path) or ".")
            _add(found, seen, kind, RuleFile(path, "", name, above + printable(os.path.basename(path))))
        if len(found) > limits.files:
            rejected.append(
                Rejected(
                    shown,
                    "",
                    f"{shown}: more than {limits.files} files; the rest is not read: name fewer folders",
                )
            )
            return found[: limits.files], rejected
    return found, rejected


def _ruleset(folder: str) -> tuple[str, str]:
    """What findings call the rules of a folder: its name, or `otel-fim` for the project's own; and where the folder is
    within that ruleset."""
    real, pack = os.path.realpath(folder), os.path.realpath(pack_path())
    if real == pack:
        return PACK_NAME, ""
    if real.startswith(pack + os.sep):
        return PACK_NAME, printable(real[len(pack) + 1 :]) + "/"
    return printable(os.path.basename(real)) or "rules", ""


def read(file: RuleFile, limits: LoadLimits) -> str:
    """The text of a file. Raises `ValueError` with the reason when it has none."""
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(descriptor, "rb") as opened:
            kind = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(kind):
                raise ValueError(f"{file.shown}: is no regular file")
            data = opened.read(limits.file_bytes + 1)
    except OSError as error:
        raise ValueError(_cannot(file.shown, error)) from error
    if len(data) > limits.file_bytes:
        raise ValueError(
            f"{file.shown}: larger than {limits.file_bytes} bytes, the limit for one file: split it into several"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file.shown}: is not UTF-8 text (line {line}): save it as UTF-8") from error


def printable(path: str) -> str:
    """A path as Unicode text: bytes that are not UTF-8 as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _add(found: list[RuleFile], seen: set[tuple[int, int]], kind: os.stat_result, file: RuleFile) -> None:
    identity = (kind.st_dev, kind.st_ino)
    if identity not in seen:
        seen.add(identity)
        found.append(RuleFile(file.path, printable(file.path), file.ruleset, file.relative))


def _walk(
    root: str, relative: str, above: tuple[tuple[int, int], ...], rejected: list[Rejected]
) -> Iterator[tuple[str, os.stat_result]]:
    folder = os.path.join(root, relative) if relative else root
    shown = printable(folder)
    try:
        here = os.stat(folder)
        identity = (here.st_dev, here.st_ino)
        if identity in above or len(above) >= _MAX_FOLDERS:
            rejected.append(
                Rejected(shown, "", f"{shown}: leads back to a folder above it; it is not followed")
            )
            return
        names = sorted(os.listdir(folder))
    except OSError as error:
        rejected.append(Rejected(shown, "", _cannot(shown, error)))
        return
    for name in names:
        inside = os.path.join(relative, name) if relative else name
        path = os.path.join(root, inside)
        try:
            kind = os.stat(path)
        except OSError as error:
            if name.endswith(_SUFFIXES):
                rejected.append(Rejected(printable(path), "", _cannot(printable(path), error)))
            continue
        if stat.S_ISDIR(kind.st_mode):
            if not name.startswith("."):
                yield from _walk(root, inside, (*above, identity), rejected)
        elif name.endswith(_SUFFIXES) and not name.endswith(_SAMPLES):
            yield inside, kind


def _cannot(shown: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{shown}: there is no such file or folder"
    if isinstance(error, PermissionError):
        return f"{shown}: may not be read by this user: give the agent's user the right to read it"
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{shown}: cannot be read: {why}"
