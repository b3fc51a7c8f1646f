"""After a restore to an earlier state a stream begins a new history, by which all converge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ops.asking import Asker
from ops.behind_the_door import verifier_of
from ops.bootstrap import reader_of
from ops.reconciling.command import reconcile_streams, reconciler_of
from ops.reconciling.reconciler import JUMP, VERSIONS_LEFT_OUT, Ahead
from routing.cursors import CursorExpired
from routing.emitted import event_id_of
from routing.positions import Positions
from schemas.errors import PermanentError
from schemas.events import EventHeader, StreamEvent
from schemas.topics import STREAMS, Stream
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, report
from tests.support.postgres import Database

ASKER = Asker(actor="a test", reason="the database was restored")
LOST = UUID(int=77)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Road]:
    async with scratch_hub(database, tmp_path) as hub:
        made = Road(hub)
        await made.put(message(None, report()))
        await made.put(message(None, report(filler_order_number="F-2")), partition=1)
        await made.dispatch()
        yield made


async def read(road: Road, stream: Stream, after: str | None) -> tuple[list[StreamEvent], str]:
    page = await reader_of(road.hub).read_page(stream, after, 1_000)
    return page.events, page.cursor


def newest(events: list[StreamEvent]) -> dict[tuple[UUID, str], StreamEvent]:
    held: dict[tuple[UUID, str], StreamEvent] = {}
    for each in events:
        key = each.report_id, each.part
        if key not in held or held[key].event_version < each.event_version:
            held[key] = each
    return held


async def topic_of(road: Road, stream: Stream) -> Ahead:
    """The topic has the outbox's events, a newer version of one, and one of a lost report."""
    reconciler, ahead = reconciler_of(road.hub), Ahead()
    events, _ = await read(road, stream, None)
    headers = [as_header(each) for each in events]
    last = headers[-1]
    headers += [
        msgspec.structs.replace(
            last,
            seq=last.seq + n,
            event_version=version,
            report_id=report_id,
            event_id=event_id_of(stream, report_id, version, last.part),
        )
        for n, version, report_id in ((1, 5_000, last.report_id), (2, 3, LOST))
    ]
    await reconciler.compare(stream, headers, ahead)
    return ahead


def as_header(event: StreamEvent) -> EventHeader:
    names = EventHeader.__struct_fields__
    return EventHeader(**{name: getattr(event, name) for name in names})


async def test_all_is_told_again_above_what_was_lost_and_readers_are_told(road: Road) -> None:
    stream = Stream.DOSSIER
    before, cursor = await read(road, stream, None)
    ahead = await topic_of(road, stream)
    assert {part[0] for part in ahead.unknown} == {before[-1].report_id, LOST}
    reconciler = reconciler_of(road.hub)
    looked = await reconciler.look(stream, ahead)
    assert (looked.held, looked.unknown) == (len(newest(before)), 2)
    assert (await read(road, stream, None))[0] == before
    told = await reconciler.reconcile(stream, ahead, ASKER)
    assert (told.told, told.withdrawn, told.expired) == (len(newest(before)), 1, 0)
    with pytest.raises(CursorExpired) as gone:
        await read(road, stream, cursor)
    after, _ = await read(road, stream, gone.value.oldest)
    state = newest(after)
    lost = state.pop((LOST, before[-1].part))
    assert (lost.kind, lost.event_version) == ("withdrawn", 4)
    assert {k: e.body for k, e in state.items()} == {k: e.body for k, e in newest(before).items()}
    assert all(e.event_version > VERSIONS_LEFT_OUT and e.seq > JUMP for e in state.values())
    assert state[before[-1].report_id, before[-1].part].event_version == 5_001
    # A snapshot holds the same, and nothing was counted that is no event.
    reader = reader_of(road.hub)
    page = await reader.read_page(stream, await reader.snapshot(stream), 1_000)
    assert newest(page.events).keys() == state.keys()
    assert (await road.account()).events[stream] == len(before) + len(after)
    found = await verifier_of(road.hub, road.dispatcher).verify()
    assert found.agrees, found.differ


async def test_what_was_cut_short_goes_on_and_new_work_goes_on_above(road: Road) -> None:
    for stream in STREAMS:
        await reconciler_of(road.hub).reconcile(stream, Ahead(), ASKER)
    again = await reconciler_of(road.hub)._begun(Stream.DOSSIER)
    assert not again
    await road.rows("UPDATE stream_history SET told = false")
    told = await reconciler_of(road.hub).reconcile(Stream.DOSSIER, Ahead(), ASKER)
    assert told.told == 0  # all of it was told
    await road.put(message(None, report(filler_order_number="F-3")))
    await road.dispatch()
    events, _ = await read(road, Stream.DOSSIER, None)
    assert events[-1].event_version == 1
    assert (await verifier_of(road.hub, road.dispatcher).verify()).agrees


async def test_the_relay_goes_on_behind_the_event_that_a_person_has_named(road: Road) -> None:
    stream = Stream.DOSSIER
    ahead = await topic_of(road, stream)
    await reconciler_of(road.hub).reconcile(stream, ahead, ASKER)
    histories: dict[int, Any] = dict(await Positions(road.hub.pool).histories(stream))
    for partition, last in ahead.last.items():
        assert (histories[partition].topic_seq, histories[partition].topic_event) == (
            last.seq,
            last.event_id,
        )
    lanes = await reader_of(road.hub).lanes(stream)
    assert all(lane.begins == histories[each].begins for each, lane in lanes.items())


async def test_nobody_reconciles_without_a_word_why(road: Road) -> None:
    with pytest.raises(PermanentError, match="why_missing"):
        await reconcile_streams(
            Path("nowhere"), ["dossier"], Asker(actor="a", reason=""), dry_run=True, as_json=True
        )
