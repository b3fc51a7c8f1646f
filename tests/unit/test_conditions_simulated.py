"""What simulated laboratories find is read as what they found: from their bytes to the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import pytest

from ingest.mapping import map_raw
from ops.simulate.analyses import (
    ANALYSES,
    BLOOD_CULTURE,
    HEPATITIS_A,
    HIV,
    LEGIONELLA,
    MEASLES_IGM,
    MEASLES_RNA,
    MYCOBACTERIA,
    STOOL_CULTURE,
    ZIKA_RNA,
)
from ops.simulate.simulation import SimulatedMessage, Simulation
from routing.findings import answer_missing, findings_of
from schemas.codes import CONDITIONS
from schemas.report import LabReport, MappedMessage

RARE = {
    each.code: each.condition
    for each in (MEASLES_RNA, MEASLES_IGM, ZIKA_RNA, HIV, HEPATITIS_A, LEGIONELLA, MYCOBACTERIA)
}
SAYS = {"POS": "positive", "NEG": "negative", "IND": "indeterminate"}


@pytest.fixture(scope="module")
def sent() -> list[SimulatedMessage]:
    start = datetime(2026, 3, 6, 8, tzinfo=UTC)
    simulation = Simulation(seed=3, labs=12, start_at=start, persons=1_500)
    return [one for one in islice(simulation.messages(), 2_500) if one.expected == "AA"]


def read(message: SimulatedMessage) -> Iterator[tuple[LabReport, str, str]]:
    """Yield each report as it was mapped, with the code and the result that it has in truth."""
    mapped = map_raw(message.raw)
    assert isinstance(mapped, MappedMessage), message.kind
    for report, true in zip(mapped.reports, message.reports, strict=True):
        yield report, true.code, true.result


def of_codes(sent: list[SimulatedMessage], codes: set[str]) -> Iterator[tuple[LabReport, str, str]]:
    for message in sent:
        if message.kind == "new" and any(true.code in codes for true in message.reports):
            yield from (each for each in read(message) if each[1] in codes)


def test_rare_conditions_are_found(sent: list[SimulatedMessage]) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for report, code, result in of_codes(sent, set(RARE)):
        found = [(each.analysis.condition.code, each.result.value) for each in findings_of(report)]
        assert found == ([(RARE[code], SAYS[result])] if result else [])
        assert not answer_missing(report)
        seen[RARE[code], result] += 1
    assert {condition for condition, _ in seen} == set(RARE.values())
    assert seen["measles", "POS"] and seen["tuberculosis", "POS"]


def test_cultures_for_any_germ_are_of_what_they_name(sent: list[SimulatedMessage]) -> None:
    seen: Counter[tuple[str, bool]] = Counter()
    for report, code, result in of_codes(sent, {BLOOD_CULTURE.code, STOOL_CULTURE.code}):
        found = [each.analysis.condition.code for each in findings_of(report)]
        is_tracked = code == BLOOD_CULTURE.code and result == "POS"
        assert found == (["meningococcus"] if is_tracked else []), "other salmonellae: nothing"
        assert not answer_missing(report)
        seen[code, result == "POS"] += 1
    assert seen[BLOOD_CULTURE.code, False] and seen[STOOL_CULTURE.code, False]


def test_second_lines_say_their_variant(sent: list[SimulatedMessage]) -> None:
    variants: Counter[str] = Counter()
    for message in sent:
        if message.kind == "second_line":
            for report, _, _ in read(message):
                said = {each.variant for each in findings_of(report) if each.variant}
                assert len(said) == 1
                variants.update(said)
                assert not answer_missing(report)
    assert any(each.startswith("A0B0C") for each in variants)
    assert any("." in each for each in variants)


def test_the_tables_know_what_is_simulated() -> None:
    tracked = {each.condition for each in ANALYSES} - {"", "salmonella"}
    assert tracked <= set(CONDITIONS)
