"""First results that come back to back make as many persons with eight workers as with one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random

import msgspec
import pytest

from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.errors import TransientError
from schemas.patient import Traits
from tests.support.postgres import Database
from tests.support.resolving import Resolving, resolving

WORKERS = 8


def pairs(count: int) -> list[tuple[Traits, Traits]]:
    """Two first results of each person, from two desks that write what they see."""
    population = Population(77, count, date(2026, 11, 1))
    records: dict[int, list[Traits]] = {}
    for record in IdentityStream(population, TEST, 2 * count, 78):
        records.setdefault(record.person, []).append(record.traits)
    drawn = [(each[0], each[-1]) for each in records.values()]
    return drawn[:count]


async def work(process: Resolving, queue: list[tuple[int, Traits]]) -> dict[int, int]:
    """Resolve a record at a time, as fast as possible; return record -> person."""
    found = {}
    for number, traits in queue:
        (found[number],) = await process.persons(traits)
    return found


async def persons_of(
    road: Resolving, queues: Sequence[list[tuple[int, Traits]]]
) -> list[frozenset[int]]:
    """Let a worker take each queue at the same time; return the records of each person."""
    processes = [road.again() for _ in queues]
    parts = await asyncio.gather(*map(work, processes, queues))
    groups: dict[int, set[int]] = {}
    for part in parts:
        for number, person in part.items():
            groups.setdefault(person, set()).add(number)
    return [frozenset(group) for group in groups.values()]


def together(groups: Sequence[frozenset[int]], count: int) -> int:
    """Return how many pairs are one person."""
    person = {number: n for n, group in enumerate(groups) for number in group}
    return sum(person[2 * n] == person[2 * n + 1] for n in range(count))


async def check(database: Database, other: Database, folder: Path, count: int) -> None:
    people = pairs(count)
    rows = [(2 * n + k, pair[k]) for n, pair in enumerate(people) for k in (0, 1)]
    async with resolving(other, folder / "one") as road:
        by_one = together(await persons_of(road, [rows]), len(people))
    # The two records of a pair lie side by side in two queues, so that they meet.
    queues: list[list[tuple[int, Traits]]] = [[] for _ in range(WORKERS)]
    order = Random(5)
    for n, pair in enumerate(people):
        for k, place in enumerate(order.sample(range(WORKERS), 2)):
            queues[place].append((2 * n + k, pair[k]))
    async with resolving(database, folder / "many", connections=WORKERS) as road:
        by_many = together(await persons_of(road, queues), len(people))
        assert await road.one("SELECT count(*) FROM link_event") == 2 * len(people)
    assert by_one > len(people) * 0.5
    assert by_many >= by_one


async def test_eight_workers_split_no_more_than_one(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await check(database, other_database, tmp_path, 150)


@pytest.mark.proof
async def test_eight_workers_split_no_more_than_one_in_two_thousand_pairs(
    database: Database, other_database: Database, tmp_path: Path
) -> None:
    await check(database, other_database, tmp_path, 2_000)


async def test_merges_beside_first_results_lose_nobody(database: Database, tmp_path: Path) -> None:
    """A merge locks all keys of both persons: who comes meanwhile joins whom they became."""
    async with resolving(database, tmp_path, connections=WORKERS + 2) as road:
        people: list[Traits] = []
        first: list[int] = []
        for card, _ in pairs(60):
            one = msgspec.structs.replace(card, ins=(), identity_status="PROV")
            before, again = [(await road.persons(one))[0] for _ in range(2)]
            if before == again:  # too little is known of some: they are new each time
                people.append(one)
                first.append(before)
        merged: dict[int, int] = {}

        async def merge(gone: int, kept: int) -> None:
            for _ in range(50):
                try:
                    async with road.pool.acquire() as connection, connection.transaction():
                        await road.store.lock_keys_of(connection, [gone, kept])
                        await road.store.lock_persons(connection, [gone, kept])
                        await connection.execute(
                            "UPDATE person SET merged_into = $2 WHERE person_id = $1", gone, kept
                        )
                except TransientError:
                    continue
                merged[gone] = kept
                return
            raise AssertionError("never merged")

        async def merges() -> None:
            for gone, kept in zip(first[::2], first[1::2], strict=False):
                if gone != kept:
                    await merge(gone, kept)

        rows = list(enumerate(people))
        queues = [rows[k::WORKERS] for k in range(WORKERS)]
        groups, _ = await asyncio.gather(persons_of(road, queues), merges())
        assert sum(len(group) for group in groups) == len(rows)
        after = [(await road.persons(one))[0] for one in people]
        assert after == [merged.get(person, person) for person in first]
