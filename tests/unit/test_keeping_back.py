"""What waits for a person, and what another report of its case tells: by rules, without tables."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from dedup.case_reports import DOUBTED, POSITIVE
from ops.case_answers import answers_of
from routing.doubts import Doubt
from routing.keeping_back import stands_back, withheld
from routing.router import load_own_rules
from routing.rules import Facts
from schemas.codes import Kind, Result
from schemas.decision import Line, Standing
from schemas.report import ResultStatus
from schemas.topics import Stream
from tests.unit.test_routing_cases import case, observation, report

RULES = load_own_rules()
TRACING, HEALTH = Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH
COVID = ("sars-cov-2", Kind.RNA, Result.POSITIVE)
RSV = ("rsv", Kind.RNA, Result.POSITIVE)
NIL = UUID(int=0)
HIV = ("hiv", Kind.ANTIBODY, Result.POSITIVE)


def facts(*signs: Any, **changes: Any) -> Facts:
    return Facts(status=ResultStatus.FINAL, findings=signs, **changes)


def test_what_nothing_is_doubted_of_has_its_weight() -> None:
    assert withheld(RULES, facts(COVID, RSV)) == frozenset()


@pytest.mark.parametrize("reason", list(Doubt))
def test_only_the_doubted_condition_is_kept_back(reason: Doubt) -> None:
    """And only for what its streams wait for: a birth date is the dossier's."""
    found = withheld(RULES, facts(COVID, RSV, doubts=frozenset({(reason.value, "rsv")})))
    expected = frozenset() if reason is Doubt.BIRTH_DATE_AFTER_SAMPLING else {"rsv"}
    assert found == expected


def test_a_place_in_a_case_keeps_nothing_back() -> None:
    told = frozenset({"rsv", "sars-cov-2"})
    assert withheld(RULES, facts(COVID, beside=told, again=told)) == frozenset()


def test_a_test_in_production_has_no_weight() -> None:
    assert withheld(RULES, facts(COVID, ins_realm_ok=False)) == {"sars-cov-2"}


def test_contact_tracing_decides_where_it_looks_for_the_condition() -> None:
    doubts = frozenset({(Doubt.STATUS_CONTRADICTS.value, each) for each in ("", "sars-cov-2")})
    words = {stream: (stream, Doubt.STATUS_CONTRADICTS.value) for stream in (TRACING, HEALTH)}

    def kept(*released: Stream) -> bool:
        let_go = frozenset(words[each] for each in released)
        return bool(withheld(RULES, facts(COVID, doubts=doubts, released=let_go)))

    assert kept()
    assert kept(HEALTH)
    assert not kept(TRACING)
    assert not kept(TRACING, HEALTH)
    hiv = facts(HIV, doubts=frozenset({(Doubt.STATUS_CONTRADICTS.value, "hiv")}))
    assert withheld(RULES, hiv) == {"hiv"}
    let_go = msgspec.structs.replace(hiv, released=frozenset({words[HEALTH]}))
    assert withheld(RULES, let_go) == frozenset()


def test_what_is_kept_back_comes_behind_all_of_its_case() -> None:
    of = case(report(observation()))
    told = answers_of(of.report, of.findings)
    assert told["sars-cov-2"].precedence == POSITIVE
    kept = answers_of(of.report, of.findings, {"sars-cov-2"})
    assert kept["sars-cov-2"].precedence == DOUBTED


@pytest.mark.parametrize(
    ("standings", "back"),
    [
        ([], False),
        ([Standing(NIL, Line.FIRST)], False),
        ([Standing(NIL, Line.FIRST, again=True)], True),
        ([Standing(NIL, Line.SECOND)], True),
        ([Standing(NIL, Line.SECOND, waits=True)], True),
        ([Standing(NIL, Line.SECOND), Standing(NIL, Line.FIRST)], False),
    ],
)
def test_what_another_report_tells(standings: list[Standing], *, back: bool) -> None:
    assert stands_back(RULES, TRACING, standings) is back
    assert stands_back(RULES, HEALTH, standings) is any(each.waits for each in standings)
