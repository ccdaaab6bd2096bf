"""The running Windows' registry, through `winreg`: the keys that `registry_items` looks into."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Final

from otel_fim.receivers.persistence.formats.registry import Value

_CURRENT: Final = r"SOFTWARE\Microsoft\Windows\CurrentVersion"
_CURRENT_32: Final = r"SOFTWARE\Wow6432Node\Microsoft\Windows\CurrentVersion"
_NT: Final = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
_RUN: Final = ("Run", "RunOnce", "RunOnceEx", "RunServices", "RunServicesOnce", r"Policies\Explorer\Run")
_FLAT: Final = (
    *(f"{base}\\{name}" for base in (_CURRENT, _CURRENT_32) for name in _RUN),
    rf"{_NT}\Winlogon",
    rf"{_NT}\Windows",
    r"SYSTEM\CurrentControlSet\Control\Session Manager",
    r"SYSTEM\CurrentControlSet\Control\Lsa",
)
_SERVICES: Final = r"SYSTEM\CurrentControlSet\Services"
_OPTIONS: Final = rf"{_NT}\Image File Execution Options"


def live_values() -> Iterator[Value]:
    """The values of all keys that may start a program; keys that are not there or not to be read give none."""
    winreg = importlib.import_module("winreg")
    machine = ("HKEY_LOCAL_MACHINE", winreg.HKEY_LOCAL_MACHINE)
    for path in _FLAT:
        yield from _values(winreg, machine, path)
    for path in (_SERVICES, _OPTIONS):
        for name in _keys(winreg, machine[1], path):
            yield from _values(winreg, machine, f"{path}\\{name}")
            if path == _SERVICES:
                yield from _values(winreg, machine, f"{path}\\{name}\\Parameters", only="servicedll")
    users = ("HKEY_USERS", winreg.HKEY_USERS)
    for user in _keys(winreg, users[1], ""):
        for name in (*_RUN[:2], _RUN[-1]):
            yield from _values(winreg, users, f"{user}\\{_CURRENT}\\{name}")


def _keys(winreg: Any, hive: Any, path: str) -> Iterator[str]:
    try:
        with winreg.OpenKey(hive, path) as key:
            for index in range(100_000):
                yield winreg.EnumKey(key, index)
    except OSError:
        return


def _values(winreg: Any, hive: tuple[str, Any], path: str, only: str | None = None) -> Iterator[Value]:
    try:
        with winreg.OpenKey(hive[1], path) as key:
            for index in range(10_000):
                name, data, _ = winreg.EnumValue(key, index)
                if only is None or name.lower() == only:
                    yield Value(f"{hive[0]}\\{path}", name, b"" if data is None else data)
    except OSError:
        return
