"""passwd -l and -u, and member lists that are set at once: told apart by the account files."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_fim.receivers.auth.accounts import Accounts
from otel_fim.receivers.auth.event import AuthEvent, Entry
from otel_fim.receivers.auth.parse import Parser

PARSER = Parser(lambda user_id: None)


class Files:
    def __init__(self, directory: Path) -> None:
        self.shadow, self.group = directory / "shadow", directory / "group"
        self.passwords = {"alice": "$y$1", "bob": "$y$2", "carol": "!$y$3"}
        self.members = {"singers": "alice,bob", "sudo": ""}
        self.write()
        self.accounts = Accounts(str(self.shadow), str(self.group))

    def write(self) -> None:
        self.shadow.write_text(
            "".join(f"{name}:{word}:1:0:9:7:::\n" for name, word in self.passwords.items())
        )
        self.group.write_text("".join(f"{name}:x:5:{users}\n" for name, users in self.members.items()))

    def explain(self, message: str, program: str = "passwd", *, pid: int = 5, at: int = 1) -> list[AuthEvent]:
        (event,) = PARSER.parse(Entry("log", at, program, message, pid, identity=f"{pid}"))
        return self.accounts.explain(event)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def changed(name: str) -> str:
    return f"password for '{name}' changed by 'root'"


def test_a_lock_and_an_unlock_are_recognised(files: Files) -> None:
    files.passwords |= {"bob": "!$y$2", "carol": "$y$3"}
    files.write()
    # Both were made before the first line was read.
    assert [event.action for event in files.explain(changed("bob"), pid=1)] == ["locked"]
    assert [event.action for event in files.explain(changed("carol"), pid=2)] == ["unlocked"]
    assert [event.action for event in files.explain(changed("alice"), pid=3)] == ["password_changed"]


def test_another_source_gets_the_same_answer(files: Files) -> None:
    files.passwords["bob"] = "!$y$2"
    files.write()
    assert [event.action for event in files.explain(changed("bob"))] == ["locked"]
    assert [event.action for event in files.explain(changed("bob"))] == ["locked"]


def test_an_account_that_is_not_known_is_not_guessed_at(files: Files) -> None:
    files.passwords["dave"] = "!"
    files.write()
    assert [event.action for event in files.explain(changed("dave"))] == ["password_changed"]


def test_members_are_compared(files: Files) -> None:
    events = files.explain("members of group singers set by root to bob,carol", "gpasswd")
    assert [(event.action, event.target_user) for event in events] == [
        ("group_member_added", "carol"),
        ("group_member_removed", "alice"),
    ]
    assert len({event.identity for event in events}) == 2
    (event,) = files.explain("members of group singers set by root to bob,carol", "gpasswd", pid=6)
    assert event.action == "group_changed"


def test_members_that_were_told_of_are_known(files: Files) -> None:
    files.explain("add 'bob' to group 'sudo'", "usermod")
    (event,) = files.explain("members of group sudo set by root to ", "gpasswd", pid=6)
    assert (event.action, event.target_user) == ("group_member_removed", "bob")


def test_files_that_cannot_be_read_explain_nothing(tmp_path: Path) -> None:
    accounts = Accounts(str(tmp_path / "none"), str(tmp_path))
    (event,) = PARSER.parse(Entry("log", 1, "passwd", changed("bob"), 5))
    assert accounts.explain(event) == [event]
    (event,) = PARSER.parse(Entry("log", 1, "gpasswd", "members of group x set by root to a", 5))
    assert accounts.explain(event) == [event]
