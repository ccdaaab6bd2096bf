"""The logins that are remembered: by session, by the process that let the user in, and never too many."""

from __future__ import annotations

import threading

from otel_fim.host.sessions import LoginSession, LoginSessions


def test_the_newest_telling_counts() -> None:
    logins = LoginSessions()
    assert logins.get(3) is None
    logins.learn(LoginSession(3, user_name="alice"))
    logins.learn(LoginSession(3, user_name="alice", source_address="203.0.113.7"))
    found = logins.get(3)
    assert found is not None
    assert found.source_address == "203.0.113.7"
    assert [each.session_id for each in logins.all()] == [3]


def test_the_oldest_makes_room_and_one_told_again_is_new() -> None:
    logins = LoginSessions(limit=2)
    for number in (1, 2, 1, 3):
        logins.learn(LoginSession(number, leader_entity_id=f"leader {number}"))
    assert [each.session_id for each in logins.all()] == [1, 3]
    assert logins.get(2) is None
    assert logins.led_by("leader 2") is None
    assert logins.led_by("leader 3") == logins.get(3)


def test_a_login_without_a_session_is_found_by_its_leader() -> None:
    logins = LoginSessions()
    logins.learn(LoginSession(None, user_name="alice", leader_entity_id="aa"))
    found = logins.led_by("aa")
    assert found is not None
    assert found.user_name == "alice"
    assert logins.led_by("bb") is None
    assert logins.all() == []


def test_two_tellings_of_one_login_have_one_leader() -> None:
    logins = LoginSessions()
    logins.learn(LoginSession(None, user_name="alice", source_port=51234, leader_entity_id="aa"))
    logins.learn(LoginSession(3, 1000, "alice", "203.0.113.7", leader_entity_id="aa"))
    found = logins.led_by("aa")
    assert found is not None
    assert found.session_id == 3


def test_a_process_that_let_in_two_users_leads_neither_for_good() -> None:
    logins = LoginSessions()
    logins.learn(LoginSession(None, user_name="alice", leader_entity_id="aa"))
    logins.learn(LoginSession(None, user_name="mallory", leader_entity_id="aa"))
    assert logins.led_by("aa") is None
    logins.learn(LoginSession(None, user_name="alice", leader_entity_id="aa"))
    assert logins.led_by("aa") is None


def test_what_is_forgotten_is_gone_by_both_ways() -> None:
    logins = LoginSessions()
    logins.learn(LoginSession(3, user_name="alice", leader_entity_id="aa"))
    logins.forget(3)
    logins.forget(4)
    assert logins.get(3) is None
    assert logins.led_by("aa") is None


def test_many_threads_at_once_keep_the_bound() -> None:
    logins = LoginSessions(limit=10)

    def learn(first: int) -> None:
        for number in range(first, first + 300):
            logins.learn(LoginSession(number, leader_entity_id=str(number)))
            logins.get(number)
            if number % 7 == 0:
                logins.forget(number)

    threads = [threading.Thread(target=learn, args=(first * 1000,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(logins.all()) <= 10
    for session in logins.all():
        assert session.session_id is not None
        assert logins.get(session.session_id) == session
