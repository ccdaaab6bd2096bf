"""Steps between two states: applied to the first they give the second, and no more is told than has happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.persistence.differ import Delta, Key, compare, key_of, keyed
from otel_fim.receivers.persistence.item import Item


def lines(*contents: str, path: bytes = b"/etc/crontab") -> dict[Key, Item]:
    return keyed(
        Item("cron", f"{path.decode()}:{number}", path, content, command=content, line=number)
        for number, content in enumerate(contents, 1)
    )


def apply(before: dict[Key, Item], deltas: list[Delta]) -> dict[Key, Item]:
    after = dict(before)
    for delta in deltas:
        if delta.before is not None:
            after.pop(key_of(delta.before))
    for delta in deltas:
        if delta.after is not None:
            assert key_of(delta.after) not in after
            after[key_of(delta.after)] = delta.after
    return after


def told(before: dict[Key, Item], after: dict[Key, Item]) -> list[tuple[str | None, str | None]]:
    return sorted(
        (
            (d.before and d.before.content_hash, d.after and d.after.content_hash)
            for d in compare(before, after)
            if d.told
        ),
        key=str,
    )


def test_a_line_put_in_above_is_one_item_added() -> None:
    assert told(lines("a", "b", "c"), lines("new", "a", "b", "c")) == [(None, "new")]


def test_a_line_taken_out_is_one_item_removed() -> None:
    assert told(lines("a", "b", "c"), lines("b", "c")) == [("a", None)]


def test_a_line_that_was_rewritten_is_changed_also_when_others_came_above() -> None:
    assert told(lines("a", "b", "c"), lines("new", "a", "B", "c")) == [("b", "B"), (None, "new")]


def test_lines_that_change_places_are_not_told() -> None:
    assert told(lines("a", "b", "c"), lines("c", "a", "b")) == []


def test_equal_lines_are_counted() -> None:
    assert told(lines("a", "a"), lines("a", "a", "a")) == [(None, "a")]


def test_what_cannot_be_looked_at_is_not_removed() -> None:
    before = {**lines("a"), **lines("b", path=b"/etc/cron.d/b")}
    assert [d.item.path for d in compare(before, {}, lambda path: path == b"/etc/crontab")] == [
        b"/etc/cron.d/b"
    ]


ITEMS = st.lists(
    st.builds(
        lambda path, line, content, user: Item(
            "cron", f"{path}:{line}" if line else path, path.encode(), content, user=user, line=line or None
        ),
        st.sampled_from(["/a", "/b"]),
        st.integers(0, 4),
        st.sampled_from("xyz"),
        st.sampled_from(["root", "www"]),
    ),
    max_size=12,
).map(keyed)


@given(ITEMS, ITEMS)
def test_the_steps_lead_from_one_to_the_other(before: dict[Key, Item], after: dict[Key, Item]) -> None:
    deltas = compare(before, after)
    assert apply(before, deltas) == after
    assert [d.item.path for d in deltas] == sorted(d.item.path for d in deltas)


@given(st.lists(st.sampled_from("abcd"), max_size=10), st.lists(st.sampled_from("abcd"), max_size=10))
def test_no_more_lines_are_told_than_are_new_or_gone(old: list[str], new: list[str]) -> None:
    steps = told(lines(*old), lines(*new))
    gone, come = list(old), []
    for content in new:
        if content in gone:
            gone.remove(content)
        else:
            come.append(content)
    assert sorted(str(a) for a, _ in steps if a is not None) == sorted(gone)
    assert sorted(str(b) for _, b in steps if b is not None) == sorted(come)


@given(st.lists(st.sampled_from(["x", "x#2", "y"]), max_size=8))
def test_two_items_are_never_one(ids: list[str]) -> None:
    assert len(keyed(Item("k", name, b"/p", "h") for name in ids)) == len(ids)
