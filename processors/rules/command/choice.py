"""Which rules a command is about: the paths that it is given, and what narrows them down."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from otel_fim import attack
from otel_fim.config.errors import printable
from otel_fim.processors.rules.command.reading import Library
from otel_fim.sigma.ir import Correlation, Level, Meta, Rule
from otel_fim.sigma.load import pack_path


def add_paths(parser: argparse.ArgumentParser) -> None:
    """`PATH…`: `args.paths`, empty for the project's own rules."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="rule files and folders (default: the rules that come with it)",
    )


def add_path_option(parser: argparse.ArgumentParser) -> None:
    """`--path PATH`, as often as wanted: `args.paths`, empty for the project's own rules."""
    parser.add_argument(
        "--path",
        dest="paths",
        metavar="PATH",
        action="append",
        default=[],
        help="rule file or folder; may be given several times (default: the rules that come with it)",
    )


def paths_of(args: argparse.Namespace) -> list[str]:
    paths: list[str] = args.paths
    return paths or [str(pack_path())]


def add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--level",
        action="append",
        default=[],
        choices=[level.value for level in Level],
        help="only rules of this level; may be given several times",
    )
    parser.add_argument("--tactic", help="only rules of this ATT&CK tactic: stealth, Stealth, TA0005")
    parser.add_argument(
        "--technique",
        help="only rules that show this ATT&CK technique or one of its sub-techniques; old ids work too",
    )
    parser.add_argument("--compliance", help="only rules that serve this control: pci_dss, or pci_dss.11.5.2")


def tactic_ids(written: str) -> set[str]:
    """Ids of the tactics that somebody means. Raises `SystemExit` with the tactics that there are."""
    ids = {
        tactic.id
        for tactic in attack.resolve_tactics(attack.TAG_PREFIX + written.strip().lower().replace(" ", "-"))
    }
    if not ids:
        known = ", ".join(tactic.short_name for tactic in attack.TACTICS.values())
        raise SystemExit(f"--tactic {written}: there is no such tactic; there are {known}")
    return ids


def technique_of(written: str) -> str:
    """The current id of a technique. Raises `SystemExit` for one that there is not."""
    technique = attack.resolve(written)
    if technique is None:
        raise SystemExit(f"--technique {written}: {attack.FRAMEWORK} has no such technique")
    return technique.id


def chosen(library: Library, args: argparse.Namespace) -> list[Rule | Correlation]:
    """The rules that the filters leave, the most severe first, then by title."""
    tactics = tactic_ids(args.tactic) if args.tactic else None
    technique = technique_of(args.technique) if args.technique else ""
    rules = [
        rule
        for rule in library.everything
        if (not args.level or rule.meta.level in args.level)
        and (tactics is None or tactics & set(rule.meta.tactics))
        and (not technique or any(_is_of(each, technique) for each in rule.meta.techniques))
        and (
            not args.compliance or any(_is_of(each, args.compliance.lower()) for each in rule.meta.compliance)
        )
    ]
    order = list(Level)
    return sorted(rules, key=lambda rule: (-order.index(rule.meta.level), rule.meta.title))


def _is_of(id_: str, wanted: str) -> bool:
    return id_ == wanted or id_.startswith(wanted + ".")


def find(library: Library, wanted: str) -> Rule | Correlation:
    """The rule with this id, name or title. Raises `SystemExit` when there is none, or more than one."""
    text = wanted.strip().lower()
    found = [
        rule
        for rule in library.everything
        if text in (rule.meta.id.lower(), rule.meta.name.lower(), rule.meta.title.lower())
    ]
    found = found or [rule for rule in library.everything if text in rule.meta.title.lower()]
    if len(found) == 1:
        return found[0]
    if found:
        several = "\n".join(f"  {rule.meta.id}  {rule.meta.title}" for rule in found[:20])
        raise SystemExit(f"{wanted!r} is in {len(found)} titles; say which by its id:\n{several}")
    rejected = next(
        (each for each in library.ruleset.rejected if text in (each.rule_id.lower(), each.title.lower())),
        None,
    )
    if rejected is not None:
        raise SystemExit(f"this rule was not loaded: {rejected.reason}")
    raise SystemExit(f"there is no rule with the id, name or title {wanted!r}; see `otel-fim rules list`")


def tell_rejected(library: Library) -> None:
    """What was left out, on standard error."""
    for each in library.ruleset.rejected:
        print(f"rejected: {printable(each.reason)}", file=sys.stderr)


def nothing_read(library: Library) -> bool:
    """Whether there is no rule at all because something is wrong."""
    return not library.everything and bool(library.ruleset.rejected)


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def tactics_of(meta: Meta) -> Sequence[str]:
    """Short names of a rule's tactics."""
    return [attack.TACTICS[id_].short_name for id_ in meta.tactics if id_ in attack.TACTICS]


def logsource_of(rule: Rule | Correlation) -> str:
    """`linux/file_event`, `otel_fim/auth`, or the correlation's type."""
    if isinstance(rule, Correlation):
        return rule.type.value
    source = rule.logsource
    return "/".join(part for part in (source.product, source.category, source.service) if part)
