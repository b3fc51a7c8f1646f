"""The tables of conditions: complete, each code once, and with examples for every stream."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ops.register.code_rows import loinc_key_is_right
from routing.facts import Facts
from routing.findings import findings_of
from routing.rule_file import load_own_rules
from routing.rules import Rule
from schemas.codes import ANALYSES, CONDITIONS, Kind, analysis_in, answer_of, unit_fits
from schemas.codes.conditions import TABLE
from schemas.codes.organisms import TABLE as ORGANISMS
from schemas.codes.variants import lineage_of
from schemas.report import Coded, Specimen
from schemas.topics import STREAMS, Stream
from tests.unit.test_routing_cases import observation, report

RULES = load_own_rules().rules
TRACED = frozenset().union(
    *(rule.conditions for rule in RULES if rule.stream is Stream.CONTACT_TRACING)
)
FINDERS = {Kind.RNA, Kind.DNA, Kind.ANTIGEN, Kind.CULTURE, Kind.MICROSCOPY, Kind.TOXIN, Kind.IGM}


def told_of(facts: Facts) -> set[str]:
    return {condition for condition, _, _ in facts.findings}


def examples(stream: Stream, kind: str) -> Counter[str]:
    counted: Counter[str] = Counter()
    for rule in RULES:
        if rule.stream is stream:
            given: tuple[Facts, ...] = getattr(rule, kind)
            counted.update(each for facts in given for each in told_of(facts))
    return counted


@pytest.mark.parametrize("stream", STREAMS)
def test_every_condition_has_an_example_and_a_counterexample_in_every_stream(
    stream: Stream,
) -> None:
    wanted = TRACED if stream is Stream.CONTACT_TRACING else set(CONDITIONS)
    assert wanted <= set(examples(stream, "must"))
    assert set(CONDITIONS) <= set(examples(stream, "must_not"))


@pytest.mark.parametrize("code", sorted(set(CONDITIONS) - TRACED))
def test_what_is_not_traced_has_a_positive_counterexample(code: str) -> None:
    kinds = CONDITIONS[code].index_kinds
    assert any(
        (condition, result) == (code, "positive") and kind in kinds
        for rule in RULES
        if rule.stream is Stream.CONTACT_TRACING
        for facts in rule.must_not
        for condition, kind, result in facts.findings
    )


def test_only_what_makes_an_index_case_is_traced() -> None:
    for rule in RULES:
        if rule.stream is Stream.CONTACT_TRACING:
            for code in rule.conditions:
                assert rule.kinds <= CONDITIONS[code].index_kinds, (rule.id, code)


def test_every_index_kind_of_a_traced_condition_is_traced() -> None:
    for code in TRACED:
        kinds = _kinds([rule for rule in RULES if rule.stream is Stream.CONTACT_TRACING], code)
        assert kinds == CONDITIONS[code].index_kinds, code


def test_every_kind_reaches_public_health_but_a_viral_load() -> None:
    rules = [rule for rule in RULES if rule.stream is Stream.PUBLIC_HEALTH]
    for code in set(CONDITIONS) - {"hiv"}:
        assert _kinds(rules, code) == set(Kind) - {Kind.VIRAL_LOAD}


def _kinds(rules: list[Rule], code: str) -> set[Kind]:
    return {kind for rule in rules if code in rule.conditions for kind in rule.kinds}


def test_hiv_is_anonymous_and_never_traced() -> None:
    assert {code for code, each in CONDITIONS.items() if each.anonymous} == {"hiv"}
    assert "hiv" not in TRACED
    named = [rule for rule in RULES if "hiv" in rule.conditions]
    assert [rule.projection for rule in named] == ["public-health-anonymous"]


def test_every_condition_can_be_found() -> None:
    found = {row.condition.code for row in ANALYSES.values() if row.makes_index_case}
    found |= {row.condition for row in ORGANISMS.organisms if row.says == "positive"}
    assert found == set(CONDITIONS)
    assert all(
        each.display and each.display_fr and each.index_kinds for each in CONDITIONS.values()
    )


def test_every_code_says_where_its_label_was_read() -> None:
    rows = [(row.loinc, row.source, row.display) for row in TABLE.analyses]
    rows += [(row.loinc, row.source, row.display) for row in TABLE.identifications]
    for loinc, source, display in rows:
        assert source in TABLE.sources
        assert display
        assert source == "own" or loinc_key_is_right(loinc), loinc


def test_screening_and_sequencing_are_second_lines_and_make_no_case() -> None:
    for row in ANALYSES.values():
        assert row.is_second_line is (row.kind in {Kind.SEQUENCE, Kind.SCREENING})
        assert not (row.is_second_line and row.makes_index_case)


def test_notifiable_conditions_are_those_of_the_list() -> None:
    assert {code for code, each in CONDITIONS.items() if not each.notifiable} == {
        "influenza", "influenza-a", "influenza-b", "rsv", "mers",
    }  # fmt: skip


def coded(code: str, system: str = "LN", **changes: Any) -> Any:
    return observation(Coded(code=code, system=system), **changes)


def said(code: str, *, system: str = "LN", **changes: Any) -> tuple[str, str, str] | None:
    seen = coded(code, system, **changes)
    analysis = analysis_in(seen)
    if analysis is None:
        return None
    answer = answer_of(analysis, seen)
    if answer is None:
        return analysis.condition.code, "", ""
    return analysis.condition.code, answer.result.value, answer.variant


def organism(code: str, value: str) -> tuple[str, str, str] | None:
    return said(code, coded=None, value=value)


def test_a_culture_is_about_the_organism_that_it_names() -> None:
    by_code: dict[str, Any] = {"coded": Coded(code="17872004", text="N. men.", system="SCT")}
    assert said("600-7", **by_code) == ("meningococcus", "positive", "")
    assert organism("600-7", "Neisseria meningitidis groupe B") == ("meningococcus", "positive", "")
    assert organism("11475-1", "MYCOBACTERIUM TUBERCULOSIS") == ("tuberculosis", "positive", "")
    assert organism("17563-8", "Salmonella Typhi") == ("typhoid", "positive", "")
    assert said("600-7", coded=Coded(text="E. coli", code="112283007", system="SCT")) is None
    assert organism("600-7", "Absence de Neisseria meningitidis") is None
    assert organism("600-7", "Négatif") is None
    assert organism("17563-8", "Salmonella Enteritidis") is None


def test_an_analysis_for_one_germ_hears_of_its_relatives() -> None:
    assert organism("543-9", "Mycobacterium tuberculosis") == ("tuberculosis", "positive", "")
    assert organism("543-9", "Mycobacterium avium") == ("tuberculosis", "negative", "")
    assert organism("543-9", "Culture négative") == ("tuberculosis", "negative", "")
    assert organism("543-9", "Mycobacterium sp") == ("tuberculosis", "", "")
    assert organism("600-7", "Mycobacterium avium") is None, "nobody looked for tuberculosis"
    assert organism("6579-7", "Vibrio cholerae O1") == ("cholera", "positive", "")
    assert organism("6604-3", "Influenza A(H5N1)") == ("influenza-a", "positive", "")
    assert organism("543-9", "Neisseria meningitidis") == ("tuberculosis", "", "")


def test_a_culture_finds_only_what_it_grows() -> None:
    assert organism("600-7", "Dengue virus") is None
    assert organism("6584-7", "Dengue virus") == ("dengue", "positive", "")
    assert organism("17563-8", "Neisseria meningitidis") is None
    assert organism("14357-8", "Mycobacterium tuberculosis") is None
    known = set(CONDITIONS)
    assert all(row.only and row.only <= known - {"hiv"} for row in TABLE.identifications)


def test_absence_of_a_whole_name_is_an_answer_to_who_looked_for_it() -> None:
    assert organism("543-9", "Absence de Mycobacterium") == ("tuberculosis", "negative", "")
    assert organism("6579-7", "Absence de Vibrio cholerae") == ("cholera", "negative", "")
    assert organism("543-9", "Absence de Vibrio cholerae") == ("tuberculosis", "", "")
    assert organism("543-9", "Pas d'absence de Mycobacterium") == ("tuberculosis", "", "")


def test_what_is_carried_is_no_invasive_disease() -> None:
    order = Coded(code="16134-9", system="LN")

    def found(specimen: Specimen | None) -> list[str]:
        told = report(observation(order), code=order, specimen=specimen)
        return [each.analysis.condition.code for each in findings_of(told)]

    def of(code: str = "", text: str = "") -> Specimen:
        return Specimen(type=Coded(code=code, text=text, system="SCT" if code else "L"))

    assert found(of("258450006", "Cerebrospinal fluid")) == ["meningococcus"]
    assert found(None) == ["meningococcus"], "nobody says what was sampled"
    assert found(of("119389009")) == []
    assert found(of(text="Prélèvement de gorge")) == []
    assert findings_of(report(observation(), specimen=of("119389009"))), "other germs: anywhere"


def test_an_interpretation_stands_over_the_name_of_the_organism() -> None:
    named = Coded(code="17872004", text="Neisseria meningitidis", system="SCT")
    assert said("600-7", coded=named, interpretations=("NEG",)) == ("meningococcus", "negative", "")
    assert said("600-7", coded=named, interpretations=("A",)) == ("meningococcus", "positive", "")


def test_the_value_of_an_ordinary_analysis_names_no_organism() -> None:
    assert organism("94500-6", "Dengue virus") == ("sars-cov-2", "", "")


SCREEN = "99LABDISPATCH"


@pytest.mark.parametrize(
    ("code", "value", "variant"),
    [
        ("CRIBLAGE-A", "Positif", "A1"),
        ("CRIBLAGE-A", "Absence", "A0"),
        ("CRIBLAGE-B", "B0", "B0"),
        ("CRIBLAGE-C", "1", "C1"),
        ("CRIBLAGE-C", "L452R présente", "C1"),
        ("CRIBLAGE-D", "D1", "D1"),
        ("CRIBLAGE", "A0B0C1", "A0B0C1"),
        ("CRIBLAGE", "c1 / a0", "A0C1"),
    ],
)
def test_screening_is_told_by_letters(code: str, value: str, variant: str) -> None:
    assert said(code, system=SCREEN, coded=None, value=value) == (
        "sars-cov-2", "positive", variant,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "value"),
    [("CRIBLAGE-A", "B1"), ("CRIBLAGE-A", "A9"), ("CRIBLAGE", "E"), ("CRIBLAGE", "A0 A1")],
)
def test_a_mark_of_another_letter_or_of_no_letter_says_nothing(code: str, value: str) -> None:
    assert said(code, system=SCREEN, coded=None, value=value) == ("sars-cov-2", "", "")


def test_our_codes_are_of_our_system_only() -> None:
    assert said("CRIBLAGE-A", system="L", coded=None, value="A1") is None
    assert said("94500-6", system=SCREEN) is None


def test_a_mutation_by_its_name() -> None:
    assert organism("96751-3", "E484K") == ("sars-cov-2", "positive", "A1")
    assert organism("96751-3", "Absence de la mutation L452R") == ("sars-cov-2", "positive", "C0")
    assert organism("96751-3", "N501Y") == ("sars-cov-2", "", "")


@pytest.mark.parametrize(
    ("text", "lineage"),
    [
        ("B.1.1.7", "B.1.1.7"), ("BA.2.86", "BA.2.86"), ("XBB", "XBB"), ("XBB.1.5", "XBB.1.5"),
        ("JN.1", "JN.1"), ("omicron", "Omicron"), ("21K", "21K"), ("20I (Alpha, V1)", "20I"),
    ],
)  # fmt: skip
def test_a_lineage_is_what_its_nomenclature_writes(text: str, lineage: str) -> None:
    assert lineage_of(text) == lineage
    assert organism("96895-8", text) == ("sars-cov-2", "positive", lineage)


@pytest.mark.parametrize(
    "text",
    ["A", "B", "Mme B.1", "BA2", "b.1.1.7 probable", "B.1.1.7\nDUPONT", "BA.2.86.1.1.1", "99Z",
     "DUPONT", "O.1", "B.0", "21K Jean", "(Alpha)", "XO.1", "B.1."],
)  # fmt: skip
def test_what_is_no_lineage_never_leaves(text: str) -> None:
    assert lineage_of(text) == ""


def test_units_by_kind() -> None:
    assert unit_fits("62469-2", "copies/mL")
    assert not unit_fits("62469-2", "mg/L")
    assert not unit_fits("21503-8", "kg")
    assert unit_fits("22502-9", "anything"), "of a kind without a table nothing is said"
