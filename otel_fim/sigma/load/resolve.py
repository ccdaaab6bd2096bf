"""Correlations with what they refer to: ids for names, fields for keys, each after what it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from otel_fim.sigma import ir
from otel_fim.sigma.load.correlations import ReadCorrelation
from otel_fim.sigma.load.names import Names
from otel_fim.sigma.load.rules import ReadRule
from otel_fim.sigma.mapping.fields import field_of
from otel_fim.sigma.mapping.pipeline import row_of
from otel_fim.sigma.parse.booleans import parse
from otel_fim.sigma.parse.detections import MalformedError


@dataclass(slots=True)
class _Resolved:
    """A correlation that runs. `keys` gives the name of each of its keys, as written and as findings call it."""

    correlation: ir.Correlation
    keys: dict[str, str]


@dataclass(slots=True)
class Resolver:
    """`rules` are all rules that were read, by id."""

    names: Names
    rules: Mapping[str, ReadRule]
    done: dict[str, _Resolved] = field(default_factory=dict)
    failed: dict[str, tuple[ReadCorrelation, Exception]] = field(default_factory=dict)

    def resolve(self, read: Iterable[ReadCorrelation]) -> list[ir.Correlation]:
        """The correlations that run, each after what it refers to; the others are in `failed`."""
        waiting = {each.meta.id: each for each in read}
        references: dict[str, tuple[str, ...]] = {}
        for each in list(waiting.values()):
            try:
                references[each.meta.id] = tuple(
                    self.names.id_of(name, each.document) for name in dict.fromkeys(each.rules)
                )
            except ValueError as error:
                self._fail(waiting, each, error)
        moved = True
        while moved:
            moved = False
            for each in list(waiting.values()):
                if all(self._settled(reference) for reference in references[each.meta.id]):
                    moved = True
                    self._settle(waiting, each, references[each.meta.id])
        circles = [(each, self._cycle(each, waiting, references)) for each in waiting.values()]
        for each, circle in circles:
            self._fail(waiting, each, MalformedError(circle))
        return [each.correlation for each in self.done.values()]

    def _settled(self, reference: str) -> bool:
        return reference in self.rules or reference in self.done or reference in self.failed

    def _settle(
        self, waiting: dict[str, ReadCorrelation], read: ReadCorrelation, references: tuple[str, ...]
    ) -> None:
        try:
            for reference in references:
                if reference in self.failed:
                    other = self.failed[reference][0].meta.title
                    raise MalformedError(f"it refers to {other!r}, which is rejected: see why there")
            self.done[read.meta.id] = self._lowered(read)
            del waiting[read.meta.id]
        except ValueError as error:
            self._fail(waiting, read, error)

    def _fail(self, waiting: dict[str, ReadCorrelation], read: ReadCorrelation, error: Exception) -> None:
        self.failed[read.meta.id] = (read, error)
        waiting.pop(read.meta.id, None)

    def _cycle(
        self,
        read: ReadCorrelation,
        waiting: Mapping[str, ReadCorrelation],
        references: Mapping[str, tuple[str, ...]],
    ) -> str:
        path = [read.meta.id]
        while True:
            # What waits refers to something that waits, or it would have been settled.
            following = next(each for each in references[path[-1]] if each in waiting)
            if following in path:
                titles = [
                    repr(waiting[each].meta.title) for each in (*path[path.index(following) :], following)
                ]
                return f"correlations refer to each other in a circle: {' → '.join(titles)}; take one out of its rules"
            path.append(following)

    def _lowered(self, read: ReadCorrelation) -> _Resolved:
        def id_of(name: str) -> str:
            return self.names.id_of(name, read.document)

        ids = tuple(id_of(name) for name in read.rules)
        if read.type is not ir.CorrelationType.TEMPORAL_ORDERED:
            ids = tuple(dict.fromkeys(ids))  # by name and by id
        aliases = {
            alias: {id_of(name): value for name, value in fields.items()}
            for alias, fields in read.aliases.items()
        }
        keys: dict[str, str] = {}
        group_by: list[ir.GroupKey] = []
        for written in read.group_by:
            name, fields = self._key(written, ids, aliases, "group-by")
            keys[written] = name
            group_by.append(ir.GroupKey(name, fields))
        if len({each.name for each in group_by}) < len(group_by):
            raise MalformedError("group-by has two names of one attribute: leave one out")
        value_name, value = self._key(read.value, ids, aliases, "the field") if read.value else ("", ())
        correlation = ir.Correlation(
            meta=read.meta,
            type=read.type,
            rules=ids,
            timespan_nano=read.timespan_nano,
            group_by=tuple(group_by),
            condition=read.condition,
            value=value,
            value_name=value_name,
            percentile=read.percentile,
            expression=parse(read.expression, id_of) if read.expression else None,
            generate=read.generate,
        )
        return _Resolved(correlation, keys)

    def _key(
        self, written: str, ids: tuple[str, ...], aliases: Mapping[str, Mapping[str, str]], what: str
    ) -> tuple[str, tuple[tuple[str, ir.Field], ...]]:
        """What findings call a key, and where each referred rule has it."""
        alias = aliases.get(written)
        handed: dict[str, None] = {}
        fields: dict[str, ir.Field] = {}
        for id_ in dict.fromkeys(ids):
            inner = self.done.get(id_)
            if inner is not None:
                handed[
                    self._handed_on(written if alias is None else alias.get(id_, written), inner, what)
                ] = None
                continue
            name = written
            if alias is not None:
                found = alias.get(id_)
                if found is None:
                    raise MalformedError(
                        f"the alias {written!r} names no field of {self.rules[id_].rule.meta.title!r}"
                    )
                name = found
            fields[id_] = self._attribute(name, id_)
        if len(handed) > 1:
            raise MalformedError(
                f"{what} {written!r} is called {' and '.join(handed)} in what it refers to: use one alias"
            )
        if handed:
            name = next(iter(handed))
        elif alias is not None:
            name = written
        else:
            name = next((each.name or each.source.value for each in fields.values()), written)
        return name, tuple(fields.items())

    def _attribute(self, written: str, id_: str) -> ir.Field:
        row = row_of(self.rules[id_].logsource)
        name = row.fields.get(written) or row.hashes.get(written.lower()) or written
        return field_of(name)

    def _handed_on(self, written: str, inner: _Resolved, what: str) -> str:
        found = inner.keys.get(written)
        if found is None and written in inner.keys.values():
            found = written
        if found is None:
            title = inner.correlation.meta.title
            raise MalformedError(
                f"{what} has {written!r}, and the findings of {title!r} have it only if that groups by it too"
            )
        return found


def with_emits(
    rules: Iterable[ir.Rule], correlations: Iterable[ir.Correlation], references: Mapping[str, bool]
) -> tuple[tuple[ir.Rule, ...], tuple[ir.Correlation, ...]]:
    """`references` has each id that a correlation refers to, and whether one of them says `generate`."""
    return (
        tuple(replace(each, emits=references.get(each.meta.id, True)) for each in rules),
        tuple(replace(each, emits=references.get(each.meta.id, True)) for each in correlations),
    )
