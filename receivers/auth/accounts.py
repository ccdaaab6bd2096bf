"""What the account files say: whether a password is locked, and who is in a group.

passwd writes the same line for -l, -u, -d and -e, and gpasswd gives only the new list of members: what has changed is
told by the state before and after. No password's hash is kept, only whether it is locked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, TypeAlias

from otel_fim.receivers.auth.event import AuthEvent, Kind, changed
from otel_fim.receivers.auth.parse.shadow import SHADOW_ENTRY

SHADOW: Final = "/etc/shadow"
GROUP: Final = "/etc/group"
_LARGEST: Final = 16 << 20
_MEMBERS: Final = "members: "
_ANSWERS: Final = 256
_SAME_NANO: Final = 60_000_000_000
_Answer: TypeAlias = tuple[str, "str | None", tuple[str, ...]]


class Accounts:
    """The last known state of the account files. Files that cannot be read have no state."""

    def __init__(self, shadow: str = SHADOW, group: str = GROUP) -> None:
        self._shadow = shadow
        self._group = group
        self._locked = self._read_locked()
        self._members = self._read_members()
        self._answers: OrderedDict[tuple[object, ...], tuple[int, list[_Answer]]] = OrderedDict()

    def explain(self, event: AuthEvent) -> list[AuthEvent]:
        """The event as what it was, when the files tell; several for several members of a group.

        To be called soon after it happened, once for each event.
        """
        if event.kind is not Kind.ACCOUNT or event.outcome != "success":
            return [event]
        key = (event.pid, event.action, event.part, event.target_user, event.group, event.changes)
        known = self._answers.get(key)
        if known is None or abs(known[0] - event.time_unix_nano) > _SAME_NANO:
            known = (
                event.time_unix_nano,
                [(each.action, each.target_user, each.changes) for each in self._look(event)],
            )
            self._answers[key] = known
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
        # Another source tells of the same thing when the files are what they are now.
        return [
            changed(
                event,
                action=action,
                target_user=target,
                changes=changes,
                identity=f"{event.identity}#{number}" if number and event.identity else event.identity,
            )
            for number, (action, target, changes) in enumerate(known[1])
        ]

    def _look(self, event: AuthEvent) -> list[AuthEvent]:
        if event.action == "password_changed" and event.part == SHADOW_ENTRY:
            return [self._password(event)]
        if event.action == "group_changed" and event.group is not None and event.changes[:1]:
            if event.changes[0].startswith(_MEMBERS):
                return self._membership(event, event.changes[0].removeprefix(_MEMBERS))
        elif event.action in ("locked", "unlocked") and event.target_user is not None:
            self._locked[event.target_user] = event.action == "locked"
        else:
            self._note(event)
        return [event]

    def _note(self, event: AuthEvent) -> None:
        """The state of what the event is about, and of nothing else: of the rest the change is yet to be told."""
        if event.target_user is not None and event.action.startswith("user_"):
            locked = self._read_locked().get(event.target_user)
            if locked is None:
                self._locked.pop(event.target_user, None)
            else:
                self._locked[event.target_user] = locked
        if event.group is not None and event.action.startswith("group_"):
            members = self._members.setdefault(event.group, set())
            if event.action == "group_deleted":
                del self._members[event.group]
            elif event.action == "group_member_added" and event.target_user is not None:
                members.add(event.target_user)
            elif event.action == "group_member_removed" and event.target_user is not None:
                members.discard(event.target_user)

    def _password(self, event: AuthEvent) -> AuthEvent:
        name = event.target_user or ""
        was, is_now = self._locked.get(name), self._read_locked().get(name)
        if is_now is not None:
            self._locked[name] = is_now
        if was is None or is_now is None or was == is_now:
            return event
        return changed(event, action="locked" if is_now else "unlocked")

    def _membership(self, event: AuthEvent, text: str) -> list[AuthEvent]:
        group = event.group or ""
        before = self._members.get(group)
        now = {name for name in text.strip().split(",") if name}
        self._members[group] = now
        if before is None or before == now:
            return [event]
        added = [("group_member_added", name) for name in sorted(now - before)]
        removed = [("group_member_removed", name) for name in sorted(before - now)]
        return [
            changed(event, action=action, target_user=name, changes=()) for action, name in added + removed
        ]

    def _read_locked(self) -> dict[str, bool]:
        return {row[0]: row[1].startswith("!") for row in _rows(self._shadow) if len(row) > 1}

    def _read_members(self) -> dict[str, set[str]]:
        return {
            row[0]: {name for name in row[3].split(",") if name} for row in _rows(self._group) if len(row) > 3
        }


def _rows(path: str) -> Iterator[list[str]]:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST)
    except OSError:
        return
    for line in content.decode("utf-8", "backslashreplace").splitlines():
        yield line.split(":")
