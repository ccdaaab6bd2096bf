"""The state of correlations as bytes and back.

A line `otel-fim correlations VERSION`, then lines of JSON in zstd with a checksum: the first has all that is no group,
with the fingerprints of the correlations; each of the others some hundred groups of one correlation, so that neither
side has all of it in memory twice.
"""

from __future__ import annotations

import gc
import io
import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson

from otel_fim.processors.rules.correlate.plan import Feed, Plan
from otel_fim.processors.rules.correlate.store import Store
from otel_fim.processors.rules.correlate.texts import shared
from otel_fim.processors.rules.correlate.waiting import size_of
from otel_fim.processors.rules.correlate.windows import Item, Window
from otel_fim.processors.rules.hits import Correlated, Seen

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION: Final = 1
_MARK: Final = b"otel-fim correlations "
_LEVEL: Final = 1
_ROWS: Final = 500


class StateError(Exception):
    """The bytes are no state of correlations; the message says why."""


@dataclass(slots=True)
class State:
    """What a `Correlator` remembers; the names are those of its own parts."""

    now: int
    newest: int
    horizon: int
    since: int
    uids: dict[str, int]
    waiting: list[Item]
    ready: list[Correlated]
    stores: list[Store]


def dump(state: State) -> bytes:
    """The state as bytes."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    compressor = zstd.ZstdCompressor(options=options)
    pieces = [_MARK + b"%d\n" % VERSION]
    with _collector_resting():
        pieces.append(compressor.compress(orjson.dumps(_head(state), option=orjson.OPT_APPEND_NEWLINE)))
        for store in state.stores:
            windows = iter(store.windows.items())
            while rows := [_group(key, window) for key, window in islice(windows, _ROWS)]:
                line = orjson.dumps([store.plan.correlation.meta.id, rows], option=orjson.OPT_APPEND_NEWLINE)
                pieces.append(compressor.compress(line))
    pieces.append(compressor.flush())
    return b"".join(pieces)


def load(data: bytes, stores: list[Store], feeds: Mapping[str, Sequence[Feed]]) -> tuple[State, list[str]]:
    """What `dump` wrote, as far as it fits the empty `stores`, which are filled, and the ids of the correlations that
    are there no longer or not the same. Raises `StateError`; the stores are then of no use."""
    head, _, body = data.partition(b"\n")
    version = head.removeprefix(_MARK)
    if not head.startswith(_MARK) or not version.isdigit():
        raise StateError("this is no state of correlations")
    if version != b"%d" % VERSION:
        raise StateError(
            f"this is version {version.decode()} of the state of correlations, and {VERSION} is expected"
        )
    try:
        with _collector_resting(), zstd.open(io.BytesIO(body), "rb") as lines:
            return _loaded(lines, stores, feeds)
    except (zstd.ZstdError, EOFError) as error:
        raise StateError(f"the state of correlations is damaged: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, StopIteration) as error:
        raise StateError(f"the state of correlations is not as it is written: {error!r}") from error


def _head(state: State) -> dict[str, Any]:
    return {
        "now": state.now,
        "newest": state.newest,
        "horizon": state.horizon,
        "since": state.since,
        "uids": list(state.uids),
        "observed": list(state.uids.values()),
        "waiting": [
            (
                item.feed.plan.correlation.meta.id,
                item.feed.rule_id,
                item.time,
                item.mark,
                item.key,
                item.value,
                item.name,
            )
            for item in state.waiting
        ],
        "ready": [_finding(each) for each in state.ready],
        "correlations": {store.plan.correlation.meta.id: store.plan.fingerprint for store in state.stores},
    }


def _loaded(
    lines: Iterable[bytes], stores: list[Store], feeds: Mapping[str, Sequence[Feed]]
) -> tuple[State, list[str]]:
    rest = iter(lines)
    head = orjson.loads(next(rest))
    kept = head["correlations"]
    same = {
        store.plan.correlation.meta.id: store
        for store in stores
        if kept.get(store.plan.correlation.meta.id) == store.plan.fingerprint
    }
    for line in rest:
        rule_id, rows = orjson.loads(line)
        if rule_id in same:
            for row in rows:
                _fill(same[rule_id], row)
    by_rule = {(feed.plan.correlation.meta.id, rule_id): feed for rule_id in feeds for feed in feeds[rule_id]}
    waiting = [
        _item(by_rule[rule_id, referred], number, time, mark, key, value, name)
        for number, (rule_id, referred, time, mark, key, value, name) in enumerate(head["waiting"])
        if rule_id in same
    ]
    ready = [_found(same[row[0]].plan, row) for row in head["ready"] if row[0] in same]
    uids = dict(zip(map(_text, head["uids"]), map(_number, head["observed"]), strict=True))
    state = State(
        _number(head["now"]),
        _number(head["newest"]),
        _number(head["horizon"]),
        _number(head["since"]),
        uids,
        waiting,
        ready,
        stores,
    )
    return state, [rule_id for rule_id in kept if rule_id not in same]


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Many small objects are made that have no cycles; looking for some takes longer than making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# --- Parts -------------------------------------------------------------------------------------------------


def _item(feed: Feed, number: int, time: Any, mark: Any, key: Any, value: Any, name: str) -> Item:
    texts = _key(key)
    size = size_of(texts, None)
    return Item(_number(time), _text(mark), number, feed, texts, value, shared(_text(name)), None, 1, size)


def _group(key: tuple[str, ...], window: Window) -> tuple[Any, ...]:
    left = len(window)
    trail = window.trail[-2 * left :]
    weights = None
    if window.weights is not None:
        trail = [[_seen(each) for each in mark] if isinstance(mark, tuple) else mark for mark in trail]
        weights = window.weights[window.head :].tolist()
    times = window.times[window.head :].tolist() if window.head else window.times.tolist()
    return key, window.held + 2 * window.before, window.cut, times, trail, weights, window.own()


def _fill(store: Store, row: Sequence[Any]) -> None:
    key, held, cut, times, trail, weights, own = row
    if not times or sorted(times) != times or len(trail) > 2 * len(times) or len(trail) % 2:
        raise ValueError("the times of a group are not right")
    window = store.new(_key(key))
    window.times = array("q", times)
    window.held, window.before, window.cut = bool(_number(held) & 1), bool(held & 2), bool(cut)
    window.trail = trail
    if window.weights is not None:
        window.weights = array("q", weights)
        window.trail = [tuple(map(_seen_again, mark)) if isinstance(mark, list) else mark for mark in trail]
    window.trail[1::2] = map(shared, map(_text, trail[1::2]))
    window.set_own(own)
    store.weigh(window)


def _finding(found: Correlated) -> tuple[Any, ...]:
    evidence = [_seen(each) for each in found.evidence]
    # As text, because JSON has no infinity.
    return (
        found.correlation.meta.id,
        found.time_unix_nano,
        found.group,
        repr(found.value),
        evidence,
        found.count,
    )


def _found(plan: Plan, row: Sequence[Any]) -> Correlated:
    _, time, group, value, evidence, count = row
    seen = tuple(map(_seen_again, evidence))
    return Correlated(plan.correlation, _number(time), _key(group), float(value), seen, _number(count))


def _seen(seen: Seen) -> tuple[str, int, str]:
    return seen.uid, seen.time_unix_nano, seen.event_name


def _seen_again(row: Sequence[Any]) -> Seen:
    uid, time, name = row
    return Seen(_text(uid), _number(time), shared(_text(name)))


def _key(texts: Sequence[Any]) -> tuple[str, ...]:
    return tuple([_text(text) for text in texts])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {type(value).__name__}")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an integer is expected, not {type(value).__name__}")
    return value
