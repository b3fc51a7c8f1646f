"""The account by day: the rows that are kept are what counting everything from scratch gives."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.account import take_account
from ops.accounting import queries
from ops.accounting.counting import CountLimits, count_once, day_of
from ops.accounting.days import list_gaps, note_gap, read_day
from ops.accounting.drawing import Change, EndingCount, RecordCount, draw
from ops.accounting.keeping import count_now, write_due
from ops.accounting.reports import LaboratoryReport, as_csv, report_of
from ops.asking import Asker
from schemas.errors import HubError, PermanentError, TransientError
from schemas.finding import Finding, Level
from schemas.place import Place
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database

DAY = date(2026, 11, 27)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
UNMAPPABLE = Finding(code="obr_without_code", level=Level.ERROR, place=Place(segment="OBR"))
LIMITS = CountLimits(records=100_000, in_flight=1_000, close_seconds=900)
ASKER = Asker(actor="on call", reason="the cause is known")

# From scratch, by another way: one record at a time, endings as they stand.
SCRATCH = """
SELECT (i.received_at AT TIME ZONE 'Europe/Paris')::date AS day, i.lab_id, 'received' AS name,
       '' AS reason, count(*) AS n
FROM intake i JOIN intake_progress p USING (partition)
WHERE i."offset" < p.next_offset AND i.kind <> 3 GROUP BY 1, 2
UNION ALL SELECT (i.received_at AT TIME ZONE 'Europe/Paris')::date, i.lab_id, 'replay_asked', '',
       count(*)
FROM intake i JOIN intake_progress p USING (partition)
WHERE i."offset" < p.next_offset AND i.kind = 3 GROUP BY 1, 2
UNION ALL SELECT (received_at AT TIME ZONE 'Europe/Paris')::date, lab_id, ending, reason, count(*)
FROM outcome GROUP BY 1, 2, ending, reason
"""
KEPT = "SELECT day, lab_id, name, reason, records AS n FROM account_day WHERE records <> 0"


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


async def count(road: Road, now: datetime | None = None, **changes: Any) -> Any:
    limits = msgspec.structs.replace(LIMITS, **changes)
    return await count_once(road.hub.pool, None, now or road.hub.clock.now(), limits)


async def both(road: Road) -> tuple[set[Any], set[Any]]:
    return {tuple(r) for r in await road.rows(KEPT)}, {tuple(r) for r in await road.rows(SCRATCH)}


async def test_the_rows_follow_what_comes_ends_and_changes(road: Road) -> None:
    await count(road)  # begins
    await road.put(message(), message(), raws=[b"same", b"same"])
    await road.put(UNMAPPABLE, partition=1)
    await road.dispatch()
    await road.put(message(), partition=2)
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch
    today = day_of(road.hub.clock.now())
    async with road.hub.pool.acquire() as connection:
        all_ = await read_day(connection, today)
        third = await read_day(connection, today, lab_id=3, laboratory="LAB3")
    assert (all_.received, all_.dispatched, all_.duplicate, all_.parked) == (4, 1, 1, 1)
    assert (all_.in_flight, all_.gap, all_.closes, all_.closed_at) == (1, 0, True, None)
    assert (third.received, third.in_flight) == (1, 1)
    await road.put_replay(0, partition=1)
    await road.dispatch()
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch


async def test_a_settled_ending_moves_from_one_row_to_another(road: Road) -> None:
    """Parked, counted, then settled: by a replay that finds it dispatched."""
    await road.put(UNMAPPABLE)
    await road.dispatch()
    await count(road)
    assert await road.rows("SELECT 1 FROM account_item")
    await road.rows("UPDATE outcome SET ending = 'dispatched', reason = ''")
    await road.rows("UPDATE outcome SET ending = 'dispatched', reason = ''")  # changes nothing
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch
    assert not await road.rows("SELECT 1 FROM account_item")
    assert not await road.rows("SELECT 1 FROM account_change")


async def test_a_change_of_what_is_not_counted_yet_counts_once(road: Road) -> None:
    await count(road)
    await road.put(UNMAPPABLE)
    await road.dispatch()
    await road.rows("UPDATE outcome SET reason = 'discarded'")
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch
    assert ("parked", "discarded") in {(name, reason) for _, _, name, reason, _ in kept}


async def test_a_count_that_is_cut_leaves_everything_as_it_was(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.put(message(), UNMAPPABLE)
    await road.dispatch()
    with monkeypatch.context() as patched:
        patched.setattr(queries, "MOVE", "SELECT 1 / ($1::integer[])[99999]")
        with pytest.raises(HubError):
            await count(road)
    assert not await road.rows("SELECT 1 FROM account_day")
    assert not await road.rows("SELECT 1 FROM account_progress")
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch


async def test_two_that_count_at_once_count_each_record_once(road: Road) -> None:
    await count(road)
    await road.put(*[message() for _ in range(20)])
    await road.dispatch()
    done = await asyncio.gather(*(count(road) for _ in range(4)), return_exceptions=True)
    assert any(not isinstance(each, BaseException) for each in done)
    assert all(isinstance(e, TransientError) for e in done if isinstance(e, BaseException))
    await count(road)
    kept, scratch = await both(road)
    assert kept == scratch


async def test_a_backlog_is_counted_in_parts(road: Road) -> None:
    await count(road)
    await road.put(*[UNMAPPABLE for _ in range(1_500)])
    await road.dispatch(500)
    first = await count(road, records=1)
    assert (first.records, first.behind) == (1_000, 500)
    await count(road, records=1)
    kept, scratch = await both(road)
    assert kept == scratch


async def test_a_record_without_an_ending_is_a_gap_until_somebody_notes_it(road: Road) -> None:
    await count(road)
    await road.put(message(), UNMAPPABLE)
    await road.dispatch()
    await road.rows('DELETE FROM outcome WHERE "offset" = 0')
    await count(road)
    today = day_of(road.hub.clock.now())
    async with road.hub.pool.acquire() as connection:
        account = await read_day(connection, today, lab_id=1, laboratory="LAB1")
        assert (account.gap, account.closes) == (1, False)
        assert (await connection.fetchrow(queries.FIGURES))["gap"] == 1
        with pytest.raises(PermanentError, match="bad_reason"):
            await note_gap(connection, today, Asker(actor="x"))
        assert await note_gap(connection, today, ASKER) == 1
        assert (await connection.fetchrow(queries.FIGURES))["gap"] == 0
        (gap,) = await list_gaps(connection)
        assert (gap.laboratory, gap.records, gap.noted_by) == ("LAB1", 1, "on call")
        with pytest.raises(PermanentError, match="no_gap"):
            await note_gap(connection, today, ASKER)
    assert [row["action"] for row in await road.rows("SELECT action FROM audit")] == [
        "account_gap_noted"
    ]


async def test_a_record_that_vanished_from_the_log_is_a_gap_too(road: Road) -> None:
    await count(road)
    await road.put(message(), UNMAPPABLE)
    await road.dispatch()
    await road.rows('DELETE FROM intake WHERE "offset" = 0')
    await road.rows('DELETE FROM outcome WHERE "offset" = 0')
    await count(road)
    (gap,) = await road.rows("SELECT lab_id, records FROM account_gap")
    assert (gap["lab_id"], gap["records"]) == (0, 1)


async def test_days_close_once_all_that_was_accepted_is_counted(road: Road) -> None:
    now = road.hub.clock.now()
    await road.put(message(), UNMAPPABLE)
    await road.dispatch()
    assert (await count(road, now)).closed == ()
    assert (await count(road, now + timedelta(days=2))).closed == (
        day_of(now),
        day_of(now + timedelta(days=1)),
    )
    (row,) = await road.rows("SELECT received, gap FROM account_closed ORDER BY day LIMIT 1")
    assert tuple(row) == (2, 0)


async def test_a_day_with_something_in_flight_stays_open(road: Road) -> None:
    now = road.hub.clock.now()
    await road.put(message())
    await count(road, now)
    await road.put(message())
    assert (await count(road, now + timedelta(days=2))).closed == ()
    await road.dispatch()
    assert (await count(road, now + timedelta(days=2, seconds=1))).closed


async def test_a_laboratory_gets_its_report_and_again_when_it_changes(road: Road) -> None:
    now = road.hub.clock.now()
    await road.put(message(), UNMAPPABLE)
    await road.put(message(), partition=1)
    await road.dispatch()
    await count(road, now + timedelta(days=2))
    await count(road, now + timedelta(days=2))
    folder = road.hub.settings.accounts_folder
    assert await write_due(road.hub, 10) == 2
    assert not await write_due(road.hub, 10)
    path = folder / "LAB1" / f"{day_of(now)}.json"
    told = msgspec.json.decode(path.read_bytes(), type=LaboratoryReport)
    assert (told.account.received, told.account.parked, told.account.closes) == (2, 1, True)
    assert [(item.control_id, item.reason) for item in told.items] == [("C-1", "unmappable")]
    assert "PAT-TROIS" not in path.read_text()
    rows = list(csv.DictReader(io.StringIO(path.with_suffix(".csv").read_text())))
    assert {r["what"]: r["messages"] for r in rows}["received"] == "2"
    assert [r["control_id"] for r in rows if r["what"] == "parked message"] == ["C-1"]
    await road.rows("UPDATE outcome SET reason = 'discarded' WHERE ending = 'parked'")
    await count_now(road.hub)
    assert await write_due(road.hub, 10) == 1
    told = msgspec.json.decode(path.read_bytes(), type=LaboratoryReport)
    assert told.account.parked_by_reason == {"discarded": 1}


async def test_a_report_lists_a_bounded_number(road: Road) -> None:
    await road.put(*[UNMAPPABLE for _ in range(5)])
    await road.dispatch()
    await count(road)
    async with road.hub.pool.acquire() as connection:
        report = await report_of(
            connection, road.hub.vault, day_of(road.hub.clock.now()), (1, "LAB1"),
            from_copy=False, most_items=3,
        )  # fmt: skip
    assert (len(report.items), report.items_left_out) == (3, True)
    assert as_csv(report).count("parked message") == 3


async def test_the_cluster_counts_its_own_copies(database: Database, tmp_path: Path) -> None:
    async with scratch_hub(database, tmp_path, engine="cluster") as hub:
        road = Road(hub)
        await road.put(message(), UNMAPPABLE)
        await road.dispatch()
        await road.put(message())
        await count_now(hub)
        await road.dispatch()
        await road.put(message())
        await count_now(hub)
        rows = await road.rows("SELECT name, records FROM account_day ORDER BY name")
        assert {r["name"]: r["records"] for r in rows}["received"] == 3
        (flying,) = await road.rows("SELECT lab_id, records FROM account_in_flight")
        assert tuple(flying) == (0, 1)
        assert not await road.rows("SELECT 1 FROM account_gap")


ENDING = st.sampled_from(["dispatched", "duplicate", "refused", "parked"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lives=st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 1), st.lists(ENDING, min_size=1, max_size=4)),
        max_size=25,
    ),
    cuts=st.lists(st.integers(0, 25), max_size=4),
)
def test_any_cut_into_counts_adds_up_to_the_count_from_scratch(
    lives: list[tuple[int, int, list[str]]], cuts: list[int]
) -> None:
    """Records end; some endings change later, before or after they were counted."""
    total: dict[Any, int] = {}
    gaps: dict[Any, int] = {}
    steps = sorted({0, *(min(cut, len(lives)) for cut in cuts), len(lives)})
    stands = [endings[0] for _, _, endings in lives]
    number = 0
    for low, high in zip(steps, [*steps[1:], len(lives)], strict=True):
        changes = []
        for n in range(low):  # counted before: each changes once more, if it still does
            lab, day, endings = lives[n]
            for after in endings[1:2]:
                number += 1
                changes.append(
                    Change(change_id=number, partition=0, offset=n, lab_id=lab,
                           day=DAY + timedelta(days=day), before_ending=stands[n],
                           before_reason="", after_ending=after, after_reason="")
                )  # fmt: skip
                stands[n] = after
        span = range(low, high)
        added = draw(
            [RecordCount(partition=0, day=DAY + timedelta(days=lives[n][1]), lab_id=lives[n][0],
                         is_replay=False, n=1) for n in span],
            [EndingCount(day=DAY + timedelta(days=lives[n][1]), lab_id=lives[n][0],
                         ending=stands[n], reason="", n=1) for n in span],
            changes, {0: (low, high)}, DAY,
        )  # fmt: skip
        for row, n in added.rows.items():
            total[row] = total.get(row, 0) + n
        gaps |= added.gaps
    scratch: dict[Any, int] = {}
    for n, (lab, day, _) in enumerate(lives):
        for name in ("received", stands[n]):
            row = (DAY + timedelta(days=day), lab, name, "")
            scratch[row] = scratch.get(row, 0) + 1
    assert {row: n for row, n in total.items() if n} == scratch
    assert not gaps


def test_noon_in_paris_is_of_its_day_and_eleven_at_night_utc_of_the_next() -> None:
    assert day_of(NOON) == DAY
    assert day_of(datetime(2026, 11, 27, 23, 30, tzinfo=UTC)) == DAY + timedelta(days=1)


async def test_a_first_count_that_is_behind_closes_no_day(road: Road) -> None:
    """As after an upgrade: what was there before is counted before any day of it closes."""
    now = road.hub.clock.now()
    await road.put(*[UNMAPPABLE for _ in range(1_500)])
    await road.dispatch(500)
    later = now + timedelta(days=2)
    first = await count(road, later, records=1)
    assert (first.behind, first.closed) == (500, ())
    second = await count(road, later + timedelta(seconds=1), records=1)
    assert second.behind == 0 and day_of(now) in second.closed
    rows = await road.rows("SELECT received FROM account_closed ORDER BY day LIMIT 1")
    assert rows[0]["received"] == 1_500


async def test_who_finds_another_counting_leaves_it_to_that_one(road: Road) -> None:
    await road.put(message())
    await road.dispatch()
    async with road.hub.pool.acquire() as other:
        assert await other.fetchval(queries.COUNTS_ALONE)
        assert (await count(road)).records == 0
        await other.fetchval(queries.COUNTS_NO_MORE)
    assert (await count(road)).records == 1


async def test_a_count_that_begins_after_all_was_purged_finds_no_gap(road: Road) -> None:
    await road.put(message(), UNMAPPABLE)
    await road.dispatch()
    await road.rows("DELETE FROM intake")
    await count(road)
    assert not await road.rows("SELECT 1 FROM account_gap")


@pytest.mark.parametrize("engine", ["embedded", "cluster"])
async def test_the_sum_of_what_is_kept_is_the_count_from_scratch(
    database: Database, tmp_path: Path, engine: str
) -> None:
    """Whatever was counted by day, changed since, or came since: nothing is read twice."""
    async with scratch_hub(database, tmp_path, engine=engine) as hub:
        road = Road(hub)

        async def both_ways() -> Any:
            scratch, kept = [
                await take_account(hub.pool, hub.log, engine, from_scratch=way)
                for way in (True, False)
            ]
            assert kept == scratch and kept.closes
            return kept

        await road.put(UNMAPPABLE, message())
        await road.dispatch()
        await both_ways()  # nothing is counted by day: from scratch
        await count_now(hub)
        await both_ways()
        await road.put_replay(0)
        await road.put(UNMAPPABLE, partition=1)
        await road.dispatch()
        await road.rows(
            "UPDATE outcome SET reason = 'discarded' WHERE partition = 0 AND ending = 'parked'"
        )
        await road.put(message(), partition=2)
        account = await both_ways()
        assert (account.received, account.in_flight, account.replays) == (5, 1, 1)
        assert account.parked_by_reason == {"discarded": 1, "unmappable": 1}
        await count_now(hub)
        await both_ways()
        await road.rows('DELETE FROM outcome WHERE partition = 0 AND "offset" = 1')
        for way in (True, False):
            found = await take_account(hub.pool, hub.log, engine, from_scratch=way)
            assert found.difference == (1 if way else 0)  # it was counted: `account gaps` is blind


async def test_a_gap_shows_in_the_sum_of_what_is_kept(road: Road) -> None:
    await count(road)
    await road.put(message(), UNMAPPABLE, message(None, report(filler_order_number="F-2")))
    await road.dispatch()
    await road.rows('DELETE FROM outcome WHERE "offset" < 2')
    await road.rows('DELETE FROM intake WHERE "offset" = 0')
    await count(road)
    found = await take_account(road.hub.pool, road.hub.log, "embedded", from_scratch=False)
    assert (found.difference, found.closes) == (2, False)


async def test_a_report_gives_way_to_whoever_else_is_answered(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.put(*[UNMAPPABLE for _ in range(60)])
    await road.dispatch()
    await count(road)
    turns = 0
    opened: list[int] = []

    class Opener:
        def open(self, sealed: bytes, associated: bytes) -> bytes:
            opened.append(turns)
            return road.hub.vault.open(sealed, associated)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    try:
        async with road.hub.pool.acquire() as connection:
            report = await report_of(
                connection, Opener(), day_of(road.hub.clock.now()), (1, "LAB1"),
                from_copy=False, most_items=100,
            )  # fmt: skip
    finally:
        beside.cancel()
    assert len(report.items) == len(opened) == 60
    assert max(opened.count(turn) for turn in opened) <= 10
