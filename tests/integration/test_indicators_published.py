"""Indicators are published: of months too, by one of two, whatever the clock said once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ops.indicators import extraction_queries, operating
from ops.indicators.answering import Published
from ops.indicators.asking import read_asked
from ops.indicators.extracting import TableExtractor
from ops.indicators.keeper import Keeper, Pace
from ops.indicators.watch import Watch
from ops.runtime.metrics import METRICS
from routing.disclosure import Policy, Shown
from schemas.areas.population import synthetic_population
from schemas.errors import Fenced
from schemas.figures import Figure
from tests.integration.test_indicators import ASKER
from tests.support.indicating import NOW, TODAY, Open, World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, row, some_rows


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        yield made


def extractor(world: World) -> TableExtractor:
    return TableExtractor(
        world.pool, Open(policy=Policy(), population=synthetic_population()), keep=3
    )


async def numbers(world: World) -> list[int]:
    rows = await world.fetch("SELECT number FROM indicator_extraction ORDER BY number")
    return [each["number"] for each in rows]


async def told_by_day(world: World) -> dict[str, int | None]:
    """Return the tests of France by day, as published."""
    answer = await Published(world.pool, 10_000).figures(CONDITION, read_asked([]))
    return {figure.label: figure.tests for figure in answer.figures}


async def told_of_hiv(world: World) -> list[tuple[str, int | None]]:
    asked = read_asked([("period", "month")])
    answer = await Published(world.pool, 1_000).figures("hiv", asked)
    return [(figure.label, figure.tests) for figure in answer.figures]


def rows_of_march(begins: int, count: int) -> list[Any]:
    return [
        row(n, date(2026, 3, 1), ("negative", "positive")[n % 2], condition="hiv", dates="month")
        for n in range(begins, begins + count)
    ]


async def test_a_month_is_told_once_it_has_settled(world: World) -> None:
    await world.telling.tell(rows_of_march(0, 60))
    keeper = world.keeper(400, protects=True)
    await world.count(keeper)
    assert await told_of_hiv(world) == [("2026-03", None)], "it has not ended"
    settled = date(2026, 3, 31) + timedelta(days=max(1, Policy().settle_days))
    world.clock.at = datetime(settled.year, settled.month, settled.day, 12, tzinfo=UTC)

    await world.count(keeper)

    assert await told_of_hiv(world) == [("2026-03", 60)]


async def test_a_month_that_settles_while_nobody_publishes_is_told_later(world: World) -> None:
    await world.telling.tell(rows_of_march(0, 60))
    keeper = world.keeper(400, protects=True)
    await world.count(keeper)
    world.clock.at = datetime(2026, 9, 30, 12, tzinfo=UTC)

    await world.count(keeper)

    assert await told_of_hiv(world) == [("2026-03", 60)]


async def test_of_two_that_publish_one_does(world: World) -> None:
    await world.telling.tell(some_rows(1, 200, TODAY))
    keeper = world.keeper(400)
    await world.count(keeper)
    await world.telling.tell(some_rows(2, 200, TODAY))
    world.clock.at = NOW + timedelta(minutes=5)
    await world.count(keeper)
    (progress,) = await world.fetch("SELECT batch FROM indicator_progress")
    begun, going_on = asyncio.Event(), asyncio.Event()

    class Slow(TableExtractor):
        async def _completeness(self, *asked: Any) -> None:
            begun.set()
            await going_on.wait()
            await super()._completeness(*asked)

    slow = Slow(world.pool, Open(policy=Policy(), population=synthetic_population()), keep=3)
    at = NOW + timedelta(hours=2)
    one = asyncio.ensure_future(slow.extract(at, progress["batch"], 0))
    await begun.wait()
    with pytest.raises(Fenced, match="indicators_elsewhere"):
        await extractor(world).extract(at, progress["batch"], 0)
    going_on.set()
    made = await one
    assert made is not None
    assert made.number == 2

    (told,) = await world.fetch(
        "SELECT e.tables, (SELECT count(*) FROM indicator_table WHERE extraction = 2) AS there"
        " FROM indicator_extraction e WHERE number = 2"
    )
    assert told["tables"] == told["there"] > 0
    assert sum(each or 0 for each in (await told_by_day(world)).values()) == 400
    # The lock is let go, and whoever waited makes the next.
    made = await extractor(world).extract(at, progress["batch"], 0)
    assert made is not None
    assert made.number == 3


async def test_an_extraction_that_exists_already_is_not_made_again(world: World) -> None:
    await world.telling.tell(some_rows(1, 50, TODAY))
    await world.count()
    (progress,) = await world.fetch("SELECT batch FROM indicator_progress")

    class Beside(TableExtractor):
        async def _completeness(self, *asked: Any) -> None:
            await world.fetch(extraction_queries.FINISH, 2, NOW, 0, self._name, 0)

    beside = Beside(world.pool, Open(policy=Policy(), population=synthetic_population()), keep=3)
    with pytest.raises(Fenced, match="indicators_overtaken"):
        await beside.extract(NOW, progress["batch"], 0)


async def test_a_clock_that_was_ahead_stops_no_extraction(world: World) -> None:
    await world.telling.tell(some_rows(1, 50, TODAY))
    keeper = world.keeper(400)
    world.clock.at = ahead = NOW + timedelta(days=30)
    await world.count(keeper)
    world.clock.at = NOW
    watch = Watch(world.pool, world.clock)
    await watch.look()
    assert METRICS.indicator_extraction_age._value.get() == 30 * 86_400
    await world.telling.tell(some_rows(2, 50, TODAY))

    for _ in range(3):
        await world.count(keeper)  # by its own pace from here on, and not with every turn
    assert await numbers(world) == [1, 2]
    await watch.look()
    assert METRICS.indicator_extraction_age._value.get() == 0
    world.clock.at += timedelta(hours=2)
    await world.count(keeper)

    assert await numbers(world) == [1, 2, 3]
    rows = await world.fetch("SELECT at FROM indicator_extraction ORDER BY number")
    assert [each["at"] - ahead for each in rows] == [timedelta(microseconds=n) for n in range(3)]
    assert sum(each or 0 for each in (await told_by_day(world)).values()) == 100


async def test_what_is_asked_for_is_made_once_whatever_the_clock_says(world: World) -> None:
    await world.telling.tell(some_rows(1, 50, TODAY))
    keeper = world.keeper(400)
    await world.count(keeper)
    async with world.pool.acquire() as connection:
        await operating.want_extraction(connection, ASKER)
    for _ in range(3):
        await world.count(keeper)

    assert await numbers(world) == [1, 2]


def behind(world: World) -> Keeper:
    """Return a keeper that never sees the end of the stream, and may be one event behind."""
    keeper = world.keeper(10)
    keeper._pace = Pace(extraction_seconds=3600, lag_events=1)
    return keeper


async def test_events_wait_for_each_other_until_somebody_asks_for_figures(world: World) -> None:
    keeper = world.keeper()
    keeper._pace = Pace(extraction_seconds=3600, count_seconds=86_400)
    await world.telling.tell(some_rows(1, 10, TODAY))
    await world.count(keeper)
    counted = await world.cells()
    await world.telling.tell(some_rows(2, 20, TODAY))
    assert not await keeper.turn()
    assert await world.cells() == counted, "what is counted is written again before its time"
    async with world.pool.acquire() as connection:
        await operating.want_extraction(connection, ASKER)
    await world.count(keeper)
    assert await numbers(world) == [1, 2]
    assert await world.cells() == await world.from_zero() != counted


async def test_whoever_never_catches_up_publishes_all_the_same(world: World) -> None:
    await world.telling.tell(some_rows(1, 50, TODAY))
    keeper = behind(world)
    await world.count(keeper)
    await world.telling.tell(some_rows(2, 90, TODAY))
    world.clock.at += timedelta(hours=3)
    await keeper.turn()
    assert await numbers(world) == [1], "it may catch up yet"
    watch = Watch(world.pool, world.clock)
    await watch.look()
    assert METRICS.indicator_extraction_age._value.get() == 3 * 3600, "and its age is seen"
    world.clock.at += timedelta(hours=1)

    await keeper.turn()

    rows = await world.fetch("SELECT number, lag FROM indicator_extraction ORDER BY number")
    assert [each["number"] for each in rows] == [1, 2]
    assert rows[-1]["lag"] > 1


async def test_what_is_counted_anew_is_not_told_half(world: World) -> None:
    await world.telling.tell(some_rows(1, 90, TODAY))
    keeper = behind(world)
    await world.count(keeper)
    async with world.pool.acquire() as connection:
        await operating.rebuild(connection, ASKER, from_oldest=False)
    world.clock.at += timedelta(days=3)
    keeper._forget()
    await keeper.turn()
    assert await numbers(world) == [1]

    await world.count(keeper)

    assert await numbers(world) == [1, 2]
    assert sum(each or 0 for each in (await told_by_day(world)).values()) == 90


async def kept_rows(world: World) -> int:
    (row_,) = await world.fetch("SELECT count(*) AS n FROM indicator_row")
    return int(row_["n"])


async def differing(database: Database) -> list[tuple[str, str, int, str]]:
    connection = await database.connect()  # one that has done nothing yet
    try:
        return (await operating.verify(connection)).differing
    finally:
        await connection.close()


async def test_rows_of_old_days_go_and_what_was_counted_of_them_stays(
    world: World, database: Database
) -> None:
    old = TODAY - timedelta(days=120)
    days = [old + timedelta(days=n) for n in range(0, 120, 4)]
    # The same persons again and again, in two places, with corrections to come.
    rows = [row(n % 5, day, department=("75", "69")[n % 2]) for n, day in enumerate(days)]
    reports = await world.telling.tell(rows)
    await world.telling.write([world.telling.event(reports[0], None)])  # it counts nowhere
    world.rows_days = 30
    keeper = world.keeper(400)
    await world.count(keeper)
    before, published = await world.cells(), await told_by_day(world)
    closed = TODAY - timedelta(days=30)
    late = METRICS.indicator_closed_events._value.get()

    for _ in range(5):  # pages of seven
        await world.count(keeper)

    left = [day for day in days[1:] if day >= closed - timedelta(days=6)]
    withdrawn = 1  # by its reception: of the first day too
    assert await kept_rows(world) == len(left) < len(days) - withdrawn
    assert await world.cells() == before
    assert await differing(database) == []

    # Later versions and late results of closed days change nothing there, and everything else.
    again = [world.telling.event(report, None) for report in reports[1:]]
    await world.telling.write([*again, world.telling.event(reports[0], rows[0])])
    await world.telling.tell([row(1, old), row(1, closed - timedelta(days=1)), row(1, closed)])
    world.clock.at += timedelta(hours=2)
    await world.count(keeper)
    told = await told_by_day(world)

    for label, tests in published.items():
        if label < closed.isoformat():
            assert told[label] == tests, label
    assert {k: v for k, v in told.items() if v and k >= closed.isoformat()} == {
        closed.isoformat(): 1
    }
    assert (
        METRICS.indicator_closed_events._value.get() - late
        == len([day for day in days if day < closed]) + 2
    )
    assert await differing(database) == []
    async with world.pool.acquire() as connection:
        await operating.rebuild(connection, ASKER, from_oldest=False)
    world.clock.at += timedelta(hours=2)
    await world.count(keeper)
    assert await told_by_day(world) == told, "counted anew, and closed days as they were"


async def test_a_clock_far_ahead_lets_no_row_go(world: World) -> None:
    await world.telling.tell(some_rows(1, 50, TODAY))
    keeper = world.keeper(400)
    await world.count(keeper)
    world.clock.at = datetime(2090, 1, 1, tzinfo=UTC)
    await world.count(keeper)

    assert await kept_rows(world) == 50


class Counted(Open, frozen=True, kw_only=True):
    """Says of which blocks it was asked to decide."""

    asked: ClassVar[list[str]] = []

    def decide(
        self, figures: Sequence[Figure], on: date, before: Shown | None, last_week: Sequence[Figure]
    ) -> Shown:
        self.asked.append(next(each.label for each in figures if each.period == "week"))
        return super().decide(figures, on, before, last_week)


def under_another_policy(world: World) -> Keeper:
    """Return a keeper that publishes one old block a turn."""
    keeper = world.keeper(400)
    protection = Counted(policy=Policy(threshold=7), population=synthetic_population())
    keeper._extractor = TableExtractor(world.pool, protection, keep=3, portion_seconds=0.0)
    return keeper


async def test_another_policy_is_published_in_portions_and_goes_on_after_a_stop(
    world: World,
) -> None:
    Counted.asked.clear()
    days = [TODAY - timedelta(days=7 * n) for n in range(16)]
    await world.telling.tell([row(n, day) for n, day in enumerate(days)])
    await world.count()
    world.clock.at += timedelta(hours=2)
    keeper = under_another_policy(world)
    for _ in range(5):
        assert await keeper.turn()
    # Stopped; meanwhile there is more to count, of a block that is made already and of a new one.
    late = [days[-1], TODAY]
    await world.telling.tell([row(100 + n, day) for n, day in enumerate(late)])
    keeper = under_another_policy(world)

    assert await keeper.turn(), "counted, and another portion made"

    (progress,) = await world.fetch("SELECT events FROM indicator_progress")
    assert progress["events"] == len(days) + len(late), "counting goes on meanwhile"
    assert await numbers(world) == [1], "and nothing is published in part"
    await world.count(keeper)
    assert await numbers(world) == [1, 2]
    assert {k: v for k, v in (await told_by_day(world)).items() if v} == {
        day.isoformat(): 1 + late.count(day) for day in days
    }
    blocks = set(Counted.asked)
    assert len(blocks) == len(days)
    # Made again are the eldest week and the two that windows of its days reach into.
    assert len(Counted.asked) - len(blocks) == 3, "what was made is not made again"
    (told,) = await world.fetch(
        "SELECT e.tables, (SELECT count(*) FROM indicator_table WHERE extraction = 2) AS there"
        " FROM indicator_extraction e WHERE number = 2"
    )
    assert told["tables"] == told["there"]
