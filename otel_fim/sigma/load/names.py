"""Which rule a correlation or a filter means: by id, or by name, the nearest one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from otel_fim.sigma.ir import Meta
from otel_fim.sigma.load.documents import Document


class UnknownRuleError(ValueError):
    """Nothing has this id or name, or several have this name."""


@dataclass(slots=True)
class Names:
    """All rules and correlations that were read, and what was rejected, which explains why a name is not there."""

    _by_id: dict[str, Meta] = field(default_factory=dict)
    _by_name: dict[str, list[Meta]] = field(default_factory=dict)
    _rejected: dict[str, str] = field(default_factory=dict)

    def add(self, meta: Meta) -> None:
        """One that is there."""
        self._by_id[meta.id] = meta
        if meta.name:
            self._by_name.setdefault(meta.name, []).append(meta)

    def known(self, id_: str) -> Meta | None:
        """What has this id."""
        return self._by_id.get(id_)

    def reject(self, names: Iterable[object], title: str) -> None:
        """One that is not, with its id and name."""
        for each in names:
            if isinstance(each, str) and each:
                self._rejected[each.lower()] = title

    def id_of(self, name: str, document: Document) -> str:
        """The id of what `document` calls `name`: in its own file first, then in its ruleset, then anywhere.

        Raises `UnknownRuleError`.
        """
        if name.lower() in self._by_id:
            return name.lower()
        found = self._by_name.get(name, [])
        file = document.file
        nearest = [each for each in found if (each.ruleset, each.path) == (file.ruleset, file.relative)]
        nearest = nearest or [each for each in found if each.ruleset == file.ruleset] or found
        if len(nearest) == 1:
            return nearest[0].id
        if nearest:
            raise UnknownRuleError(f"{len(nearest)} rules have the name {name!r}: refer to one by its id")
        title = self._rejected.get(name.lower())
        if title is not None:
            raise UnknownRuleError(f"it refers to {name!r} ({title}), which is rejected: see why there")
        raise UnknownRuleError(
            f"it refers to {name!r}, and no rule that was read has this id or name: add its file, or correct it"
        )
