"""Indicators on a real PostgreSQL: counted once, whatever dies; published whole, or not at all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.asking import Asker
from ops.indicators import operating
from ops.indicators.answering import Published
from ops.indicators.asking import read_asked
from ops.indicators.counting import Counter
from ops.indicators.reading import EventReader
from ops.indicators.rows import write_rows
from ops.runtime import failpoints
from routing.indicator_rows import Row, RowKey, decode_row, encode_row
from schemas.errors import FatalError, Fenced, PermanentError, TransientError
from schemas.events import PseudonymReplaced
from schemas.figures import Figure, Flag
from tests.support.indicating import NOW, TODAY, World, world_of
from tests.support.postgres import Database
from tests.support.telling import CONDITION, pseudonym_of, row, some_rows

ASKER = Asker(actor="j.doe", reason="test")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(database, tmp_path) as made:
        yield made
    failpoints.arm("")


async def corrected(world: World, seed: int) -> None:
    """Tell rows, corrections, withdrawals, merges and their undoing, with counting in between."""
    source = random.Random(seed)
    reports = []
    for turn in range(4):
        rows = some_rows(seed * 10 + turn, 60, TODAY)
        reports += await world.telling.tell(rows)
        again = [
            world.telling.event(
                report,
                None if source.random() < 0.3 else some_rows(source.getrandbits(30), 1, TODAY)[0],
            )
            for report in source.sample(reports, 15)
        ]
        await world.telling.write(again)
        one, other = source.sample(range(20), 2)
        alias = PseudonymReplaced(
            old=pseudonym_of(one, "2026-H1"), new=pseudonym_of(other, "2026-H1"), period="2026-H1"
        )
        merge = world.telling.event(UUID(int=source.getrandbits(128)), alias, "")
        await world.telling.write([merge])
        if turn == 2:
            await world.telling.write([world.telling.event(merge.report_id, None, "")])
        await world.count()


async def test_counted_as_they_come_is_counted_from_zero(world: World) -> None:
    for seed in (1, 2):
        await corrected(world, seed)
        assert await world.cells() == await world.from_zero()


async def test_a_rebuild_and_a_verification_find_what_was_counted(world: World) -> None:
    await corrected(world, 3)
    before = await world.cells()
    async with world.pool.acquire() as connection:
        assert (await operating.verify(connection)).differing == []
    await world.fetch(
        "UPDATE indicator_cell SET packed = (SELECT packed FROM indicator_cell WHERE"
        " department = '69' LIMIT 1) WHERE department = '75' AND day = $1",
        TODAY.toordinal(),
    )
    async with world.pool.acquire() as connection:
        for _ in range(2):  # the same session once more: neither plans nor tables are left of it
            found = (await operating.verify(connection)).differing
            assert [each[3] for each in found] == ["75"]
    assert await world.cells() != before, "a verification mends nothing"
    keeper = world.keeper()
    await world.count(keeper)
    async with world.pool.acquire() as connection:
        await operating.rebuild(connection, ASKER, from_oldest=False)

    await world.count(keeper)  # which was told nothing of it

    assert await world.cells() == before
    (audited,) = await world.fetch("SELECT actor, action FROM audit")
    assert tuple(audited) == ("j.doe", "indicators_rebuild")


async def test_what_retention_took_before_it_was_counted_is_never_passed_over(
    world: World,
) -> None:
    await world.telling.tell(some_rows(1, 30, TODAY))
    keeper = world.keeper()
    await world.count(keeper)
    await world.telling.tell(some_rows(2, 30, TODAY))
    await world.fetch("DELETE FROM stream_event WHERE partition = 0")
    with pytest.raises(FatalError, match="indicators_behind_retention"):
        await world.count(keeper)
    async with world.pool.acquire() as connection:
        with pytest.raises(PermanentError, match="stream_begins_later"):
            await operating.rebuild(connection, ASKER, from_oldest=False)
        gap = await operating.skip_gap(connection, ASKER)
    assert gap > 0
    # What is taken back of what was lost is nothing.
    unheard = world.telling.event(UUID(int=3), None, ""), world.telling.event(UUID(int=6), None)
    await world.telling.write(unheard)
    await world.count()
    (progress,) = await world.fetch("SELECT events FROM indicator_progress")
    assert progress["events"] == 62 - gap


@pytest.mark.parametrize(
    "place", ["read", "before_commit", "after_commit", "before_tables", "before_extraction"]
)
async def test_whoever_breaks_off_anywhere_counts_and_publishes_once(
    world: World, place: str
) -> None:
    await world.telling.tell(some_rows(4, 90, TODAY))
    failpoints.arm(f"indicators.{place}=transient@1")
    with pytest.raises(TransientError):
        await world.count()
    failpoints.arm("")

    await world.count()

    assert await world.cells() == await world.from_zero()
    (progress,) = await world.fetch("SELECT events FROM indicator_progress")
    assert progress["events"] == 90
    assert [
        each["number"] for each in await world.fetch("SELECT number FROM indicator_extraction")
    ] == [1]


async def test_two_that_count_never_count_twice(world: World) -> None:
    await world.telling.tell(some_rows(5, 60, TODAY))
    one, other = world.keeper(20), world.keeper(20)
    await one.turn()
    await other.turn()
    with pytest.raises(Fenced):
        await one.turn()

    await world.count(other)

    assert await world.cells() == await world.from_zero()


async def test_a_second_try_takes_over_no_fence_of_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.telling.tell(some_rows(5, 60, TODAY))
    reader = EventReader(world.pool, world.telling.vault, 20)
    one, other = Counter(world.pool), Counter(world.pool)
    for each in (one, other):
        await each.load()
    batch = await reader.read((await reader.positions()).counted)
    transact, tries = one._transact, []

    async def breaks_meanwhile(*args: Any, **how: Any) -> int:
        tries.append(how)
        if len(tries) > 1:
            return await transact(*args, **how)
        await other.count(batch)
        raise PermanentError("database_refused", "a COPY found its row kept already")

    monkeypatch.setattr(one, "_transact", breaks_meanwhile)
    with pytest.raises(Fenced, match="indicators_overtaken"):
        await one.count(batch)

    await world.count()
    assert await world.cells() == await world.from_zero()
    (progress,) = await world.fetch("SELECT events FROM indicator_progress")
    assert progress["events"] == 60


async def test_what_was_published_is_asked_again_as_it_was(world: World) -> None:
    reports = await world.telling.tell([row(n, TODAY - timedelta(days=3)) for n in range(30)])
    keeper = world.keeper()
    await world.count(keeper)
    published = Published(world.pool, most=1_000)
    asked = read_asked([("from", "2026-03-17"), ("to", "2026-03-17"), ("sex", "*")])
    first = await published.figures(CONDITION, asked)
    assert {f.sex: f.tests for f in first.figures} == {"": 30, "F": 30, "M": 0}
    assert first.extraction.number == 1

    await world.telling.write([world.telling.event(report, None) for report in reports[:10]])
    world.clock.at += timedelta(hours=2)
    await world.count(keeper)
    second = await published.figures(CONDITION, asked)
    assert second.extraction.number == 2
    assert {f.sex: f.tests for f in second.figures} == {"": 20, "F": 20, "M": 0}

    for at in (first.extraction.at, first.extraction.at + timedelta(hours=1)):
        then = msgspec.structs.replace(asked, as_of=at)
        assert await published.figures(CONDITION, then) == first
    changes = await published.revisions(
        CONDITION, read_asked([("from", "2026-03-17"), ("to", "2026-03-17")])
    )
    assert [
        (c.after.label, c.before and c.before.tests, c.after.tests) for c in changes.revisions
    ] == [
        ("2026-03-17", None, 30),
        ("2026-03-17", 30, 20),
    ]
    with pytest.raises(PermanentError, match="no_extraction"):
        await published.extraction(NOW - timedelta(hours=1))


async def test_weeks_and_windows_add_tests_and_count_persons_once(world: World) -> None:
    days = [date(2026, 3, 9) + timedelta(days=n) for n in range(7)]
    await world.telling.tell([row(1, day) for day in days] + [row(2, days[0], "positive")])
    await world.count()
    published = Published(world.pool, most=1_000)

    (week,) = (await published.figures(CONDITION, read_asked([("period", "week")]))).figures

    assert (week.label, week.tests, week.persons, week.cases) == ("2026-S11", 8, 2, 1)
    seven = await published.figures(
        CONDITION, read_asked([("period", "7days"), ("from", "2026-03-15"), ("to", "2026-03-20")])
    )
    assert [(f.label[-2:], f.tests, f.persons) for f in seven.figures] == [
        ("15", 8, 2), ("16", 6, 1), ("17", 5, 1), ("18", 4, 1), ("19", 3, 1), ("20", 2, 1),
    ]  # fmt: skip


async def test_answers_go_in_pages_of_whole_times_of_one_extraction(world: World) -> None:
    await world.telling.tell(some_rows(7, 200, TODAY))
    await world.count()
    asked = read_asked([("area", "departments"), ("age_class", "*"), ("sex", "*")])
    whole = await Published(world.pool, most=1_000_000).figures(CONDITION, asked)
    assert whole.next is None
    found, pages, after = [], 0, ""
    while True:
        page = await Published(world.pool, most=200).figures(
            CONDITION, msgspec.structs.replace(asked, after=int(after or 0))
        )
        found += page.figures
        pages += 1
        if page.next is None:
            break
        after = page.next
    assert pages > 3
    assert found == whole.figures


async def test_eldest_extractions_go_and_what_stands_of_them_stays(world: World) -> None:
    await world.telling.tell([row(1, date(2026, 1, 5))])
    keeper = world.keeper()
    await world.count(keeper)
    for _ in range(4):
        world.clock.at += timedelta(hours=2)
        await world.telling.tell([row(2, TODAY)])
        await world.count(keeper)
    published = Published(world.pool, most=1_000)
    assert [each.number for each in await published.extractions(100, 10)] == [5, 4, 3]
    with pytest.raises(PermanentError, match="extraction_gone"):
        await published.extraction(NOW)
    (old,) = (await published.figures(CONDITION, read_asked([("to", "2026-01-05")]))).figures
    assert old.tests == 1


async def test_what_is_few_is_withheld_in_every_extraction(world: World) -> None:
    day = TODAY - timedelta(days=10)
    rows = [row(n, day - timedelta(days=back), department="69") for n in range(40)
            for back in (0, 7)]  # fmt: skip
    few = [row(100 + n, day, department="75") for n in range(2)]
    await world.telling.tell(rows + few)
    keeper = world.keeper(protects=True)
    await world.count(keeper)
    published = Published(world.pool, most=1_000)
    asked = read_asked(
        [("area", "departments"), ("from", day.isoformat()), ("to", day.isoformat())]
    )

    def told(figures: Sequence[Figure]) -> dict[str, int | None]:
        return {figure.area: figure.tests for figure in figures}

    first = await published.figures(CONDITION, asked)
    assert told(first.figures)["department:75"] is None
    (withheld,) = (f for f in first.figures if f.area == "department:75")
    assert Flag.SUPPRESSED in withheld.flags
    assert withheld.positivity is withheld.screening is None

    world.clock.at += timedelta(hours=2)
    await world.telling.tell([row(200, day, department="75")])
    await world.count(keeper)
    second = await published.figures(CONDITION, asked)
    assert second.extraction.number == 2
    assert told(second.figures)["department:75"] is None
    assert Flag.SYNTHETIC_POPULATION in second.figures[0].flags


async def test_a_first_version_that_is_kept_all_the_same_counts_once(world: World) -> None:
    """Positions that a person moved back: rows are copied blindly, and what is there stops it."""
    await world.telling.tell(some_rows(5, 60, TODAY))
    await world.count()
    before = await world.cells()
    rows = await world.fetch("SELECT report_id, part, person, day, packed FROM indicator_row")
    await world.fetch("UPDATE indicator_position SET seq = seq / 2")
    await world.telling.tell(some_rows(6, 10, TODAY))

    await world.count()

    assert await world.cells() == await world.from_zero() != before
    after = await world.fetch("SELECT report_id, part, person, day, packed FROM indicator_row")
    assert len(after) == len(rows) + 10 and {tuple(row) for row in rows} <= {*map(tuple, after)}


async def test_rows_that_are_copied_are_those_that_a_statement_writes(world: World) -> None:
    """Of a person alone, of one whose window reaches into the next half-year, and of nobody."""
    kept = [
        decode_row(encode_row(each))
        for each in (
            Row(1, 738_000),
            Row(1, 738_000, 1, 737_999, "c", "75", "29", "F", "2021-H1", b"p" * 16, day=737_999),
            Row(
                *(1, 738_000, 1, 737_999, "c", "75", "29", "F", "2021-H1", b"\xff" * 16),
                *("2021-H2", b"n" * 16, 737_999),
            ),
        )
    ]
    rows = [(RowKey(UUID(int=n), "é" * n), row) for n, row in enumerate(kept, 1)]
    found = []
    async with world.pool.acquire() as connection:
        for is_copied in (True, False):
            await write_rows(connection, rows if is_copied else [], [] if is_copied else rows)
            found.append(await connection.fetch("SELECT * FROM indicator_row ORDER BY report_id"))
            await connection.execute("DELETE FROM indicator_row")
    assert found[0] == found[1] and len(found[0]) == 3
    assert found[0][2]["person"] == -1 and found[0][1]["next_person"] is None
