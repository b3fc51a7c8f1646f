"""A key that very many persons share leads nowhere by itself, and nobody is lost under it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dedup.persons import Bounds
from schemas.patient import Address
from tests.support.postgres import Database
from tests.support.residents import resident
from tests.support.resolving import Resolving, resolving


async def fill(road: Resolving, people: int, batch: int = 50) -> list[int]:
    found: list[int] = []
    for start in range(0, people, batch):
        found += await road.persons(
            *(resident(n) for n in range(start, min(people, start + batch)))
        )
    return found


async def test_five_thousand_people_under_one_key_are_all_found_again(
    database: Database, tmp_path: Path
) -> None:
    """Scaled down tenfold: the bound and the people alike."""
    async with resolving(database, tmp_path, bounds=Bounds(key_persons=30)) as road:
        first = await fill(road, 500)
        assert len(set(first)) == 500
        hot = await road.rows("SELECT key, persons FROM hot_key")
        assert hot
        assert max(row["persons"] for row in hot) <= 30 + 50 + 1
        again = road.again()
        assert await fill(again, 500) == first


async def test_rows_under_a_hot_key_stop_growing(database: Database, tmp_path: Path) -> None:
    async with resolving(database, tmp_path, bounds=Bounds(key_persons=30)) as road:
        await fill(road, 300)
        most = await road.one(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM person_key GROUP BY key) AS t"
        )
        assert most <= 30 + 50 + 1


async def test_an_exact_resend_under_hot_keys_finds_its_person_at_once(
    database: Database, tmp_path: Path
) -> None:
    """The first process remembers the hot keys, the second reads them: both give one person."""
    async with resolving(database, tmp_path, bounds=Bounds(key_persons=30)) as road:
        await fill(road, 120)
        other = road.again()
        somebody = resident(5_000)
        (one,) = await road.persons(somebody)
        (two,) = await other.persons(somebody)
        (three,) = await road.persons(somebody)
        assert one == two == three


@pytest.mark.parametrize("remembers", [True, False])
async def test_two_at_once_under_hot_keys_make_one_person(
    database: Database, tmp_path: Path, *, remembers: bool
) -> None:
    """A process that knows a key as hot locks its narrower keys alone; one that does not, both."""
    async with resolving(database, tmp_path, connections=8, bounds=Bounds(key_persons=30)) as road:
        await fill(road, 120)
        before = await road.one("SELECT count(*) FROM person")
        roads = [road if remembers else road.again() for _ in range(3)] + [road.again()]
        for number in range(6_000, 6_020):
            found = await asyncio.gather(*(each.persons(resident(number)) for each in roads))
            assert len({person for (person,) in found}) == 1
        assert await road.one("SELECT count(*) FROM person") == before + 20


async def test_somebody_without_names_under_a_hot_key_is_no_error(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path, bounds=Bounds(key_persons=5)) as road:
        nobodies = [resident(n, birth_family="", birth_given="", used_family="") for n in range(12)]
        for each in nobodies:
            await road.persons(each)
        await fill(road, 40, batch=7)


async def test_a_persons_many_sets_of_traits_are_compared_up_to_the_bound(
    database: Database, tmp_path: Path
) -> None:
    async with resolving(database, tmp_path, bounds=Bounds(aliases=3)) as road:
        moves = [
            resident(1, address=Address(lines=(f"{n} RUE NEUVE",), city="LENS", postcode="62300"))
            for n in range(10)
        ]
        found = [(await road.persons(move))[0] for move in moves]
        assert len(set(found)) == 1
        assert await road.one("SELECT count(*) FROM person_alias") == 10
