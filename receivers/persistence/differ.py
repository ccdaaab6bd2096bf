"""What has changed between the items that are known and those that are there.

Most items are known by their id. Items that have only a line number (`Item.line`) are matched within their file: equal
content first, in order; then what is left between the same two matched neighbours is the same item, changed. So a line
put in at the top is one item added, and not every line changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from otel_fim.receivers.persistence.item import Item, differences

Key = tuple[str, str]
"""An item's kind and id."""


def key_of(item: Item) -> Key:
    return (item.kind, item.id)


@dataclass(slots=True)
class Delta:
    """One item's step. `before` None: added; `after` None: removed; else `fields` are those that differ.

    A step without any of this is not told: the item stands on another line, or something else in its file changed.
    `quiet` keeps one from being told that would be; `may_repeat` marks one that may have been told before a crash;
    `given` one that was there before it was looked at for the first time.
    """

    before: Item | None
    after: Item | None
    fields: tuple[str, ...] = ()
    quiet: bool = False
    may_repeat: bool = False
    given: bool = False

    @property
    def told(self) -> bool:
        return not self.quiet and (self.before is None or self.after is None or bool(self.fields))

    @property
    def item(self) -> Item:
        """The item as it is now, or as it was when it is gone."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


def keyed(items: Iterable[Item]) -> dict[Key, Item]:
    """The items by key. One whose key is taken gets a number: two items must never be one."""
    found: dict[Key, Item] = {}
    for item in items:
        key = (item.kind, item.id)
        if key in found:
            number = 2
            while (item.kind, f"{item.id}#{number}") in found:
                number += 1
            item = replace(item, id=f"{item.id}#{number}")
            key = (item.kind, item.id)
        found[key] = item
    return found


def compare(
    before: Mapping[Key, Item], after: Mapping[Key, Item], hidden: Callable[[bytes], bool] = lambda _: False
) -> list[Delta]:
    """The steps from `before` to `after`, ordered by path. `hidden` says of a path whether it could not be looked
    at: what was known there is not removed."""
    found: list[Delta] = []
    by_line: set[tuple[str, bytes]] = set()
    matched: set[Key] = set()
    for key, item in after.items():
        known = before.get(key)
        if known is item or known == item:
            continue
        if item.line is not None and (known is None or known.line is not None):
            by_line.add((item.kind, item.path))
            if known is not None:
                by_line.add((known.kind, known.path))
        else:
            matched.add(key)
            found.append(_step(known, item))
    for key, item in before.items():
        if key in after or hidden(item.path):
            continue
        if item.line is not None:
            by_line.add((item.kind, item.path))
        else:
            found.append(Delta(item, None))
    if by_line:
        found += _by_line(by_line, matched, before, after)
    found.sort(key=lambda delta: delta.item.path)
    return found


def _step(before: Item | None, after: Item) -> Delta:
    return Delta(before, after, () if before is None else differences(before, after))


def _by_line(
    files: set[tuple[str, bytes]], matched: set[Key], before: Mapping[Key, Item], after: Mapping[Key, Item]
) -> list[Delta]:
    old: dict[tuple[str, bytes], list[Item]] = {file: [] for file in files}
    new: dict[tuple[str, bytes], list[Item]] = {file: [] for file in files}
    for items, side in ((before, old), (after, new)):
        for key, item in items.items():
            group = side.get((item.kind, item.path))
            if group is not None and item.line is not None and key not in matched:
                group.append(item)
    found: list[Delta] = []
    for file in files:
        found += align(sorted(old[file], key=_line), sorted(new[file], key=_line))
    return found


def _line(item: Item) -> int:
    return item.line or 0


def align(old: Sequence[Item], new: Sequence[Item]) -> list[Delta]:
    """The steps between two versions of the items of one file, in the order of their lines. Linear in their number."""
    partners = _equal_content(old, new)
    taken = {number for number in partners if number is not None}
    found = [
        _step(old[partner], item)
        for partner, item in zip(partners, new, strict=True)
        if partner is not None and old[partner] != item
    ]
    # What is left is told apart by the matched item that stands before it.
    left: dict[int, tuple[list[Item], list[Item]]] = {}
    anchor = -1
    for number, item in enumerate(old):
        if number in taken:
            anchor = number
        else:
            left.setdefault(anchor, ([], []))[0].append(item)
    anchor = -1
    for partner, item in zip(partners, new, strict=True):
        if partner is not None:
            anchor = partner
        else:
            left.setdefault(anchor, ([], []))[1].append(item)
    for gone, come in left.values():
        for one, other in zip_longest(gone, come):
            found.append(Delta(one, None) if other is None else _step(one, other))
    return found


def _equal_content(old: Sequence[Item], new: Sequence[Item]) -> list[int | None]:
    """For each new item the index of the old one with the same content, each old one once."""
    by_content: dict[str, list[int]] = {}
    for number in reversed(range(len(old))):
        by_content.setdefault(old[number].content_hash, []).append(number)
    partners: list[int | None] = []
    for item in new:
        candidates = by_content.get(item.content_hash)
        partners.append(candidates.pop() if candidates else None)
    return partners
