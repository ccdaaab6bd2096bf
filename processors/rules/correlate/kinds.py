"""The windows of the types of correlation that do more than count."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

from otel_fim.processors.rules.correlate.numbers import ExactSum, SortedNumbers
from otel_fim.processors.rules.correlate.plan import Key, Plan
from otel_fim.processors.rules.correlate.texts import shared
from otel_fim.processors.rules.correlate.windows import Item, Window
from otel_fim.sigma.ir import CorrelationType

_NEVER: Final = -(2**63)


class Distinct(Window):
    """Counts different texts."""

    __slots__ = ("_counts", "_texts", "_texts_size")
    BASE = Window.BASE + 390
    EACH = Window.EACH + 9

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._texts: list[str] = []
        self._counts: dict[str, int] = {}
        self._texts_size = 0

    def push(self, item: Item) -> None:
        super().push(item)
        self._take(item.value)

    def _take(self, text: Any) -> None:
        text = shared(text)
        self._texts.append(text)
        known = self._counts.get(text)
        if known is None:
            self._counts[text] = 1
            self._texts_size += sys.getsizeof(text) + 60
        else:
            self._counts[text] = known + 1

    def measure(self, plan: Plan) -> tuple[float, bool]:
        count = len(self._counts)
        return count, plan.meets(count)

    def size(self) -> int:
        return super().size() + self._texts_size

    def own(self) -> Sequence[Any]:
        return self._texts[self.head :]

    def set_own(self, own: Sequence[Any]) -> None:
        for text in own:
            self._take(text)

    def _leave(self, start: int, end: int) -> None:
        counts = self._counts
        for text in self._texts[start:end]:
            left = counts[text] - 1
            if left:
                counts[text] = left
            else:
                del counts[text]
                self._texts_size -= sys.getsizeof(text) + 60

    def _drop(self, count: int) -> None:
        super()._drop(count)
        del self._texts[:count]


class _Numbers(Window):
    """Keeps the number of each event."""

    __slots__ = ("_numbers",)
    BASE = Window.BASE + 140
    EACH = Window.EACH + 8.6

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._numbers = array("d")

    def own(self) -> Sequence[Any]:
        return self._numbers[self.head :].tolist()

    def _drop(self, count: int) -> None:
        super()._drop(count)
        del self._numbers[:count]


class Total(_Numbers):
    """The sum."""

    __slots__ = ("_sum",)
    BASE = _Numbers.BASE + 110

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._sum = ExactSum()

    def push(self, item: Item) -> None:
        super().push(item)
        self._numbers.append(item.value)  # type: ignore[arg-type]
        self._sum.add(item.value)  # type: ignore[arg-type]

    def size(self) -> int:
        return super().size() + self._sum.size()

    def measure(self, plan: Plan) -> tuple[float, bool]:
        value = self._sum.over(1)
        return value, plan.meets(value)

    def set_own(self, own: Sequence[Any]) -> None:
        self._numbers = array("d", own)
        for number in self._numbers:
            self._sum.add(number)

    def _leave(self, start: int, end: int) -> None:
        for number in self._numbers[start:end]:
            self._sum.remove(number)


class Average(Total):
    """The sum divided by the number of events."""

    __slots__ = ()

    def measure(self, plan: Plan) -> tuple[float, bool]:
        value = self._sum.over(len(self))
        return value, plan.meets(value)


class Percentile(_Numbers):
    """A percentile; the median is one."""

    __slots__ = ("_sorted",)
    BASE = _Numbers.BASE + 380
    EACH = _Numbers.EACH + 12

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._sorted = SortedNumbers()

    def push(self, item: Item) -> None:
        super().push(item)
        self._numbers.append(item.value)  # type: ignore[arg-type]
        self._sorted.add(item.value)  # type: ignore[arg-type]

    def measure(self, plan: Plan) -> tuple[float, bool]:
        correlation = plan.correlation
        median = correlation.type is CorrelationType.VALUE_MEDIAN
        value = self._sorted.percentile(0.5 if median else correlation.percentile / 100)
        return value, plan.meets(value)

    def set_own(self, own: Sequence[Any]) -> None:
        self._numbers = array("d", own)
        for number in self._numbers:
            self._sorted.add(number)

    def _leave(self, start: int, end: int) -> None:
        for number in self._numbers[start:end]:
            self._sorted.remove(number)


class Temporal(Window):
    """When each rule was seen last."""

    __slots__ = ("_seen",)
    BASE = Window.BASE + 96

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._seen = array("q", (_NEVER,)) * plan.places
        self.fixed += 8 * plan.places

    def push(self, item: Item) -> None:
        super().push(item)
        for place in item.feed.places:
            self._seen[place] = item.time

    def measure(self, plan: Plan) -> tuple[float, bool]:
        low = self.times[-1] - plan.span
        seen = [time >= low for time in self._seen]
        count = sum(seen)
        if plan.expression is not None:
            return count, plan.expression(seen)
        if plan.correlation.condition is not None:
            return count, plan.meets(count)
        return count, count == plan.places

    def own(self) -> Sequence[Any]:
        return self._seen.tolist()

    def set_own(self, own: Sequence[Any]) -> None:
        if len(own) != len(self._seen):
            raise ValueError("another number of rules")
        self._seen = array("q", own)


class Ordered(Temporal):
    """And for each rule in order, when the row of events that leads up to it began at the latest."""

    __slots__ = ("_starts",)
    BASE = Temporal.BASE + 110

    def __init__(self, plan: Plan, key: Key) -> None:
        super().__init__(plan, key)
        self._starts = array("q", (_NEVER,)) * plan.places
        self.fixed += 8 * plan.places

    def measure(self, plan: Plan) -> tuple[float, bool]:
        now = self.times[-1]
        starts = self._starts
        # In the order written, so that events of one instant can follow each other.
        start = now
        for place, time in enumerate(self._seen):
            if time == now and start > starts[place]:
                starts[place] = start
            start = starts[place]
        value, holds = super().measure(plan)
        return value, holds and starts[-1] >= now - plan.span

    def own(self) -> Sequence[Any]:
        return [*self._seen, *self._starts]

    def set_own(self, own: Sequence[Any]) -> None:
        half = len(self._seen)
        super().set_own(own[:half])
        if len(own) != 2 * half:
            raise ValueError("another number of rules")
        self._starts = array("q", own[half:])


WINDOWS: Final[dict[CorrelationType, type[Window]]] = {
    CorrelationType.EVENT_COUNT: Window,
    CorrelationType.VALUE_COUNT: Distinct,
    CorrelationType.VALUE_SUM: Total,
    CorrelationType.VALUE_AVG: Average,
    CorrelationType.VALUE_PERCENTILE: Percentile,
    CorrelationType.VALUE_MEDIAN: Percentile,
    CorrelationType.TEMPORAL: Temporal,
    CorrelationType.TEMPORAL_ORDERED: Ordered,
}
