"""From a message to the streams: cultures, HIV, mutations, and answers that nobody understands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.report import Coded, LabReport, Observation, Specimen
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, observation, report
from tests.support.postgres import Database

LEGAL = (Stream.CONTACT_TRACING, Stream.PUBLIC_HEALTH)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def of(loinc: str, *said: Observation, **changes: Any) -> LabReport:
    code = Coded(code=loinc, system="LN")
    number = f"F-{loinc}"
    return report(code=code, filler_order_number=number, observations=said, **changes)


def text(loinc: str, value: str, **changes: Any) -> Observation:
    code = Coded(code=loinc, system="LN")
    return observation(code=code, coded=None, value_type="ST", value=value, **changes)


async def told(road: Road) -> dict[str, list[tuple[str, str]]]:
    """Return what each legal stream says: condition and method of every event with a body."""
    found: dict[str, list[tuple[str, str]]] = {}
    for stream in LEGAL:
        bodies = [event["body"] for event in await road.events(stream) if event["body"]]
        found[stream.value] = sorted((body["condition"], body["method"]) for body in bodies)
    return found


async def test_a_culture_goes_where_its_organism_belongs(road: Road) -> None:
    blood = Specimen(type=Coded(code="119297000", text="Sang", system="SCT"))
    throat = Specimen(type=Coded(code="119389009", text="Gorge", system="SCT"))
    await road.put(
        message(None, of("543-9", text("543-9", "Mycobacterium tuberculosis"))),
        message(None, of("600-7", text("600-7", "Neisseria meningitidis"), specimen=blood)),
        message(None, of("16134-9", text("16134-9", "Positif"), specimen=throat)),
        message(None, of("17563-8", text("17563-8", "Salmonella Enteritidis"))),
    )
    await road.dispatch()
    both = [("meningococcus", "culture"), ("tuberculosis", "culture")]
    assert await told(road) == {"contact-tracing": both, "public-health": both}


async def test_hiv_is_told_to_public_health_alone_and_only_when_found(road: Road) -> None:
    await road.put(
        message(None, of("56888-1", text("56888-1", "Positif"))),
        message(None, of("80387-4", text("80387-4", "Négatif"))),
        message(None, of("62469-2", text("62469-2", "indétectable"))),
    )
    await road.dispatch()
    found = await told(road)
    assert found == {"contact-tracing": [], "public-health": [("hiv", "antibody")]}


async def test_what_nobody_understands_waits_and_the_rest_flows(road: Road) -> None:
    odd = text("62469-2", "24", number="24", unit=Coded(code="kg", system="UCUM"))
    await road.put(
        message(None, of("21503-8", text("21503-8", "voir commentaire"))),
        message(None, of("6579-7", text("6579-7", "Vibrio cholerae"))),
        message(None, of("62469-2", msgspec.structs.replace(odd, value_type="NM"))),
    )
    await road.dispatch()
    assert await told(road) == {stream.value: [] for stream in LEGAL}
    rows = await road.rows(
        "SELECT reason, count(DISTINCT report_id) AS n FROM hold WHERE stream = 'public-health'"
        " GROUP BY reason ORDER BY reason"
    )
    # A viral load is told in the dossier alone: its odd unit keeps nothing else waiting.
    assert [(row["reason"], row["n"]) for row in rows] == [("result_not_understood", 2)]
