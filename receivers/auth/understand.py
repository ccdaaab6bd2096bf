"""From an entry to what the merger takes: parsed, explained, with the session behind it."""

from __future__ import annotations

from collections.abc import Iterator

from otel_fim.host.identities import Identities
from otel_fim.receivers.auth.accounts import Accounts
from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import Parser
from otel_fim.receivers.auth.sessions import Sessions


class Understanding:
    """Everything between source and merger. Not safe to use from several threads."""

    def __init__(self, identities: Identities, sessions: Sessions, accounts: Accounts) -> None:
        self._identities = identities
        self._sessions = sessions
        self._accounts = accounts
        self._parser = Parser(identities.user)

    def events(self, entry: Entry) -> Iterator[AuthEvent]:
        """The events of one entry, in the form in which sources can be compared. Raises `RejectedError`."""
        for event in self._parser.parse(entry):
            if self._is_terminal_of_sudo(event):
                continue
            for explained in self._accounts.explain(event):
                named = self._named(explained)
                yield self._sessions.resolve(self._sessions.seen(self._behind(named)))

    def _is_terminal_of_sudo(self, event: AuthEvent) -> bool:
        """Whether a row of utmp is no login: with `use_pty` sudo gives each command a terminal, and copies the user's
        row for it (sudoers(5), set_utmp)."""
        if event.sources[0] != "utmp" or event.kind is not Kind.LOGIN or event.pid is None:
            return False
        return self._sessions.program_of(event.pid, event.time_unix_nano) in ("sudo", "sudo-rs")

    def _named(self, event: AuthEvent) -> AuthEvent:
        """Names for ids: one source tells the one, another the other."""
        names: dict[str, str | None] = {}
        acts = event.outcome == "success" or event.kind is Kind.PRIVILEGE
        if event.user is None and event.user_id is not None and acts:
            names["user"] = self._identities.user(event.user_id)
        if event.target_user is None and event.target_user_id is not None:
            names["target_user"] = self._identities.user(event.target_user_id)
        if event.group is None and event.group_id is not None and event.action.startswith("group"):
            names["group"] = self._identities.group(event.group_id)
        return changed(event, **names) if names else event

    def _behind(self, event: AuthEvent) -> AuthEvent:
        """The login from which someone used another user's rights or changed an account."""
        if event.kind not in (Kind.PRIVILEGE, Kind.ACCOUNT) or event.session_id is not None:
            return event
        user_id, session_id = None, None
        if event.pid is not None:
            user_id, session_id = self._sessions.login_of(event.pid, event.time_unix_nano)
        if session_id is None and event.kind is Kind.PRIVILEGE:
            # sudo's own line has no pid in a text log; its terminal is the login's.
            login = self._sessions.at_terminal(event.terminal, event.user)
            if login is not None:
                user_id, session_id = login.user_id, login.session_id
        if session_id is None:
            return event
        actor = {}
        if event.kind is Kind.ACCOUNT and event.user is None:
            actor = {"user": self._identities.user(user_id), "user_id": user_id}
        return changed(event, session_id=session_id, login_user_id=user_id, **actor)
