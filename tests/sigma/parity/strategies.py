"""Random records and random rules, made from few words so that they meet."""

from __future__ import annotations

from datetime import datetime
from random import Random
from typing import Any

from hypothesis import strategies as st

from otel_fim.record import Record, Resource, Scope
from otel_fim.sigma.ir import (
    And,
    Cidr,
    Compare,
    Condition,
    Const,
    Correlation,
    CorrelationType,
    Expression,
    Field,
    Filled,
    Glob,
    GroupKey,
    InTime,
    Keyword,
    Match,
    Meta,
    Not,
    Operator,
    Or,
    Present,
    Regex,
    Rule,
    RuleAnd,
    RuleNot,
    RuleOr,
    RuleRef,
    RuleSet,
    SameAs,
    Source,
    Text,
    TextKind,
    TimePart,
    Wildcard,
)

FIRST_YEAR, LAST_YEAR = datetime(1970, 1, 2), datetime(2199, 12, 30)  # noqa: DTZ001 - hypothesis wants them so
START = 1_768_314_735_000_000_000
NAMES = ("a.b", "c", "it's", "many")
EVENTS = ("otel_fim.file.created", "otel_fim.auth.login", "Other", "")
WORDS = (
    *("a", "A", "ab", "AB", "b", "%", "_", "\\", "'", '"', "\n", "\0", "*", "?", "{x}", "a\\%", "\t", " "),
    *("ä", "Ä", "σ", "ς", "Σ", "ß", "ẞ", "İ", "i", "I", "K", "k", "😀", "é", "[", "]", "--", "/*", "a b"),
)
NUMBERS = (
    "1",
    "2",
    "-1",
    "+3",
    "0.5",
    "1e1",
    "007",
    "1.",
    ".5",
    "1e999",
    "-1e999",
    "0x1",
    "nan",
    "inf",
    " 1",
    "2.25",
)
ADDRESSES = (
    *("10.0.0.1", "10.0.0.255", "10.0.1.0", "::ffff:10.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "010.0.0.1"),
    *("10.0.0", "2001:db8::1", "2001:DB8:0::FFFF", "::ffff:a00:1", "1.2.3.4.5", "10.0.0.1 ", "::10.0.0.1"),
)
NETWORKS = (
    "10.0.0.0/24",
    "10.0.0.1/32",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "fe80::/10",
    "::ffff:0:0/96",
    "::/96",
)
TIMES = (
    *(
        "2026-01-13T14:32:15Z",
        "2026-01-13 23:59:59.5+02:00",
        "2026-02-30T00:00:00Z",
        "2024-02-29T12:00:00-14:00",
    ),
    *(
        "2026-01-13",
        "14:32",
        "1970-01-01T00:00:00+14:00",
        "2199-12-31T23:59:59.999999999Z",
        "2026-03-29T01:30:00Z",
    ),
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")

texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=4).map("".join),
    st.sampled_from((*NUMBERS, *ADDRESSES, *TIMES)),
    st.text(max_size=4),
)
values: st.SearchStrategy[Any] = st.one_of(
    texts,
    st.integers(-3, 12),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(texts, max_size=3),
    st.binary(max_size=3),
)
lists = st.one_of(st.lists(texts, max_size=3), texts.filter(lambda text: not text.startswith("[")))
attributes = st.fixed_dictionaries({}, optional={"a.b": values, "c": values, "it's": values, "many": lists})
hosts = [Resource({"host.name": name}) for name in ("web-1", "WEB-1", "db")] + [Resource({})]


@st.composite
def records(draw: st.DrawFn, *, step: int = 1_000_000_000) -> Record:
    return Record(
        time_unix_nano=START + draw(st.integers(0, 30)) * step + draw(st.sampled_from((0, 0, 0, 1))),
        observed_time_unix_nano=START,
        event_name=draw(st.sampled_from(EVENTS)),
        severity_number=draw(st.sampled_from((0, 9, 13))),
        severity_text=draw(st.sampled_from(("", "INFO", "warn"))),
        body=draw(values.filter(lambda value: value != b"")),
        attributes=draw(attributes),
        resource=draw(st.sampled_from(hosts)),
        scope=Scope(),
    )


plain_fields = st.one_of(
    st.sampled_from(NAMES[:3]).map(lambda name: Field(Source.ATTRIBUTE, name)),
    st.just(Field(Source.RESOURCE, "host.name")),
    st.sampled_from((Source.EVENT_NAME, Source.BODY, Source.SEVERITY_TEXT, Source.SEVERITY_NUMBER)).map(
        Field
    ),
)
fields = st.one_of(plain_fields, st.just(Field(Source.ATTRIBUTE, "many", many=True)))
kinds = st.sampled_from(TextKind)
operators = st.sampled_from(Operator)
literals = st.one_of(st.lists(st.sampled_from(WORDS), max_size=3).map("".join), st.sampled_from(NUMBERS[:6]))
text_tests = st.builds(Text, kinds, literals, st.booleans())
globs = st.builds(
    Glob, st.lists(st.one_of(st.sampled_from(Wildcard), literals), max_size=5).map(tuple), st.booleans()
)
pieces = st.sampled_from(
    (
        "a",
        "A",
        ".",
        "^a",
        "b$",
        r"\\",
        r"\s",
        "[ab]",
        "(a|B)",
        "a+",
        "x?",
        r"\x00",
        "ä",
        "'",
        "\n",
        "{x}",
        r"\bA",
        r"\d+",
    )
)
regexes = st.builds(
    Regex, st.lists(pieces, min_size=1, max_size=3).map("".join), st.booleans(), st.booleans(), st.booleans()
)
numbers = st.sampled_from((0.0, 1.0, -1.0, 0.5, 3.0, 7.0, 10.0, 2.25, 1e300))
in_time = st.builds(
    InTime, st.sampled_from(TimePart), operators, st.sampled_from((0, 1, 2, 3, 12, 13, 14, 53, 2026))
)
tests = st.one_of(
    text_tests,
    text_tests,
    globs,
    regexes,
    st.builds(Cidr, st.sampled_from(NETWORKS)),
    st.builds(Compare, operators, numbers),
    st.just(Present()),
    st.just(Filled()),
    st.builds(SameAs, kinds, fields, st.booleans()),
    in_time,
)
leaves = st.one_of(
    st.builds(Match, fields, tests),
    st.builds(Match, fields, tests),
    st.builds(Match, st.just(Field(Source.TIME)), in_time),
    st.builds(Keyword, st.one_of(text_tests, globs, regexes)),
    st.builds(Const, st.booleans()),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=4).map(lambda items: And(tuple(items))),
        st.lists(inner, min_size=1, max_size=4).map(lambda items: Or(tuple(items))),
    ),
    max_leaves=8,
)
event_names = st.one_of(st.none(), st.sets(st.sampled_from(EVENTS), min_size=1, max_size=2).map(frozenset))


def rule(name: str, condition: Expression, event_names: frozenset[str] | None = None) -> Rule:
    return Rule(Meta(name, f"Rule {name}"), condition, event_names=event_names)


@st.composite
def rules(draw: st.DrawFn, *, count: int = 5) -> RuleSet:
    return RuleSet(tuple(rule(f"r{i}", draw(expressions), draw(event_names)) for i in range(count)))


@st.composite
def single_tests(draw: st.DrawFn) -> tuple[RuleSet, list[Record]]:
    """Some tests of one text, and many texts made of the pieces that the tests are made of."""
    drawn = draw(st.lists(st.one_of(text_tests, globs, regexes), min_size=4, max_size=10))
    random = Random(draw(st.integers(0, 2**32)))
    found = [_of_pieces(random, _pieces_of(random.choice(drawn))) for _ in range(300)]
    field = Field(Source.ATTRIBUTE, "c")
    made = [rule(f"t{i}", Match(field, test)) for i, test in enumerate(drawn)]
    made.append(rule("any", Or(tuple(Match(field, test) for test in drawn))))
    made.append(rule("none", Not(Or(tuple(Match(field, test) for test in drawn)))))
    texts_of = [
        Record(START + i, START, event_name="e", attributes={"c": text}, resource=hosts[0], scope=Scope())
        for i, text in enumerate(found)
    ]
    return RuleSet(tuple(made)), texts_of


def _pieces_of(test: Text | Glob | Regex) -> list[str]:
    if isinstance(test, Text):
        return [test.value]
    if isinstance(test, Glob):
        return [part if not isinstance(part, Wildcard) else "*?"[part is Wildcard.ONE] for part in test.parts]
    return list("aAbB. x\n'ä0{\\")


def _of_pieces(random: Random, pieces: list[str]) -> str:
    """Pieces in order, here and there with something else between them, or in other case, or left out."""
    found = []
    for piece in pieces if len(pieces) < 6 else random.sample(pieces, 3):
        if piece in ("*", "?") and random.random() < 0.8:
            piece = random.choice(WORDS)
        chance = random.random()
        if chance < 0.2:
            piece = random.choice((piece.upper(), piece.lower(), piece.swapcase()))
        elif chance < 0.3:
            piece = random.choice(WORDS)
        elif chance < 0.35:
            piece = ""
        found.append(piece)
    if random.random() < 0.3:
        found.insert(random.randint(0, len(found)), random.choice(WORDS))
    return "".join(found)


# --- Correlations --------------------------------------------------------------------------------------------

SIMPLE = tuple(
    rule(name, Match(Field(Source.ATTRIBUTE, "kind"), Text(TextKind.CONTAINS, name)))
    for name in ("x", "y", "z")
)
"""A record's attribute `kind` says which of these match it."""
GROUP_FIELDS = {"g": Field(Source.ATTRIBUTE, "g"), "h": Field(Source.RESOURCE, "host.name")}
VALUE = Field(Source.ATTRIBUTE, "v")


@st.composite
def group_records(draw: st.DrawFn) -> list[Record]:
    """Many groups at once, as each is a case of its own: made from a seed, which takes less time than drawing each."""
    random = Random(draw(st.integers(0, 2**32)))
    groups = [*(str(number) for number in range(draw(st.integers(1, 12)))), "A", "a", ""]
    longest = random.choice((5, 25, 60))
    return [_group_record(random, groups, longest) for _ in range(draw(st.integers(1, 250)))]


def _group_record(random: Random, groups: list[str], longest: int) -> Record:
    found: dict[str, Any] = {"kind": random.choice(("x", "y", "z", "xy", "zx", "none"))}
    if random.random() < 0.95:
        found["g"] = random.choice(groups)
    if random.random() < 0.8:
        found["v"] = random.choice((1, 2, 2.5, -4, "8", "x", "X", "", "1e1"))
    return Record(
        time_unix_nano=START + random.randrange(longest),
        observed_time_unix_nano=START,
        event_name="otel_fim.auth.login",
        attributes=found,
        resource=random.choice(hosts),
        scope=Scope(),
    )


bounds = st.lists(
    st.tuples(
        st.sampled_from((*Operator, Operator.GTE, Operator.GTE)), st.sampled_from((1.0, 2.0, 3.0, 4.5, 0.0))
    ),
    min_size=1,
    max_size=2,
).map(lambda found: Condition(tuple(found)))


@st.composite
def correlation(draw: st.DrawFn, name: str, referred: list[str], correlations: frozenset[str]) -> Correlation:
    kind = draw(st.sampled_from(CorrelationType))
    chosen = draw(st.lists(st.sampled_from(referred), min_size=1, max_size=3))
    used = draw(st.sampled_from(((), ("g",), ("g",), ("h",), ("g", "h"))))
    plain = [rule_id for rule_id in dict.fromkeys(chosen) if rule_id not in correlations]
    temporal = kind in (CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED)
    expression = None
    if temporal and draw(st.booleans()):
        leaf = st.sampled_from(chosen).map(RuleRef)
        expression = draw(
            st.recursive(
                leaf,
                lambda inner: st.one_of(
                    inner.map(RuleNot),
                    st.lists(inner, min_size=1, max_size=3).map(lambda items: RuleAnd(tuple(items))),
                    st.lists(inner, min_size=1, max_size=3).map(lambda items: RuleOr(tuple(items))),
                ),
                max_leaves=4,
            )
        )
    condition = draw(bounds) if not temporal or (expression is None and draw(st.booleans())) else None
    value_name = draw(st.sampled_from(("v", "g", "h")))
    value_field = GROUP_FIELDS.get(value_name, VALUE)
    return Correlation(
        Meta(name, f"Correlation {name}"),
        kind,
        tuple(chosen),
        draw(st.sampled_from((0, 1, 3, 6, 12))),
        tuple(GroupKey(key, tuple((each, GROUP_FIELDS[key]) for each in plain)) for key in used),
        condition,
        tuple((each, value_field) for each in plain),
        value_name,
        draw(st.sampled_from((0.0, 25.0, 50.0, 75.0, 100.0))),
        expression,
    )


@st.composite
def correlated(draw: st.DrawFn) -> RuleSet:
    """Up to three, each of which may refer to those before."""
    made: list[Correlation] = []
    for number in range(draw(st.sampled_from((1, 1, 2, 3)))):
        names = [each.meta.id for each in made]
        referred = [each.meta.id for each in SIMPLE] + names * 2
        made.append(draw(correlation(f"c{number}", referred, frozenset(names))))
    return RuleSet(SIMPLE, tuple(made))
