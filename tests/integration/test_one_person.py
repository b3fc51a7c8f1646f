"""Two first results of one new person never make two persons, however many workers there are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas.report import LabReport
from tests.support.hub import PARTITIONS, Road, scratch_hub
from tests.support.people import dominique, message, report
from tests.support.postgres import Database

PERSONS = 25


def somebody(number: int, *, with_ins: bool) -> dict[str, object]:
    """Somebody new, of no household: found by strict traits alone, or by INS with a slip."""
    given = f"{chr(65 + number // 5)}LEX{chr(65 + number % 5)}NDRE"
    return {
        "ins": dominique().ins if with_ins else (),
        "birth_given": given,
        "birth_givens": (given,),
        "birth_place": f"{number + 10}001",
        "address": None,
        "phones": (),
        "birth_date": f"19{50 + number}-0{number % 9 + 1}-1{number % 9}",
    }


def order(number: int, partition: int) -> LabReport:
    return report(filler_order_number=f"F-{partition}-{number}")


@pytest.mark.parametrize("workers", [2, 4, 8])
async def test_back_to_back_first_results_make_one_person_each(
    database: Database, tmp_path: Path, workers: int
) -> None:
    async with scratch_hub(database, tmp_path, connections=workers * 2, partitions=workers) as hub:
        roads = [Road(hub) for _ in range(workers)]
        for partition in range(workers):
            people = [somebody(n, with_ins=False) for n in range(PERSONS)]
            if partition % 2:
                people.reverse()  # locks are sorted: no circle, whatever the order of arrival
            await roads[0].put(
                *(
                    message(dominique(**traits), order(n, partition))
                    for n, traits in enumerate(people)
                ),
                partition=partition,
            )
        await asyncio.gather(*(drain(road, p) for p, road in enumerate(roads)))
        assert len(await roads[0].rows("SELECT person_id FROM person")) == PERSONS
        assert (await roads[0].account()).dispatched == PERSONS * workers
        kinds = await roads[0].rows("SELECT kind, count(*) AS n FROM link_event GROUP BY kind")
        counted = {row["kind"]: row["n"] for row in kinds}
        assert counted == {"new": PERSONS, "link": PERSONS * (workers - 1)}


async def test_the_same_with_an_ins_and_slips_in_the_name(
    database: Database, tmp_path: Path
) -> None:
    """Tight and wide keys: the records share the INS key only."""
    async with scratch_hub(database, tmp_path, connections=16) as hub:
        roads = [Road(hub) for _ in range(PARTITIONS)]
        names = ["PAT-TROIS", "PAT-TROI", "PATTROIS", "PAT TROIX"]
        for partition, name in enumerate(names):
            await roads[0].put(
                message(dominique(birth_family=name), order(0, partition)), partition=partition
            )
        await asyncio.gather(*(drain(road, p) for p, road in enumerate(roads)))
        assert len(await roads[0].rows("SELECT person_id FROM person")) == 1


async def drain(road: Road, partition: int) -> None:
    """Handle one partition, a record at a time, as fast as possible."""
    position = 0
    while True:
        batch = await road.hub.log.read({partition: position}, 1)
        if not batch.records:
            return
        await road.dispatcher.handle({partition: position}, batch.records, batch.next_offsets)
        position = batch.next_offsets[partition]
