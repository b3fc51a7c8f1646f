"""Delays are told once, when a week is old enough, and answered as of any extraction since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from ops.indicators import operating
from ops.indicators.answering import Published
from ops.indicators.delayed import read_delays_asked
from ops.runtime.metrics import METRICS
from routing.disclosure import Policy
from schemas.areas.population import synthetic_population
from schemas.errors import PermanentError
from schemas.figures import DelayFigure
from tests.integration.test_indicators import ASKER
from tests.integration.test_indicators_http import PATH, client_of
from tests.support.indicating import World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, row

MONDAY = date(2026, 3, 2)
WEEK = "2026-S10"
SETTLED = datetime(2026, 3, 30, 12, tzinfo=UTC)


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        yield made


def rows_of(begins: int, count: int) -> list[Any]:
    """Return rows of a week: four in five came the next day, the others on the same or on the 3rd.

    Every eighth has an imputed residence, every tenth no known day of sampling.
    """
    random = Random(begins)
    found = []
    for n in range(begins, begins + count):
        day = MONDAY + timedelta(days=n % 7)
        delay = (1, 1, 1, 0, 3)[n % 5]
        more: dict[str, Any] = {"residence_imputed": n % 8 == 0, "sampled_on_imputed": n % 10 == 7}
        received = day if more["sampled_on_imputed"] else day + timedelta(days=delay)
        department = random.choice(("75", "75", "92", "69"))
        found.append(row(n, day, department=department, received_on=received.isoformat(), **more))
    return found


async def told(world: World, *where: tuple[str, str]) -> list[DelayFigure]:
    asked = read_delays_asked(where)
    return (await Published(world.pool, 1_000).delays(CONDITION, asked)).delays


async def test_a_week_is_told_once_it_is_settled_and_as_of_any_extraction(world: World) -> None:
    await world.telling.tell(rows_of(0, 1_400))
    keeper = world.keeper(2_000, protects=True)
    await world.count(keeper)
    assert await told(world) == [], "the week is not settled"
    world.clock.at = SETTLED - timedelta(days=1)
    await world.count(keeper)
    assert await told(world) == []
    world.clock.at = SETTLED

    await world.count(keeper)

    (france,) = await told(world)
    assert (france.label, france.tests, france.median_days) == (WEEK, 1_400, 1)
    assert (france.by_reception_tests, france.imputed_tests) == (140, 175)
    by_days = {each.first: each.tests for each in france.classes}
    assert (by_days[0], by_days[1], by_days[3], by_days[None]) == (280, 700, 280, 140)
    days = await told(world, ("period", "day"), ("from", "2026-03-03"), ("to", "2026-03-04"))
    assert [each.label for each in days] == ["2026-03-03", "2026-03-04"]
    assert sum(each.tests or 0 for each in await told(world, ("period", "day"))) == 1_400
    areas = await told(world, ("area", "departments"))
    assert sum(each.tests or 0 for each in areas) == 1_400
    assert {each.area for each in areas} == {"department:75", "department:92", "department:69"}
    assert [each.area for each in await told(world, ("area", "region:11,region:84"))] == [
        "region:11", "region:84",
    ]  # fmt: skip

    # What comes later changes it no more; what was told before it was, was nothing.
    await world.telling.tell(rows_of(5_000, 70))
    world.clock.at = SETTLED + timedelta(days=3)
    await world.count(keeper)
    assert await told(world) == [france]
    assert await told(world, ("as_of", "2026-03-29")) == []
    assert await told(world, ("as_of", "2026-03-30")) == [france]


async def test_another_population_tells_no_week_once_more_but_another_policy_does(
    world: World,
) -> None:
    """Else what came late since would be told by the difference."""
    await world.telling.tell(rows_of(0, 140))
    world.clock.at = SETTLED
    await world.count(world.keeper(2_000))
    await world.telling.tell(rows_of(5_000, 7))

    held = synthetic_population()
    counts = {cell: n + 1 for cell, n in held.counts.items()}
    population = msgspec.structs.replace(held, counts=counts)
    world.clock.at += timedelta(hours=2)
    await world.count(world.keeper(2_000, population=population))

    first, second = await world.fetch(
        "SELECT number, policy FROM indicator_extraction ORDER BY number"
    )
    assert first["policy"] != second["policy"], "tables with rates are published anew"
    told_by = "SELECT extraction FROM indicator_delay ORDER BY extraction"
    assert [each["extraction"] for each in await world.fetch(told_by)] == [1]

    world.clock.at += timedelta(hours=2)
    stricter = Policy(threshold=Policy().threshold + 1)
    await world.count(world.keeper(2_000, policy=stricter, population=population))
    assert [each["extraction"] for each in await world.fetch(told_by)] == [1, 3]


async def test_nothing_is_told_while_events_wait(world: World) -> None:
    await world.telling.tell(rows_of(0, 700))
    world.clock.at = SETTLED
    await world.count(world.keeper(400))
    numbers = await world.fetch("SELECT number, lag FROM indicator_extraction ORDER BY number")
    kept = await world.fetch("SELECT extraction FROM indicator_delay")
    assert [each["extraction"] for each in kept] == [
        each["number"] for each in numbers if each["lag"] == 0
    ][:1]


async def test_weeks_beyond_what_one_extraction_tells_follow(world: World) -> None:
    for back in (0, 7, 14):
        rows = [
            row(n, MONDAY - timedelta(days=back + 1 - n % 7))
            for n in range(back * 100, back * 100 + 70)
        ]
        await world.telling.tell(rows)
    world.clock.at = SETTLED
    keeper = world.keeper(2_000)
    keeper._extractor._delays._most_weeks = 2  # type: ignore[attr-defined]
    await world.count(keeper)
    first = {each.label for each in await told(world)}
    assert len(first) == 2
    world.clock.at = SETTLED + timedelta(hours=2)
    await world.count(keeper)
    assert first < {each.label for each in await told(world)}


async def test_over_http_in_three_forms_and_in_pages(world: World, tmp_path: Path) -> None:
    await world.telling.tell([*rows_of(0, 700), *_week_before(700)])
    world.clock.at = SETTLED
    await world.count(world.keeper(2_000, protects=True))
    async with client_of(world, most=1) as client:
        answer = await client.get(f"{PATH}/delays")
        assert answer.status_code == 200
        found = answer.json()
        assert [each["label"] for each in found["delays"]] == ["2026-S09"]
        answer = await client.get(found["next"])
        assert [each["label"] for each in answer.json()["delays"]] == [WEEK]
        assert answer.json()["next"] is None
        text = (await client.get(f"{PATH}/delays?format=csv&from={WEEK}")).text
        lines = text.splitlines()
        assert lines[0].startswith("condition,area,period,label,tests,within_1")
        assert sum(int(line.split(",")[-4]) for line in lines[1:]) == 700
        content = (await client.get(f"{PATH}/delays?format=parquet&from={WEEK}")).content
        (tmp_path / "delays.parquet").write_bytes(content)
        table = pq.read_table(tmp_path / "delays.parquet")
        assert sum(table["tests_of_class"].to_pylist()) == 700
        for wrong in ("period=7days", "age_class=29", "sex=F", "area=regions&period=day", "x=1"):
            refused = await client.get(f"{PATH}/delays?{wrong}")
            assert (refused.status_code, refused.json()["title"]) == (400, "bad_question")
    async with client_of(world, token="paris") as client:
        assert (await client.get(f"{PATH}/delays")).status_code == 403
        answer = await client.get(f"{PATH}/delays?area=departments")
        assert {each["area"] for each in answer.json()["delays"]} == {"department:75"}
    async with client_of(world, token="none") as client:
        assert (await client.get(f"{PATH}/delays")).status_code == 401


def _week_before(count: int) -> list[Any]:
    return [row(9_000 + n, MONDAY - timedelta(days=1 + n % 7)) for n in range(count)]


async def test_a_damaged_table_is_answered_with_its_place_and_others_are_not_touched(
    world: World,
) -> None:
    await world.telling.tell(rows_of(0, 700))
    world.clock.at = SETTLED
    keeper = world.keeper(2_000)
    await world.count(keeper)
    await world.fetch(
        "UPDATE indicator_table SET figures = substr(figures, 1, 30)"
        " WHERE level = 'france' AND period = 'day' AND day = $1",
        MONDAY.toordinal(),
    )
    await world.fetch("UPDATE indicator_delay SET figures = '\\x00'")
    counted = METRICS.indicator_tables_unreadable._value.get()
    async with client_of(world) as client:
        for path in ("", "/changes", "/delays"):
            answer = await client.get(f"{PATH}{path}")
            assert answer.status_code == 503
            problem = answer.json()
            assert problem["title"] == "table_unreadable"
            assert f"{CONDITION}, " in problem["detail"]
            assert "runbooks/table-damaged.md" in problem["detail"]
        assert METRICS.indicator_tables_unreadable._value.get() == counted + 3
        rest = await client.get(f"{PATH}?from=2026-03-03")
        assert rest.status_code == 200
        assert rest.json()["figures"]

        # What the runbook says mends it, as of the next extraction.
        async with world.pool.acquire() as connection:
            assert await operating.retell(connection, ASKER, CONDITION, "2026-03-04") == WEEK
            with pytest.raises(PermanentError, match="no_such_table"):
                await operating.retell(connection, ASKER, CONDITION, "2025-03-04")
            with pytest.raises(PermanentError, match="bad_question"):
                await operating.retell(connection, ASKER, CONDITION, "today")
        await world.count(keeper)
        for path in ("", "/delays"):
            assert (await client.get(f"{PATH}{path}")).status_code == 200
        asked = f"{PATH}?as_of=2026-03-30T12:00:00Z"
        assert (await client.get(asked)).status_code == 503


def test_what_is_asked_wrongly_says_what_it_may_be() -> None:
    for pairs in ([("period", "month")], [("period", "day"), ("area", "regions")], [("sex", "*")]):
        with pytest.raises(PermanentError, match="bad_question"):
            read_delays_asked(pairs)
