"""Windows: scheduled tasks, services and drivers, Run and RunOnce keys and their relatives.

Formats: Task Scheduler schema (schemas.microsoft.com/windows/2004/02/mit/task), services in
HKLM\\SYSTEM\\CurrentControlSet\\Services. Tasks are files, also of an image that is given as `root`; the registry is
read through `winreg` on Windows, and from exported text for tests and evidence (`parse_registry`).
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, clipped
from otel_fim.receivers.persistence.formats.registry import Value, decoded, values
from otel_fim.receivers.persistence.formats.xml import Element, RefusedXmlError, parse_xml
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import digest

_IS_WINDOWS: Final[bool] = platform.system() == "Windows"
_TASKS: Final = (b"/Windows/System32/Tasks", b"/Windows/SysWOW64/Tasks")
_SERVICE: Final = re.compile(
    r"(?:HKEY_LOCAL_MACHINE|HKLM)\\SYSTEM\\(?:CurrentControlSet|ControlSet\d{3})\\Services\\([^\\]+)(\\Parameters)?",
    re.IGNORECASE,
)
_RUN: Final = re.compile(
    r".{0,400}\\(?:Microsoft|Wow6432Node\\Microsoft)\\Windows\\CurrentVersion\\"
    r"(?:(?:Policies\\Explorer\\)?Run|RunOnce|RunOnceEx(?:\\[^\\]{1,100})?|RunServices|RunServicesOnce)",
    re.IGNORECASE | re.DOTALL,
)
# Key below which a value names a program: (end of the key, names of the values)
_NAMED: Final = (
    (r"\windows nt\currentversion\winlogon", ("shell", "userinit", "taskman", "vmapplet")),
    (r"\windows nt\currentversion\windows", ("appinit_dlls", "load", "run")),
    (r"\control\session manager", ("bootexecute", "setupexecute", "execute")),
    (r"\control\lsa", ("authentication packages", "security packages", "notification packages")),
)
_DEBUGGER: Final = re.compile(r".{0,400}\\Image File Execution Options\\([^\\]+)", re.IGNORECASE | re.DOTALL)
_START: Final = {0: "boot", 1: "system start", 2: "automatic", 3: "on demand", 4: "disabled"}
_TYPES: Final = {1: "driver", 2: "file system driver", 16: "own process", 32: "shared process"}


def parse_task(file: File) -> tuple[Item, ...]:
    """An item for each action of a task; a file that is no task (or has a DOCTYPE) is counted as rejected."""
    try:
        task = parse_xml(file.data)
    except RefusedXmlError:
        file.reject()
        return ()
    actions = task.first("Actions")
    if task.name != "Task" or actions is None:
        file.reject()
        return ()
    entries = Entries(file)
    enabled = task.text_at("Settings", "Enabled").lower() != "false"
    user = _principal(task, actions)
    trigger = _triggers(task)
    for action in actions.children[:100]:
        if action.name == "Exec":
            command = f"{action.text_at('Command')} {action.text_at('Arguments')}".strip()
        elif action.name == "ComHandler":
            command = f"{action.text_at('ClassId')} {action.text_at('Data')}".strip()
        else:
            command = action.name
        content = "\n".join((command, action.text_at("WorkingDirectory"), user, trigger, str(enabled)))
        entries.add(
            "windows_task",
            action.name,
            content.encode("utf-8", "surrogatepass"),
            command=command,
            user=user,
            trigger=trigger,
            enabled=enabled,
        )
    return entries.done()


def _principal(task: Element, actions: Element) -> str:
    principals = task.first("Principals")
    found = principals.all("Principal") if principals is not None else []
    wanted = actions.attributes.get("Context")
    chosen = next((p for p in found if p.attributes.get("id") == wanted), found[0] if found else None)
    if chosen is None:
        return ""
    name = chosen.text_at("UserId") or chosen.text_at("GroupId")
    highest = chosen.text_at("RunLevel") == "HighestAvailable"
    return clipped(name, 128) + (" (highest)" if highest else "")


def _triggers(task: Element) -> str:
    triggers = task.first("Triggers")
    found = []
    for trigger in triggers.children[:20] if triggers is not None else ():
        words = [trigger.name.removesuffix("Trigger")]
        words += [
            f"{name}={text}"
            for name in ("StartBoundary", "Delay", "UserId", "Subscription")
            if (text := trigger.text_at(name)[:200])
        ]
        if repeated := trigger.text_at("Repetition", "Interval"):
            words.append(f"every {repeated[:40]}")
        schedule = next((child for child in trigger.children if child.name.startswith("ScheduleBy")), None)
        if schedule is not None:
            words.append(schedule.name)
        if trigger.text_at("Enabled").lower() == "false":
            words.append("(off)")
        found.append(" ".join(words))
    return clipped("; ".join(found) or "on demand", 512)


def registry_items(found: Iterable[Value], source: bytes) -> Iterator[Item]:
    """An item for each service or driver that names a program, and for each value of the keys that start one.
    `source` is the file that the values come from, or `registry`."""
    services: dict[str, dict[str, str | int | list[str] | bytes]] = {}
    for value in found:
        service = _SERVICE.fullmatch(value.key)
        if service is not None:
            name = value.name.lower()
            if service[2] is None or name == "servicedll":
                services.setdefault(service[1], {})[name] = value.data
            continue
        yield from _value_items(value, source)
    for name, settings in services.items():
        program, library = _text(settings.get("imagepath", "")), _text(settings.get("servicedll", ""))
        if not program:
            continue
        start, kind = settings.get("start"), settings.get("type")
        words = [_START.get(start, "unknown") if isinstance(start, int) else "unknown"]
        if isinstance(kind, int):
            words.append(_TYPES.get(kind & 0x33, "service"))
        if settings.get("failurecommand"):
            words.append(f"on failure {_text(settings['failurecommand'])}")
        command = f"{program} ({library})" if library else program
        yield _item(
            "windows_service",
            f"Services\\{name}",
            source,
            command,
            user=_text(settings.get("objectname", "")) or "LocalSystem",
            trigger="; ".join(words),
            enabled=start != 4,
        )


def _value_items(value: Value, source: bytes) -> Iterator[Item]:
    command = _text(value.data)
    if not command:
        return
    key, name = value.key, value.name.lower()
    where = f"{key}\\{value.name}"
    hive, _, below = key.partition("\\")
    user = "" if hive.upper() in ("HKEY_LOCAL_MACHINE", "HKLM") else below.partition("\\")[0]
    if hive.upper() in ("HKEY_CURRENT_USER", "HKCU"):
        user = hive
    if _RUN.fullmatch(key):
        yield _item(
            "windows_run_key",
            where,
            source,
            command,
            user=user,
            trigger=f"login ({key.rpartition(chr(92))[2]})",
        )
        return
    debugged = _DEBUGGER.fullmatch(key)
    if debugged is not None and name in ("debugger", "verifierdlls"):
        yield _item("windows_run_key", where, source, command, user=user, trigger=f"start of {debugged[1]}")
        return
    lower = key.lower()
    for ending, names in _NAMED:
        if lower.endswith(ending) and name in names:
            yield _item("windows_run_key", where, source, command, user=user, trigger="system start or login")


def _text(data: str | int | list[str] | bytes) -> str:
    if isinstance(data, str):
        text = data
    elif isinstance(data, list):
        text = " ".join(data)
    elif isinstance(data, bytes):
        text = data.hex()
    else:
        text = str(data)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _item(
    kind: str, name: str, source: bytes, command: str, *, user: str, trigger: str, enabled: bool = True
) -> Item:
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    content = "\n".join((name, command, user, trigger)).encode("utf-8")
    short = name if len(name) <= 300 else f"{name[:280]}…{digest(name.encode())[:12]}"
    return Item(
        kind=kind,
        id=f"{source.decode('utf-8', 'backslashreplace')}:{short}",
        path=source,
        content_hash=digest(content),
        command=clipped(command),
        user=clipped(user.encode("utf-8", "backslashreplace").decode("utf-8"), 128),
        trigger=clipped(trigger.encode("utf-8", "backslashreplace").decode("utf-8"), 512),
        enabled=enabled,
    )


def parse_registry(file: File) -> tuple[Item, ...]:
    """The items of an exported registry; a file without its header, and each line that is none, is rejected."""
    text = decoded(file.data)
    if text is None:
        file.reject()
        return ()
    found: list[Value] = []
    for value in values(text):
        if value is None:
            file.reject()
        else:
            found.append(value)
    by_id = {(item.kind, item.id): item for item in registry_items(found, file.path)}
    return tuple(by_id.values())


class WindowsTasks(FileKind):
    name = "windows_tasks"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return [Place(path, b"*", recursive=True) for path in _TASKS]

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        return reader.parsed(path, parse_task, place) or ()


class WindowsRegistry(Kind):
    """Services and run keys of the running system; nothing on other systems."""

    name = "windows_registry"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return ()

    def read(self, host: Host, reader: Reader) -> Iterator[Item]:
        del reader
        if not (_IS_WINDOWS and host.is_own):
            return
        from otel_fim.receivers.persistence.kinds.platforms.winregistry import live_values

        yield from registry_items(live_values(), b"registry")


KINDS: Final[tuple[type[Kind], ...]] = (WindowsTasks, WindowsRegistry)
