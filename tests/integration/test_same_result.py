"""One result once: whatever message, system or month it comes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from ingest.mapping import map_raw
from schemas.report import MappedMessage, Organisation, ResultStatus
from schemas.topics import Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

FORGET = "DELETE FROM inbox"
"""What 36 days do."""

PATIENT = (
    "279035121518989^^^ASIP&1.2.250.1.213.1.4.10&ISO^INS||PAT-TROIS^DOMINIQUE^^^^^L||19790328|F|||"
    "^^^^^^BDL^^63220" + "|" * 21 + "VALI"
)
ONE_CODE = "94500-6^ARN SARS-CoV-2^LN"
TWO_CODES = "COVPCR^PCR COVID^L^94500-6^ARN SARS-CoV-2 (PCR)^LN"
AT = "20261120074500+0100"
SYSTEM_A = (
    "MSH|^~\\&|LIS-A|300017985|HUB|HUB|20261120101502+0100||ORU^R01^ORU_R01|A-1|T|2.5.1|||||FRA"
    f"|UNICODE UTF-8\rPID|1||{PATIENT}\rORC|NW|ORD-889|LAB-5567\r"
    f"OBR|1|ORD-889|LAB-5567|{ONE_CODE}|||{AT}{'|' * 15}20261120101000+0100|||F\r"
    f"OBX|1|CWE|{ONE_CODE}||260373001^Detecte^SCT||||||F\r"
)
SYSTEM_B = (
    "MSH|^~\\&|MIDDLEWARE|SITE-B|HUB|HUB|20270105090000+0100||ORU^R01|77|T|2.3|||||FRA"
    f"|UNICODE UTF-8\rPID|||{PATIENT}\rORC|RE|ORD-889|LAB-5567\r"
    f"OBR|3|ORD-889|LAB-5567|{TWO_CODES}|||{AT}{'|' * 15}20270105085900+0100|||F\r"
    f"OBX|9|CE|{TWO_CODES}||260373001^Détecté^SCT||||||F\r"
)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def mapped(raw: str) -> MappedMessage:
    found = map_raw(raw.encode())
    assert isinstance(found, MappedMessage)
    return found


async def test_two_systems_of_a_laboratory_tell_one_result_once(road: Road) -> None:
    """Other application, facility, version, set ids, times of the message and of release."""
    await road.put(mapped(SYSTEM_A))
    await road.dispatch()
    await road.rows(FORGET)
    await road.put(mapped(SYSTEM_B), mapped(SYSTEM_A))
    await road.dispatch()
    assert await road.endings() == [
        ("dispatched", ""),
        ("duplicate", "same_content"),
        ("duplicate", "same_content"),
    ]
    assert await road.kinds() == {
        "dossier": ["published"],
        "contact-tracing": ["published"],
        "public-health": ["published"],
    }
    (row,) = await road.rows("SELECT version FROM report")
    assert row["version"] == 1


async def test_the_same_numbers_of_another_laboratory_are_another_result(road: Road) -> None:
    await road.put(mapped(SYSTEM_A), partition=0)
    await road.put(mapped(SYSTEM_A), partition=1)
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("dispatched", "")]


@pytest.mark.parametrize("in_one_batch", [True, False])
async def test_a_resend_of_what_was_corrected_takes_nothing_back(
    road: Road, *, in_one_batch: bool
) -> None:
    """The same bytes, 36 days later: F, another F, and the first F again."""
    first = message(None, report(reported_at="2026-11-20T12:00:00+01:00"))
    other = message(None, report(notes=("mended",), reported_at="2026-11-20T15:00:00+01:00"))
    await road.put(first, raws=[b"first"])
    await road.dispatch()
    await road.rows(FORGET)
    await road.put(other)
    if not in_one_batch:
        await road.dispatch()
    await road.put(first, raws=[b"first"])
    await road.dispatch()
    assert (await road.endings())[-1] == ("duplicate", "same_content")
    (row,) = await road.rows("SELECT version FROM report")
    assert row["version"] == 2
    assert (await road.kinds())["dossier"] == ["published", "revised"]


async def test_every_order_of_three_states_ends_in_the_same_streams(road: Road) -> None:
    states = [
        report(status=ResultStatus.PRELIMINARY),
        report(notes=("final",)),
        report(status=ResultStatus.CORRECTED, notes=("corrected",)),
    ]
    for number, order in enumerate(permutations(states)):
        await road.put(
            *(
                message(None, msgspec.structs.replace(each, filler_order_number=f"F-{number}"))
                for each in order
            )
        )
    await road.dispatch()
    last = {e["report_id"]: e["body"] for e in await road.events(Stream.DOSSIER)}
    assert len(last) == 6
    found = await road.rows("SELECT status FROM report")
    assert {row["status"] for row in found} == {"C"}
    late = await road.rows("SELECT count(*) AS n FROM lab_finding WHERE code = 'version_outranked'")
    assert late[0]["n"] == sum(_late(order) for order in permutations((1, 2, 3)))


def _late(order: tuple[int, ...]) -> int:
    return sum(rank < max(order[: place + 1]) for place, rank in enumerate(order))


async def test_a_correction_that_changes_the_patient_leaves_nothing_behind(road: Road) -> None:
    other = dominique(ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", sex="M")
    await road.put(message())
    await road.dispatch()
    await road.put(message(other, report(status=ResultStatus.CORRECTED)))
    await road.dispatch()
    kinds = await road.kinds()
    assert kinds["dossier"] == ["published", "withdrawn", "published"]
    assert kinds["public-health"] == ["published", "revised"]
    rows = await road.events(Stream.PUBLIC_HEALTH)
    assert rows[0]["body"]["pseudonym"] != rows[1]["body"]["pseudonym"]


@pytest.mark.parametrize("letter", "XDW")
async def test_what_is_taken_back_before_it_comes_counts_nowhere(road: Road, letter: str) -> None:
    status = ResultStatus(letter)
    await road.put(
        message(None, report(status=status, observations=(observation(status=status),))), message()
    )
    await road.dispatch()
    kinds = await road.kinds()
    assert (kinds["public-health"], kinds["contact-tracing"]) == ([], [])


async def test_the_performer_is_named_by_the_report_not_by_who_sent_it(road: Road) -> None:
    site = report(performer=Organisation(name="SITE B"))
    await road.put(message(None, report(performer=Organisation(name="SITE A"))))
    await road.put(message(None, site))
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("duplicate", "same_content")]
