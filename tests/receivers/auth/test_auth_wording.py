"""What is said at the start, for people."""

from __future__ import annotations

from otel_fim.receivers.auth import wording

DEBIAN: dict[str, str | None] = {
    "journald": "there is no journal in /var/log/journal or /run/log/journal",
    "/var/log/auth.log": None,
    "/var/log/secure": "/var/log/secure does not exist",
    "wtmp": None,
    "audit": "this kernel has no audit (CONFIG_AUDIT)",
}
BARE: dict[str, str | None] = {
    "journald": "journalctl is not installed",
    "/var/log/auth.log": "/var/log/auth.log does not exist",
    "/var/log/secure": "/var/log/secure does not exist",
    "wtmp": "/var/log/wtmp does not exist",
    "btmp": "/var/log/btmp cannot be read without root",
}


def test_a_log_file_of_other_systems_is_not_missed() -> None:
    assert wording.absent(DEBIAN) == [
        "journald (there is no journal in /var/log/journal or /run/log/journal)",
        "audit (this kernel has no audit (CONFIG_AUDIT))",
    ]
    assert wording.limits(["/var/log/auth.log", "wtmp"], DEBIAN, is_root=True) is None


def test_a_path_is_told_once() -> None:
    assert wording.absent(BARE)[1:4] == [
        "/var/log/auth.log (does not exist)",
        "/var/log/secure (does not exist)",
        "wtmp (/var/log/wtmp does not exist)",
    ]


def test_a_log_that_is_there_and_cannot_be_read_is_told() -> None:
    denied = {"/var/log/auth.log": None, "/var/log/secure": "/var/log/secure cannot be read without root"}
    assert wording.absent(denied) == ["/var/log/secure (cannot be read without root)"]


def test_what_cannot_be_seen_is_one_sentence() -> None:
    assert wording.limits([], BARE, is_root=False) == (
        "no login can be seen: none of the sources is here; run as root to read btmp"
    )
    assert wording.limits(["wtmp", "utmp"], {"wtmp": None, "utmp": None}, is_root=True) == (
        "only logins can be seen (wtmp and utmp), not how, nor sudo and account changes: no journal, no log file and "
        "no audit is read"
    )
    some = {
        "journald": None,
        "btmp": "/b cannot be read without root",
        "audit": "a cannot be read without root",
    }
    assert wording.limits(["journald"], some, is_root=False) == (
        "not all that tells of logins can be read; run as root to read btmp and audit"
    )
    assert wording.limits(["journald"], some, is_root=True) is None
