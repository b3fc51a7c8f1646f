"""Judging is a function of the facts that rules look at, and what no rule says goes nowhere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.case import Case
from routing.explaining import explain
from routing.facts import Facts, Sight
from routing.router import Router
from routing.rules import Ages, Because, Rule, Rules, Ruling, rule_on
from schemas.codes import CONDITIONS, Kind, Result
from schemas.decision import Line, ProjectionName, Realm, Standing
from schemas.patient import Address
from schemas.report import Coded, ResultStatus
from schemas.topics import STREAMS, Stream
from tests.unit.test_routing_cases import DETECTED, NOT_DETECTED, case, observation, report, traits

SECRET = bytes(range(32))
CODES = ("sars-cov-2", "dengue", "chikungunya")
PLACES = ("75107", "2A004", "97411", "")
LABORATORIES = ("LAB1", "LAB2", "LAB3")
BIRTHS = ("1979-03-28", "2020", "2026-03-05", "")
DOUBTS = ("result_not_understood", "birth_date_after_sampling")
TESTS = {"94500-6": "sars-cov-2", "25338-5": "dengue", "51664-1": "chikungunya"}
EVERYTHING = Sight(
    laboratories=frozenset(LABORATORIES),
    departments=frozenset({"75", "2A", "974"}),
    cuts=tuple(range(132)),
    realms=True,
    again=True,
    doubts=frozenset(DOUBTS),
)
"""Leaves out nothing."""


def some(values: Any) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(sorted(values)), max_size=2)


BANDS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda t: Ages(min(t), max(t)))


@st.composite
def rules_of(draw: st.DrawFn) -> Rules:
    found = []
    for number in range(draw(st.integers(0, 6))):
        stream = draw(st.sampled_from(STREAMS))
        projection = next(each for each in ProjectionName if each.stream is stream)
        asks = stream is not Stream.DOSSIER
        found.append(
            Rule(
                id=f"rule-{number}",
                stream=stream,
                projection=projection,
                why="drawn",
                must=(),
                must_not=(),
                statuses=draw(some(ResultStatus)),
                conditions=draw(some(CODES)) | {"sars-cov-2"} if asks else frozenset(),
                kinds=draw(some(Kind)) | {Kind.RNA} if asks else frozenset(),
                results=draw(some(Result)) | {Result.POSITIVE} if asks else frozenset(),
                laboratories=draw(some(LABORATORIES)),
                departments=draw(some(("75", "2A", "974"))),
                ages=draw(st.none() | BANDS),
                realms=draw(some(Realm)),
                holds_on=draw(some(DOUBTS)),
                needs_qualified=not asks,
                counts_only=draw(st.booleans()),
                once_an_episode=draw(st.booleans()),
            )
        )
    return Rules(version="drawn", rules=tuple(found))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    said = [
        observation(
            Coded(code=draw(st.sampled_from(sorted(TESTS))), system="LN"),
            draw(st.sampled_from((DETECTED, NOT_DETECTED, Coded(code="?", system="LABX")))),
            position=n,
        )
        for n in range(draw(st.integers(0, 3)))
    ]
    lines = {
        code: Standing(
            UUID(int=1),
            draw(st.sampled_from(Line)),
            waits=draw(st.booleans()),
            again=draw(st.booleans()),
        )
        for code in draw(some(CODES))
    }
    commune = draw(st.sampled_from(PLACES))
    found = case(
        report(*said, status=draw(st.sampled_from(ResultStatus))),
        about=traits(
            address=Address(commune=commune, country="FRA"),
            birth_date=draw(st.sampled_from(BIRTHS)),
        ),
        standings=lines,
    )
    fields = {name: getattr(found, name) for name in Case.__struct_fields__}
    released = draw(st.frozensets(st.tuples(st.sampled_from(STREAMS), st.sampled_from(DOUBTS))))
    return Case(
        **fields | {"registry_id": draw(st.sampled_from(("", *LABORATORIES))), "released": released}
    )


@settings(max_examples=40, deadline=None)
@given(rules_of(), cases())
def test_what_no_rule_looks_at_changes_no_ruling(rules: Rules, given_: Case) -> None:
    seen, whole = given_.facts_in(rules.sight), given_.facts_in(EVERYTHING)
    assert rules.judge(seen) == rules.judge(whole)


@settings(max_examples=20, deadline=None)
@given(rules_of(), st.lists(cases(), max_size=6))
def test_a_router_that_remembers_says_what_a_new_one_says(rules: Rules, given_: list[Case]) -> None:
    one = Router(rules, SECRET, Realm.TEST)
    for each in [*given_, *given_]:
        assert one.route(each) == Router(rules, SECRET, Realm.TEST).route(each)


@settings(max_examples=40, deadline=None)
@given(rules_of(), cases())
def test_what_is_due_is_in_every_set_of_one_rule(rules: Rules, given_: Case) -> None:
    facts = given_.facts_in(EVERYTHING)
    for stream, rulings in rules.judge(facts).items():
        for part, ruling in rulings.items():
            fitting = [r for r in rules.rules if r.stream is stream and fits(r, facts, part)]
            if ruling.due:
                assert ruling.rule in {each.id for each in fitting}
            if not fitting:
                assert not ruling.due


@settings(max_examples=40, deadline=None)
@given(rules_of(), cases())
def test_a_condition_is_judged_as_if_the_report_told_of_nothing_else(
    rules: Rules, given_: Case
) -> None:
    facts = given_.facts_in(EVERYTHING)
    for stream, rulings in rules.judge(facts).items():
        for part, ruling in rulings.items():
            if stream is Stream.DOSSIER:
                assert part == ""
                continue
            alone = msgspec.structs.replace(
                facts,
                findings=tuple(sign for sign in facts.findings if sign[0] == part),
                doubts=frozenset(doubt for doubt in facts.doubts if doubt[1] in {"", part}),
            )
            told = rules.judge(alone)[stream][part]
            assert (told.due, told.rule, told.hold) == (ruling.due, ruling.rule, ruling.hold)
            if ruling.finding is not None:
                assert told.finding is not None
                assert alone.findings[told.finding] == facts.findings[ruling.finding]


def fits(rule: Rule, facts: Facts, part: str) -> bool:
    """Said again, and otherwise than the code says it."""
    sets: list[tuple[Any, Any]] = [
        (rule.statuses, facts.status),
        (rule.laboratories, facts.laboratory),
        (rule.departments, facts.department),
        (rule.realms, facts.realm),
    ]
    if any(allowed and value not in allowed for allowed, value in sets):
        return False
    if rule.ages is not None and facts.age not in range(rule.ages.first, rule.ages.last + 1):
        return False
    known = set(rule.conditions) & ({part} if part else rule.conditions)
    known -= facts.again if rule.once_an_episode else set()
    if rule.counts_only:
        known -= facts.beside | facts.waiting
    signs = {(c, k, r) for c in known for k in rule.kinds for r in rule.results}
    return not rule.results or bool(signs & set(facts.findings))


@settings(max_examples=20, deadline=None)
@given(rules_of(), cases(), st.sampled_from(STREAMS))
def test_a_stream_without_rules_gets_nothing(rules: Rules, given_: Case, stream: Stream) -> None:
    left = Rules(version="x", rules=tuple(r for r in rules.rules if r.stream is not stream))
    assert left.judge_stream(stream, given_.facts_in(EVERYTHING)) == Ruling(because=Because.NO_RULE)


@settings(max_examples=20, deadline=None)
@given(rules_of(), cases(), st.booleans())
def test_what_is_explained_is_what_is_done(rules: Rules, given_: Case, opposes: bool) -> None:
    facts = given_.facts_in(rules.sight)
    rulings = rules.judge(facts)
    for told in explain(rules, facts, opposes_dossier=opposes):
        said_nothing = Ruling(because=Because.NO_RULE)
        ruling = rulings[told.stream].get(told.part, said_nothing)
        if opposes and told.stream is Stream.DOSSIER:
            assert (told.due, told.because) == (False, Because.OPPOSED)
            continue
        assert (told.due, told.hold, told.rule) == (ruling.due, ruling.hold, ruling.rule)
        assert [each.rule for each in told.rules if each.decides] == (
            [] if ruling.rule == "none" else [ruling.rule]
        )
        for each in told.rules:
            alone = rule_on(next(r for r in rules.rules if r.id == each.rule), facts, told.part)
            assert each.because in {alone.because, Because.EARLIER_RULE}


def test_the_drawn_conditions_are_ours() -> None:
    assert set(CODES) <= CONDITIONS.keys()
