"""What happens to results happens to indicators: late, corrected, cancelled, merged, parted, moved.

On the real tables, through the Dispatcher and the stewards' acts. After each step the cells that
were kept up to date by events are those that SQL counts from all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.exporting.command import export_to
from ops.exporting.manifest import Ask, Form, State
from ops.exporting.tables import REPLACED_RULE
from ops.runtime.ids import new_message_id
from routing.emitted import PendingEvent, event_id_of
from routing.indicator_cells import Measure
from routing.indicator_rows import RowKey
from routing.indicators import Book
from schemas.decision import Realm
from schemas.events import PseudonymReplaced, PublicHealthRow
from schemas.patient import Address
from schemas.report import Coded, LabReport, ResultStatus
from schemas.topics import Stream
from tests.support.exporting import Filler, Silence
from tests.support.hub import PARTITIONS, Road, scratch_hub
from tests.support.identity import STEWARD, person_of_offset
from tests.support.indicator_events import Told, cut, events_of
from tests.support.indicator_sql import Counted
from tests.support.indicator_total import Total
from tests.support.people import OTHER_INS, dominique, message, observation, report
from tests.support.postgres import Database

NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")
SOMEBODY = dominique(
    ins=(OTHER_INS,), birth_family="AUTRE", birth_given="CLAUDE", birth_givens=("CLAUDE",)
)


class Reader:
    """Keeps indicators up to date as a reader of the stream does, and checks them with SQL."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self._book = Book()
        self._total = Total()
        self._read: set[tuple[RowKey, int]] = set()

    async def read(self) -> None:
        """Count what came since the last time."""
        told = [_told(event) for event in await self.road.events(Stream.PUBLIC_HEALTH)]
        fresh = [each for each in told if (each.key, each.version) not in self._read]
        self._read |= {(each.key, each.version) for each in fresh}
        self._total.add(self._book.apply([each.heard() for each in fresh]).deltas)
        counted = Counted.of_events(told)
        try:
            assert self._total.named() == counted.cells()
            assert self._total.named_delays() == counted.delays()
        finally:
            counted.close()

    def by_day(self, measure: Measure) -> dict[str, int]:
        """Return what is counted of a measure, by day."""
        found: dict[str, int] = {}
        for (_, _, day, *_), counts in self._total.named().items():
            found[day.isoformat()] = found.get(day.isoformat(), 0) + counts.get(measure.name, 0)
        return {day: count for day, count in sorted(found.items()) if count}

    def places(self, measure: Measure) -> set[str]:
        """Return the departments in which something is counted."""
        cells = self._total.named()
        return {key[3] for key, counts in cells.items() if counts.get(measure.name)}


def _told(event: dict[str, Any]) -> Told:
    body = event["body"]
    if body is not None:
        kind = PublicHealthRow if body["record"] == "result" else PseudonymReplaced
        body = msgspec.convert(body, kind)
    return Told(UUID(event["report_id"]), event["part"], event["event_version"], body)


def _pending(told: Told) -> PendingEvent:
    body = None if told.body is None else msgspec.json.encode(told.body)
    return PendingEvent(
        stream=Stream.PUBLIC_HEALTH,
        partition=told.report_id.int % PARTITIONS,
        event_id=event_id_of(Stream.PUBLIC_HEALTH, told.report_id, told.version, told.part),
        report_id=told.report_id,
        event_version=told.version,
        kind=told.kind,
        reason="test",
        realm=Realm.TEST,
        rule="every-row" if told.part else REPLACED_RULE,
        rule_version="1",
        person_version=1,
        message_id=new_message_id(),
        part=told.part,
        body=body,
    )


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        yield Road(hub)


def sampled(day: str, **changes: Any) -> LabReport:
    return report(
        **({"filler_order_number": f"F-{day}", "collected_at": f"{day}T09:00:00+01:00"} | changes)
    )


def negative(day: str, **changes: Any) -> LabReport:
    found = (observation(coded=NEGATIVE, value="Not detected"),)
    return sampled(day, observations=found, **changes)


async def told(road: Road, reader: Reader, *messages: Any) -> list[int]:
    offsets: list[int] = await road.put(*messages)
    await road.dispatch()
    await reader.read()
    return offsets


async def test_cells_are_those_that_sql_counts_on_the_exported_files(
    road: Road, tmp_path: Path
) -> None:
    random = Random(31)
    events = events_of(random, 700, 80, 40)
    filler = Filler(road.hub)
    for begin in range(0, len(events), 200):
        pending = [_pending(each) for each in events[begin : begin + 200]]
        await filler.write(pending, road.hub.clock.now())
    ask = Ask(stream=Stream.PUBLIC_HEALTH, state=State.EVENTS, form=Form.PARQUET)
    await export_to(road.hub, ask, tmp_path / "out", tell=Silence())
    total, book = Total(), Book()
    told = [_told(event) for event in await road.events(Stream.PUBLIC_HEALTH)]
    assert len(told) == len(events)
    for batch in cut(random, told, 7):
        total.add(book.apply([each.heard() for each in batch]).deltas)
    counted = Counted.of_files(tmp_path / "out")
    try:
        assert total.named() == counted.cells()
        assert total.named_delays() == counted.delays()
    finally:
        counted.close()


async def test_late_corrected_and_cancelled_results_revise_past_days(road: Road) -> None:
    reader = Reader(road)
    await told(road, reader, message(None, sampled("2026-02-10")))
    assert reader.by_day(Measure.CASES) == {"2026-02-10": 1}
    await told(road, reader, message(None, sampled("2026-01-20")))
    assert reader.by_day(Measure.CASES) == {"2026-01-20": 1}, "a late one opens the episode"
    assert reader.by_day(Measure.POSITIVE_TESTS) == {"2026-01-20": 1, "2026-02-10": 1}
    assert reader.by_day(Measure.ELIGIBLE_PERSONS) == {"2026-01-20": 1}
    await told(road, reader, message(None, sampled("2026-01-20", status=ResultStatus.WRONG)))
    assert reader.by_day(Measure.CASES) == {"2026-02-10": 1}, "the next one opens it now"
    assert reader.by_day(Measure.TESTS) == {"2026-02-10": 1}
    changed = negative("2026-02-10", status=ResultStatus.CORRECTED)
    await told(road, reader, message(None, changed))
    assert reader.by_day(Measure.CASES) == {}
    assert reader.by_day(Measure.TESTS) == {"2026-02-10": 1}
    elsewhere = dominique(address=Address(postcode="94390"))
    await told(
        road, reader, message(elsewhere, negative("2026-02-10", status=ResultStatus.CORRECTED))
    )
    assert reader.by_day(Measure.IMPUTED_TESTS) == {"2026-02-10": 1}
    assert reader.places(Measure.PERSONS_7) == {"91"}


async def test_persons_are_merged_and_parted_across_a_half_year(road: Road) -> None:
    reader = Reader(road)
    one, two = await told(
        road,
        reader,
        message(None, negative("2026-06-29")),
        message(SOMEBODY, negative("2026-07-02")),
    )
    kept, gone = await person_of_offset(road, one), await person_of_offset(road, two)
    apart = reader.by_day(Measure.PERSONS_7)
    assert (apart["2026-07-01"], apart["2026-07-02"], apart["2026-07-06"]) == (1, 2, 1)
    done = await road.dispatcher.stewards.merge(kept, gone, STEWARD)
    await reader.read()
    assert set(reader.by_day(Measure.PERSONS_7).values()) == {1}, "one person in every window"
    await road.dispatcher.stewards.undo(done.event, STEWARD)
    await reader.read()
    assert reader.by_day(Measure.PERSONS_7) == apart


async def test_of_what_can_be_read_no_more_a_merge_is_counted_all_the_same(road: Road) -> None:
    """Its row stays under the old pseudonym; that it is the same person says the alias."""
    reader = Reader(road)
    one, two = await told(
        road,
        reader,
        message(None, negative("2026-03-05")),
        message(SOMEBODY, negative("2026-03-06")),
    )
    kept, gone = await person_of_offset(road, one), await person_of_offset(road, two)
    assert reader.by_day(Measure.PERSONS_7)["2026-03-06"] == 2
    await road.rows('DELETE FROM intake WHERE "offset" = $1 RETURNING 1', two)
    done = await road.dispatcher.stewards.merge(kept, gone, STEWARD)
    assert done.unreadable == 1
    await reader.read()
    assert reader.by_day(Measure.PERSONS_7)["2026-03-06"] == 1
    await road.dispatcher.stewards.undo(done.event, STEWARD)
    await reader.read()
    assert reader.by_day(Measure.PERSONS_7)["2026-03-06"] == 2


async def test_no_result_counts_on_a_day_to_come(road: Road) -> None:
    reader = Reader(road)
    today = road.hub.clock.now().date()
    tomorrow = date.fromordinal(today.toordinal() + 1).isoformat()
    for day in (tomorrow, "2099-01-01"):
        await told(road, reader, message(None, negative(day)))
    assert reader.by_day(Measure.TESTS) == {today.isoformat(): 2}
    assert reader.by_day(Measure.BY_RECEPTION_TESTS) == {today.isoformat(): 2}
