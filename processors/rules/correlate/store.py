"""The groups of one correlation, those that were active least recently first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from otel_fim.processors.rules.correlate.kinds import WINDOWS
from otel_fim.processors.rules.correlate.plan import Key, Plan
from otel_fim.processors.rules.correlate.windows import Item, Window
from otel_fim.processors.rules.hits import Correlated


class Totals:
    """What the stores of a correlator hold together: groups, and the bytes that they weigh."""

    __slots__ = ("bytes", "groups")

    def __init__(self) -> None:
        self.groups = 0
        self.bytes = 0


class Store:
    """Windows by group. `bytes` is what they weigh; `cut` counts the groups that lost events for want of room."""

    def __init__(self, plan: Plan, totals: Totals, max_events: int) -> None:
        self.plan = plan
        self.windows: OrderedDict[Key, Window] = OrderedDict()
        self.bytes = 0
        self.cut = 0
        self.totals = totals
        self._kind = WINDOWS[plan.correlation.type]
        self._max_events = max(1, max_events)

    def look(self, key: Key, time: int, items: Sequence[Item], most: int) -> Correlated | None:
        """Takes all events of a group at one instant, which is not before any that was taken, and looks at the
        condition. A finding has `most` records of evidence."""
        plan = self.plan
        low = time - plan.span
        windows = self.windows
        window = windows.get(key)
        if window is None:
            window = self.new(key)
        else:
            windows.move_to_end(key)
            window.expire(low)
        times = window.times
        if not times or times[-1] != time:
            window.before = window.held
        for item in items:
            window.push(item)
        if len(window) > self._max_events:
            window.forget(len(window.times) - self._max_events)
            if not window.cut:
                window.cut = True
                self.cut += 1
        if plan.chained or len(window.trail) > 4 * most:
            window.trim(most)
        value, holds = window.measure(plan)
        # Where an instant comes in two batches, what held before it counts, and that it was found already.
        news = holds and not window.held and not window.before
        window.held = holds
        self.weigh(window)
        if not news:
            return None
        return Correlated(
            plan.correlation,
            time,
            key,
            float(value),
            window.evidence(most),
            window.record_count(),
            items[-1].record,
        )

    def weigh(self, window: Window) -> None:
        """Brings `bytes` up to date after a change of the window."""
        size = window.size()
        change = size - window.cost
        self.bytes += change
        self.totals.bytes += change
        window.cost = size

    def new(self, key: Key) -> Window:
        """An empty window for a group that has none, to be filled and then given to `weigh`."""
        self.totals.groups += 1
        window = self.windows[key] = self._kind(self.plan, key)
        return window

    def sweep(self, before: int) -> None:
        """Lets go of the groups whose last event is over at `before`, which no event will precede."""
        low = before - self.plan.span
        windows = self.windows
        while windows:
            window = next(iter(windows.values()))
            if window.times[-1] >= low:
                return
            self._drop(windows.popitem(last=False)[1])

    def evict(self) -> None:
        """Gives up the group that was active least recently."""
        self._drop(self.windows.popitem(last=False)[1])

    def give_up_after(self, time: int) -> int:
        """Gives up the groups that have events after this time; how many that were."""
        lost = [key for key, window in self.windows.items() if window.times[-1] > time]
        for key in lost:
            self._drop(self.windows.pop(key))
        return len(lost)

    def trim(self, most: int) -> None:
        """Keeps this many records of evidence for each group."""
        for window in self.windows.values():
            window.trim(most)
            self.weigh(window)

    def _drop(self, window: Window) -> None:
        self.bytes -= window.cost
        self.totals.bytes -= window.cost
        self.totals.groups -= 1
