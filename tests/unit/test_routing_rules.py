from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from routing.doubts import Doubt
from routing.findings import findings_of
from routing.router import Router, load_own_rules, reason_of
from routing.rule_file import load_rules
from routing.rules import FIRST_LINE_AWAITED, NOT_QUALIFIED, WRONG_REALM
from schemas.decision import Line, Realm, RouteDecision, Standing
from schemas.errors import FatalError
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import STREAMS, Stream
from tests.support.parts import projections
from tests.unit.test_routing_cases import (
    DETECTED,
    NOT_DETECTED,
    PRODUCTION_INS,
    case,
    observation,
    report,
    traits,
)

ALL = frozenset(STREAMS)
SECRET = bytes(range(32))
IGG = Coded(code="94563-4", text="IgG", system="LN")
FLU = Coded(code="92142-9", text="Grippe A", system="LN")
DENGUE_IGM = Coded(code="25338-5", text="Dengue IgM", system="LN")


def routed(of: LabReport, **about: Any) -> RouteDecision:
    return Router(load_own_rules(), SECRET, about.get("realm", Realm.TEST)).route(case(of, **about))


def rule_of(decision: RouteDecision) -> str:
    (routed,) = decision.parts[Stream.CONTACT_TRACING].values()
    return routed.rule


def broken(change: dict[str, Any]) -> bytes:
    rules = msgspec.json.decode(msgspec.json.encode(load_own_rules()))
    rules["rules"][1] |= change
    return msgspec.json.encode(rules)


def test_the_rules_we_ship_hold_their_examples() -> None:
    rules = load_own_rules()
    assert {rule.stream for rule in rules.rules} == ALL
    assert load_rules(msgspec.json.encode(rules)) == rules


@pytest.mark.parametrize(
    "change",
    [
        {"must": []},
        {"must_not": []},
        {"kinds": ["rna", "antigen", "igg"]},
        {"statuses": ["F"]},
        {"conditions": ["gout"]},
        {"kinds": []},
        {"id": "dossier-every-report"},
        {"colour": "blue"},
        {"must": [{"status": "F", "findings": [["gout", "rna", "positive"]]}]},
    ],
)
def test_rules_whose_examples_fail_do_not_load(change: dict[str, Any]) -> None:
    with pytest.raises(FatalError) as caught:
        load_rules(broken(change))
    assert caught.value.reason == "rules_invalid"


def test_no_rules_do_not_load() -> None:
    for source in (b"", b"[]", b'{"version": "1", "rules": []}'):
        with pytest.raises(FatalError):
            load_rules(source)


def test_a_positive_pcr_of_a_qualified_person_goes_everywhere() -> None:
    decision = routed(report(observation()))
    assert decision.due == ALL
    assert (decision.condition, decision.result) == ("sars-cov-2", "positive")
    assert rule_of(decision) == "tracing-direct-detection"
    assert decision.holds == {}
    assert decision.rule_version


def test_without_a_qualified_identity_the_dossier_waits() -> None:
    decision = routed(report(observation()), ins=None)
    assert decision.due == ALL - {Stream.DOSSIER}
    assert decision.holds == {Stream.DOSSIER: NOT_QUALIFIED}


@pytest.mark.parametrize("status", ["X", "D", "W"])
def test_what_is_taken_back_stays_in_the_dossier_only(status: str) -> None:
    decision = routed(report(observation(), status=ResultStatus(status)))
    assert decision.due == {Stream.DOSSIER}


@pytest.mark.parametrize("status", ["A", "P", "F", "C", "U"])
def test_what_stands_goes_everywhere(status: str) -> None:
    assert routed(report(observation(), status=ResultStatus(status))).due == ALL


def test_a_negative_is_no_index_case() -> None:
    for said in (observation(coded=NOT_DETECTED), observation(coded=None, value="Non détecté")):
        decision = routed(report(said))
        assert decision.result == "negative"
        assert decision.due == ALL - {Stream.CONTACT_TRACING}


def test_a_positive_antibody_is_no_index_case() -> None:
    decision = routed(report(observation(IGG)))
    assert decision.due == ALL - {Stream.CONTACT_TRACING}
    assert decision.result == "positive"


def test_igm_makes_an_index_case_of_dengue() -> None:
    decision = routed(report(observation(DENGUE_IGM)))
    assert rule_of(decision) == "tracing-recent-antibody"
    assert Stream.CONTACT_TRACING in decision.due


def test_a_positive_antibody_never_hides_a_negative_pcr() -> None:
    decision = routed(report(observation(IGG), observation(coded=NOT_DETECTED)))
    assert decision.result == "negative"
    assert Stream.CONTACT_TRACING not in decision.due


def test_the_positive_one_of_a_panel_decides() -> None:
    decision = routed(report(observation(coded=NOT_DETECTED), observation(FLU)))
    assert (decision.condition, decision.result) == ("influenza-a", "positive")


def test_an_observation_taken_back_says_nothing() -> None:
    for said, status in (("C", "X"), ("C", "D"), ("C", "W"), ("I", "I"), ("R", "R"), ("F", "N")):
        of = report(observation(status=ResultStatus(status)), status=ResultStatus(said))
        decision = routed(of)
        assert decision.due == {Stream.DOSSIER}
        assert decision.condition == ""
        assert decision.holds == {}


@pytest.mark.parametrize(
    ("said", "status"), [("F", "X"), ("F", "W"), ("F", "I"), ("F", "R"), ("R", "F"), ("P", "C")]
)
def test_where_statuses_contradict_every_stream_waits(said: str, status: str) -> None:
    of = report(observation(status=ResultStatus(status)), status=ResultStatus(said))
    decision = routed(of)
    assert decision.due == frozenset()
    assert decision.holds == dict.fromkeys(ALL, Doubt.STATUS_CONTRADICTS)


def test_of_what_is_not_tracked_no_stream_waits_but_the_dossier() -> None:
    glucose = Coded(code="2345-7", text="Glucose", system="LN")
    seen = observation(glucose, status=ResultStatus.CANCELLED, coded=None, value="5.2")
    decision = routed(report(seen, code=glucose))
    assert decision.holds == {Stream.DOSSIER: Doubt.STATUS_CONTRADICTS}


def test_without_an_answer_tracing_and_public_health_wait_and_the_dossier_flows() -> None:
    decision = routed(report(observation(coded=None, value="voir commentaire")))
    assert decision.due == {Stream.DOSSIER}
    held = {Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH}
    assert decision.holds == dict.fromkeys(held, Doubt.RESULT_NOT_UNDERSTOOD)


def test_what_is_known_of_another_condition_is_not_kept_back() -> None:
    rsv = Coded(code="92131-2", text="RSV", system="LN")
    of = report(observation(), observation(rsv, coded=None, value="voir commentaire"))
    decision = routed(of)
    assert decision.due == ALL
    held = {Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH}
    assert decision.holds == dict.fromkeys(held, Doubt.RESULT_NOT_UNDERSTOOD)


def test_who_was_sampled_before_birth_waits_in_the_dossier_alone() -> None:
    decision = routed(report(observation()), about=traits(birth_date="2030-01-01"))
    assert decision.due == ALL - {Stream.DOSSIER}
    assert decision.holds == {Stream.DOSSIER: Doubt.BIRTH_DATE_AFTER_SAMPLING}


@pytest.mark.parametrize("code", ["94533-7", "94307-6", "94308-4"])
def test_a_gene_counts_only_where_no_whole_result_is_given(code: str) -> None:
    gene = observation(Coded(code=code, text="Gène N", system="LN"))
    assert routed(report(gene)).result == "positive"
    assert routed(report(gene, observation(coded=NOT_DETECTED))).result == "negative"


@pytest.mark.parametrize(
    ("code", "text", "result"),
    [
        ("462371000124108", "Detected in pooled specimen", "indeterminate"),
        ("895231008", "Not detected in pooled specimen", "negative"),
    ],
)
def test_a_pool_that_holds_it_accuses_nobody_and_one_that_does_not_clears_all(
    code: str, text: str, result: str
) -> None:
    for coded in (Coded(code=code, system="SCT"), Coded(code="P", text=text, system="L")):
        decision = routed(report(observation(coded=coded)))
        assert decision.result == result
        assert decision.due == ALL - {Stream.CONTACT_TRACING}
        assert decision.holds == {}


def test_the_order_speaks_for_its_only_local_observation() -> None:
    local = Coded(code="RES", text="Résultat", system="LABX")
    assert routed(report(observation(local))).condition == "sars-cov-2"
    assert routed(report(observation(local), observation(local))).condition == ""
    other = Coded(code="95417-2", text="Premier test", system="LN")
    assert routed(report(observation(other, coded=None, value="Positif"))).condition == ""


def test_a_test_ins_reaches_no_stream_in_production() -> None:
    about: dict[str, Any] = {"realm": Realm.PRODUCTION, "ins": PRODUCTION_INS}
    decision = routed(report(observation()), **about)
    assert decision.due == frozenset()
    assert set(decision.holds.values()) == {WRONG_REALM}
    assert set(decision.holds) == ALL
    honest = traits(ins=(PRODUCTION_INS,))
    assert routed(report(observation()), about=honest, **about).due == ALL


def test_a_report_of_nothing_tracked_goes_to_the_dossier_only() -> None:
    other = Coded(code="22664-7", text="Urée", system="LN")
    decision = routed(report(observation(other), code=other))
    assert decision.due == {Stream.DOSSIER}
    assert (decision.condition, decision.result) == ("", "")


def test_why_a_version_is_sent() -> None:
    assert reason_of(case()) == "new_version"
    assert reason_of(case(report(status=ResultStatus.WRONG))) == "cancelled"


def test_findings_keep_the_laboratorys_order_among_equals() -> None:
    first, second = observation(FLU, DETECTED), observation(coded=DETECTED)
    codes = [each.analysis.condition.code for each in findings_of(report(first, second))]
    assert codes == ["influenza-a", "sars-cov-2"]


SARS = "sars-cov-2"


def standing(line: Line, *, waits: bool = False) -> dict[str, Standing]:
    return {SARS: Standing(UUID(int=1), line, waits)}


def test_another_report_of_the_case_is_no_second_index_case() -> None:
    found = routed(report(observation()), standings=standing(Line.SECOND))
    assert found.due == {Stream.DOSSIER, Stream.PUBLIC_HEALTH}
    assert routed(report(observation()), standings=standing(Line.FIRST)).due == ALL


def test_a_second_line_waits_for_its_first() -> None:
    found = routed(report(observation()), standings=standing(Line.SECOND, waits=True))
    assert found.due == {Stream.DOSSIER}
    assert found.holds == {Stream.PUBLIC_HEALTH: FIRST_LINE_AWAITED}


def test_each_condition_stands_in_its_own_case() -> None:
    both = report(observation(), observation(FLU, position=2))
    router = Router(load_own_rules(), SECRET, Realm.TEST)
    given = case(both, standings=standing(Line.SECOND))
    assert router.route(given).due == ALL
    (called,) = projections(router, Stream.CONTACT_TRACING, given).values()
    assert msgspec.json.decode(called.body)["condition"] == "influenza-a"
    rows = {
        part: msgspec.json.decode(told.body)
        for part, told in projections(router, Stream.PUBLIC_HEALTH, given).items()
    }
    assert {part: (row["result"], row["second_line_result"]) for part, row in rows.items()} == {
        "sars-cov-2": ("", "positive"),
        "influenza-a": ("positive", ""),
    }


def test_every_answer_of_a_panel_is_told() -> None:
    rsv = Coded(code="92131-2", text="RSV", system="LN")
    of = report(observation(coded=NOT_DETECTED), observation(FLU), observation(rsv))
    decision = routed(of)
    assert {stream: sorted(parts) for stream, parts in decision.parts.items()} == {
        Stream.DOSSIER: [""],
        Stream.CONTACT_TRACING: ["influenza-a", "rsv"],
        Stream.PUBLIC_HEALTH: ["influenza-a", "rsv", "sars-cov-2"],
    }
    assert all(part.due for parts in decision.parts.values() for part in parts.values())


def test_what_is_declared_anonymously_is_joined_to_nothing_of_its_report() -> None:
    """A panel of serology: neither row hides the other, and no id lays one beside the other."""
    hiv = Coded(code="7918-6", text="VIH", system="LN")
    measles = Coded(code="21503-8", text="Rougeole IgM", system="LN")
    router = Router(load_own_rules(), SECRET, Realm.TEST)
    given = case(report(observation(hiv), observation(measles)))
    told = projections(router, Stream.PUBLIC_HEALTH, given)
    assert sorted(told) == ["hiv", "measles"]
    assert told["measles"].told_as is None
    assert told["hiv"].told_as not in {None, given.report_id}
    other = Router(load_own_rules(), bytes(32), Realm.TEST)
    assert projections(other, Stream.PUBLIC_HEALTH, given)["hiv"].told_as != told["hiv"].told_as


def test_a_second_line_that_waits_holds_its_own_condition_alone() -> None:
    both = report(observation(), observation(FLU, position=2))
    decision = routed(both, standings=standing(Line.SECOND, waits=True))
    parts = decision.parts[Stream.PUBLIC_HEALTH]
    assert (parts[SARS].due, parts[SARS].hold) == (False, FIRST_LINE_AWAITED)
    assert (parts["influenza-a"].due, parts["influenza-a"].hold) == (True, "")
    assert decision.holds == {Stream.PUBLIC_HEALTH: FIRST_LINE_AWAITED}


def test_of_several_reasons_what_a_person_can_answer_is_said_first() -> None:
    rsv = Coded(code="92131-2", text="RSV", system="LN")
    of = report(observation(), observation(rsv, coded=None, value="voir commentaire"))
    decision = routed(of, standings=standing(Line.SECOND, waits=True))
    assert decision.due == {Stream.DOSSIER}
    assert decision.holds[Stream.PUBLIC_HEALTH] == Doubt.RESULT_NOT_UNDERSTOOD


def test_a_sequence_alone_is_no_index_case() -> None:
    genome = Coded(code="94764-8", text="Genome", system="LN")
    assert Stream.CONTACT_TRACING not in routed(report(observation(genome))).due
