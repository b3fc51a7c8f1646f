"""Whatever a laboratory writes, a finding is of closed sets, and nothing is said twice."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from routing.findings import answer_missing, findings_of
from schemas.codes import ANALYSES, CONDITIONS, OWN_SYSTEM, Kind, Result
from schemas.codes.conditions import TABLE
from schemas.codes.organisms import TABLE as ORGANISMS
from schemas.report import Coded, LabReport, Observation, ResultStatus

VARIANT = re.compile(
    r"|(?:A[01])?(?:B[01])?(?:C[01])?(?:D[01])?"
    r"|[A-Z]{1,3}(?:\.[1-9]\d{0,3}){1,3}|X[A-Z]{1,2}"
    r"|(?:19|2\d)[A-M]"
    r"|Alpha|Beta|Gamma|Delta|Epsilon|Zeta|Eta|Theta|Iota|Kappa|Lambda|Mu|Omicron"
)
CODES = [
    *(Coded(code=row.loinc, system=row.system) for row in ANALYSES.values()),
    *(Coded(code=row.loinc, system="LN") for row in TABLE.identifications),
    Coded(code="CRIBLAGE", system="L"),
    Coded(code="1988-5", system="LN"),
    Coded(code="X", system="L"),
]
SECOND_LINES = [each for each in CODES if each.code in ANALYSES and (
    ANALYSES[each.code].is_second_line
)]  # fmt: skip
NAMES = [name for row in ORGANISMS.organisms for name in row.names]
WORDS = ["Positif", "Non détecté", "En cours", "Indéterminé", "non conforme", "A1", "0", "B.1.1.7"]
values = st.text(max_size=24) | st.sampled_from(NAMES + WORDS)
codes = st.sampled_from(CODES) | st.sampled_from(SECOND_LINES)


@st.composite
def observations(draw: st.DrawFn, position: int = 1) -> Observation:
    value = draw(values)
    number = draw(st.sampled_from(["", "", "24.6", "1"]))
    coded = draw(st.none() | st.builds(Coded, code=values, text=values, system=st.sampled_from(
        ["", "SCT", "LN", "L", OWN_SYSTEM]
    )))  # fmt: skip
    return Observation(
        position=position,
        code=draw(codes),
        value=number or value,
        number=number if coded is None else "",
        coded=coded,
        interpretations=tuple(
            draw(st.lists(st.sampled_from(["POS", "NEG", "A", "?"]), max_size=2))
        ),
        status=draw(st.sampled_from(ResultStatus)),
    )


reports = st.builds(
    LabReport,
    position=st.just(1),
    code=codes,
    status=st.sampled_from(ResultStatus),
    observations=st.lists(observations(), max_size=4).map(tuple),
)


@settings(max_examples=60)
@given(reports)
@example(
    LabReport(
        position=1,
        code=CODES[0],
        status=ResultStatus.FINAL,
        observations=(Observation(position=1, code=SECOND_LINES[0], value="Mme DUPONT B.1.1.7"),),
    )
)
def test_a_finding_is_of_closed_sets(report: LabReport) -> None:
    found = findings_of(report)
    assert findings_of(report) == found
    for each in found:
        assert each.analysis.condition.code in CONDITIONS
        assert each.analysis.kind in Kind
        assert each.result in Result
        assert VARIANT.fullmatch(each.variant), each.variant
        assert not each.variant or each.analysis.is_second_line
        assert each.result is Result.POSITIVE or not each.analysis.positive_only
    worth = [(not e.analysis.makes_index_case, e.result.precedence) for e in found]
    assert worth == sorted(worth), "the decisive one first"


@settings(max_examples=60)
@given(reports)
def test_what_is_missing_is_looked_for_and_not_answered(report: LabReport) -> None:
    missing = answer_missing(report)
    assert missing <= set(CONDITIONS)
    cases = {e.analysis.condition.code for e in findings_of(report) if e.analysis.makes_index_case}
    assert not missing & cases, "an answer that makes a case answers for all of the report"
