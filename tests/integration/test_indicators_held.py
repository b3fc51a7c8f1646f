"""Between two revisions what was told stays; at one, what came is told where it tells of nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ops.indicators import publishing
from ops.indicators.answering import Published
from ops.indicators.asking import read_asked
from ops.indicators.keeper import Keeper
from ops.indicators.sidep import notes_of, sidep_file
from routing.disclosure import Policy
from schemas.figures import Figure
from tests.support.indicating import World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, row

MONDAY = date(2026, 3, 2)
SUNDAY = date(2026, 3, 8)
POLICY = Policy(revision_days=(8, 22), daily_from=1)


pytestmark = pytest.mark.timeout(900)
PLACES = ("region:11", "region:84", "department:75", "department:69")
"""Where anybody lives: 124 more tables of nobody would take their time and show nothing."""


@pytest.fixture
async def world(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(publishing, "areas", lambda: PLACES)
    async with world_of(database, tmp_path) as made:
        yield made


def on(world: World, day: date) -> None:
    world.clock.at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def some_of(begins: int, count: int, day: date, department: str = "75") -> list[Any]:
    return [row(begins + n, day, department=department) for n in range(count)]


async def told(world: World, **asked: str) -> dict[tuple[str, str], Figure]:
    question = {"area": "departments", **asked}
    answer = await Published(world.pool, 100_000).figures(CONDITION, read_asked(question.items()))
    return {(each.area, each.label): each for each in answer.figures}


async def settled(world: World) -> Keeper:
    """Tell a week of two departments."""
    for at in range(7):
        day = MONDAY + timedelta(days=at)
        await world.telling.tell(some_of(1000 * at, 60, day))
        await world.telling.tell(some_of(1000 * at + 500, 60, day, "69"))
    on(world, SUNDAY + timedelta(days=2))
    keeper = world.keeper(5000, protects=True, policy=POLICY)
    await world.count(keeper)
    return keeper


async def bytes_told(world: World) -> list[tuple[Any, ...]]:
    """Return the tables of the week, of every extraction."""
    rows = await world.fetch(
        "SELECT condition, period, day, level, extraction, figures FROM indicator_table"
        " WHERE day <= $1 ORDER BY 1, 2, 3, 4, 5",
        SUNDAY.toordinal(),
    )
    return [tuple(each) for each in rows]


async def test_what_came_is_told_at_a_revision_and_not_before(world: World) -> None:
    keeper = await settled(world)
    place = ("department:75", MONDAY.isoformat())
    assert (await told(world))[place].tests == 60
    before = await bytes_told(world)

    await world.telling.tell(some_of(90_000, 30, MONDAY) + some_of(91_000, 2, MONDAY, "69"))
    on(world, SUNDAY + timedelta(days=7))
    await world.count(keeper)
    assert await bytes_told(world) == before

    on(world, SUNDAY + timedelta(days=8))
    await world.count(keeper)
    figures = await told(world)
    few = figures["department:69", MONDAY.isoformat()]
    assert few.tests == 60
    assert "tests_held" in few.flags
    # France would give the two away: so a second one is held beside it, though 30 came.
    assert figures[place].tests == 60
    assert "tests_held" in figures[place].flags
    assert (await told(world, area="france"))["france", MONDAY.isoformat()].tests == 152
    nobody = figures["department:75", SUNDAY.isoformat()]
    assert (nobody.tests, "tests_held" in nobody.flags) == (60, False)
    # A file of SI-DEP has the same number and no place for the flag: its notes have.
    published = Published(world.pool, 100_000)
    file = sidep_file("sp-pos-quot-dep", CONDITION, await published.extraction(None))
    lines = [line async for each in file.lines(published) for line in each.splitlines()]
    notes = [line async for each in notes_of(file).lines(published) for line in each.splitlines()]
    assert any(line.startswith(f"69;{MONDAY};") and line.endswith(";60;0") for line in lines)
    said = {tuple(line.split(";")[:3]): line.split(";")[3:] for line in notes}
    assert "T" in said["69", MONDAY.isoformat(), "0"][0].split()
    assert "T" not in said.get(("75", SUNDAY.isoformat(), "0"), ["", "", ""])[0].split()


async def test_where_enough_came_everywhere_all_of_it_is_told(world: World) -> None:
    keeper = await settled(world)
    await world.telling.tell(some_of(90_000, 30, MONDAY) + some_of(91_000, 20, MONDAY, "69"))
    on(world, SUNDAY + timedelta(days=8))
    await world.count(keeper)

    figures = await told(world)
    assert figures["department:75", MONDAY.isoformat()].tests == 90
    assert figures["department:69", MONDAY.isoformat()].tests == 80
    assert (await told(world, period="week"))["department:75", "2026-S10"].tests == 450

    # Revised once more, without a word of it in between; afterwards never.
    await world.telling.tell(some_of(92_000, 30, MONDAY))
    on(world, SUNDAY + timedelta(days=21))
    await world.count(keeper)
    assert (await told(world))["department:75", MONDAY.isoformat()].tests == 90
    on(world, SUNDAY + timedelta(days=22))
    await world.count(keeper)
    assert (await told(world))["department:75", MONDAY.isoformat()].tests == 120
    rows = await world.fetch("SELECT DISTINCT revised FROM indicator_told WHERE revise_on IS NULL")
    assert [each["revised"] for each in rows] == [2], "there is no further revision"
    (twice,) = await world.fetch(
        "SELECT count(*) - count(DISTINCT (condition, day)) AS n FROM indicator_told"
    )
    assert twice["n"] == 0, "only what is told now is kept"


async def test_what_was_withdrawn_is_held_too(world: World) -> None:
    for at in range(7):
        day = MONDAY + timedelta(days=at)
        await world.telling.tell(some_of(1000 * at + 500, 60, day, "69"))
    reports = await world.telling.tell(some_of(0, 60, MONDAY))
    on(world, SUNDAY + timedelta(days=2))
    keeper = world.keeper(5000, protects=True, policy=POLICY)
    await world.count(keeper)
    await world.telling.write([world.telling.event(reports[n], None, CONDITION) for n in range(3)])
    on(world, SUNDAY + timedelta(days=8))
    await world.count(keeper)

    held = (await told(world, period="week", area="france"))["france", "2026-S10"]
    assert held.tests == 480
    assert "tests_held" in held.flags


async def test_a_day_that_is_not_settled_is_not_told_not_of_france_either(world: World) -> None:
    await settled(world)
    await world.telling.tell(some_of(80_000, 60, SUNDAY + timedelta(days=1)))
    await world.telling.tell(some_of(81_000, 60, SUNDAY + timedelta(days=2)))
    on(world, SUNDAY + timedelta(days=3))
    await world.count(world.keeper(5000, protects=True, policy=POLICY))

    days = {label for _, label in await told(world, area="france")}
    assert (SUNDAY + timedelta(days=1)).isoformat() in days
    assert (SUNDAY + timedelta(days=2)).isoformat() not in days


async def test_what_is_behind_is_not_told_for_good(world: World) -> None:
    await world.telling.tell(some_of(0, 60, MONDAY))
    on(world, SUNDAY + timedelta(days=2))
    keeper = world.keeper(5000, protects=True, policy=POLICY)
    keeper._extractor._most_waiting = -1  # type: ignore[attr-defined]
    await world.count(keeper)
    assert await told(world) == {}

    keeper._extractor._most_waiting = 0  # type: ignore[attr-defined]
    on(world, SUNDAY + timedelta(days=3))
    await world.count(keeper)
    assert (await told(world))["department:75", MONDAY.isoformat()].tests == 60


async def test_another_policy_tells_what_stood_and_not_what_came(world: World) -> None:
    await settled(world)
    await world.telling.tell(some_of(90_000, 2, MONDAY))
    on(world, SUNDAY + timedelta(days=3))
    other = Policy(revision_days=(8, 22), daily_from=2)
    await world.count(world.keeper(5000, protects=True, policy=other))

    assert (await told(world))["department:75", MONDAY.isoformat()].tests == 60
