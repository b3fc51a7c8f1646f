"""Pauses: what waits is not lost, goes on where it stopped, and is not forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.cli import main
from ops.parking import acting, mending
from ops.parking.looking import Wish
from ops.pausing import changes
from ops.pausing.standing import PausedStreams, take_figures
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import lent
from ops.status import StatusReader
from schemas.errors import PermanentError, TransientError
from schemas.report import Coded
from schemas.topics import Stream
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.people import message, observation, report
from tests.support.postgres import Database
from tests.support.receiving import Target, added, emit, event, serving, until_states

WHY = Asker(actor="on call", reason="its results are those of others")
NEGATIVE = Coded(code="260415000", text="Not detected", system="SCT")


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


async def pause(hub: Hub, what: str, name: str, asker: Asker = WHY) -> None:
    async with lent(hub.pool) as connection:
        await changes.pause(connection, what, name, asker, hub.clock.now())


async def resume(hub: Hub, what: str, name: str, asker: Asker = WHY) -> int | None:
    async with lent(hub.pool) as connection:
        return await changes.resume(connection, what, name, asker)


async def dispatched(road: Road) -> None:
    """As the worker does: what the fence sends back is read again."""
    for _ in range(3):
        try:
            await road.dispatch()
        except TransientError:
            continue
        return
    raise AssertionError("the fence sends it back for ever")


async def test_a_paused_laboratory_is_answered_kept_and_done_again_in_its_order(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road(hub)
    await pause(hub, "laboratory", "LAB1")
    negative = report(observations=(observation(coded=NEGATIVE, value="Not detected"),))
    first, second = message(None, report()), message(None, negative)
    raws = {b"first": first, b"second": second}
    monkeypatch.setattr("ops.prepare.map_again", lambda raw, _: raws[raw])
    await road.put(first, second, raws=list(raws))
    await road.put(message(), partition=1)
    await dispatched(road)
    assert sorted(await road.endings()) == [
        ("dispatched", ""),
        ("parked", "laboratory_paused"),
        ("parked", "laboratory_paused"),
    ]
    await road.put_replay(0)  # of somebody who does not know: it waits on
    await dispatched(road)
    number = await resume(hub, "laboratory", "LAB1")
    assert number == 1
    # What comes before the others are done again is the newest all the same.
    newest = report(observations=(observation(value="Detected, much"),))
    await road.put(message(None, newest))
    await dispatched(road)
    assert await changes.replay_paused(hub, number, WHY) == 2
    await dispatched(road)
    endings = await road.rows("SELECT ending FROM outcome WHERE ending = 'parked'")
    assert not endings
    (standing,) = await road.rows('SELECT "offset" FROM report WHERE lab_id = 1')
    assert standing["offset"] == 3
    await verified(road)
    assert (await road.account()).closes
    actions = await road.rows("SELECT action, subject FROM audit WHERE action <> 'replay'")
    assert [tuple(row) for row in actions] == [
        ("paused", "laboratory LAB1"),
        ("resumed", "laboratory LAB1"),
    ]


async def test_a_pause_counts_from_the_next_batch_on_without_a_look_between(hub: Hub) -> None:
    """The fence itself says who is paused: no batch goes by an older word."""
    road = Road(hub)
    await road.put(message())
    await road.dispatch()
    await pause(hub, "laboratory", "LAB1")
    await road.put(message(None, report(filler_order_number="F-2")))
    with pytest.raises(TransientError, match="pauses_changed"):
        await road.dispatch()
    await road.dispatch()
    assert await road.endings() == [("dispatched", ""), ("parked", "laboratory_paused")]


async def test_a_paused_stream_is_pushed_to_nobody_until_it_goes_on(
    hub: Hub, database: Database
) -> None:
    target = Target()
    await target.start()
    try:
        await added(hub, "ars", target.url)
        await pause(hub, "stream", "public-health")
        async with serving(hub, database.connect_kwargs):
            await emit(hub, [event(1), event(2)])
            for _ in range(20):  # it proves itself each second: it would have begun
                await asyncio.sleep(0.1)
            assert not target.asked
            await resume(hub, "stream", "public-health")
            await until_states(hub, "ars", lambda f: list(f.values()) == ["accepted"] * 2)
    finally:
        await target.stop()


async def test_a_relay_learns_of_a_pause(hub: Hub) -> None:
    paused = PausedStreams(hub.pool)
    await paused.read()
    assert Stream.DOSSIER not in paused
    await pause(hub, "stream", "dossier")
    await paused.read()
    assert Stream.DOSSIER in paused and Stream.PUBLIC_HEALTH not in paused


async def test_what_cannot_be_paused_or_goes_on_already_is_told(hub: Hub) -> None:
    for what, name, reason in (
        ("stream", "letters", "no_such_stream"),
        ("laboratory", "NOBODY", "no_such_laboratory"),
        ("receiver", "nobody", "no_such_receiver"),
    ):
        with pytest.raises(PermanentError, match=reason):
            await pause(hub, what, name)
    with pytest.raises(PermanentError, match="bad_reason"):
        await pause(hub, "stream", "dossier", Asker(actor="x"))
    with pytest.raises(PermanentError, match="not_paused"):
        await resume(hub, "stream", "dossier")
    await pause(hub, "stream", "dossier")
    with pytest.raises(PermanentError, match="paused_already"):
        await pause(hub, "stream", "dossier")


async def test_a_forgotten_pause_shows(hub: Hub) -> None:
    await added(hub, "ars", "http://127.0.0.1:9/")
    await pause(hub, "receiver", "ars")
    await pause(hub, "laboratory", "LAB2")
    await take_figures(hub)
    assert METRICS.pauses_forgotten._value.get() == 0
    old = hub.clock.now() - timedelta(hours=5)
    async with lent(hub.pool) as connection:
        await connection.execute("UPDATE pause SET paused_at = $1", old)
        status = await StatusReader().read(connection)
        listed = await changes.list_paused(connection)
    assert status.paused == 2
    assert [(each.what, each.name) for each in listed] == [
        ("laboratory", "LAB2"),
        ("receiver", "ars"),
    ]
    assert "LAB2: for 5.0 h" in changes.paused_as_text(listed, hub.clock.now())
    await take_figures(hub)
    assert METRICS.pauses_forgotten._value.get() == 1
    assert METRICS.paused.labels("receiver")._value.get() == 1
    await resume(hub, "laboratory", "LAB2")
    await resume(hub, "receiver", "ars")
    await take_figures(hub)
    assert METRICS.pause_age._value.get() == 0


def test_the_commands_say_what_they_need() -> None:
    run = CliRunner().invoke
    assert "--reason" in run(main, ["pause", "stream", "dossier"]).output
    assert run(main, ["resume", "--help"]).exit_code == 0
    assert run(main, ["pauses", "--help"]).exit_code == 0


async def test_a_replay_during_a_pause_takes_no_ending_back_and_is_done_after_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road(hub)
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    await road.put(message())
    await road.dispatch()
    before = await road.rows('SELECT ending, report_ids FROM outcome WHERE "offset" = 0')
    await pause(hub, "laboratory", "LAB1")
    await road.put_replay(0)
    await dispatched(road)
    assert await road.rows('SELECT ending, report_ids FROM outcome WHERE "offset" = 0') == before
    (waiting,) = await road.rows("SELECT message_id FROM outcome WHERE ending <> 'replay'")
    with pytest.raises(PermanentError, match="not_waiting"):
        await mending.mend(hub, waiting["message_id"], b"MSH", WHY, dry_run=True)
    wish = Wish(reason="laboratory_paused")
    assert (await acting.discard(hub, wish, WHY, dry_run=False)).done == 1
    assert await road.rows('SELECT ending, report_ids FROM outcome WHERE "offset" = 0') == before
    await road.put_replay(0)
    await dispatched(road)
    number = await resume(hub, "laboratory", "LAB1")
    assert number is not None
    assert await changes.replay_paused(hub, number, WHY) == 1
    await dispatched(road)
    assert await road.rows('SELECT ending, report_ids FROM outcome WHERE "offset" = 0') == before
    assert not await road.rows("SELECT 1 FROM parked WHERE resolved_at IS NULL")
    assert (await road.account()).closes


async def test_the_end_of_a_pause_waits_for_the_batch_that_saw_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None parks for a pause that has ended: neither one under way nor one that waits for locks."""
    road = Road(hub)
    monkeypatch.setattr("ops.prepare.map_again", lambda *_: message())
    await pause(hub, "laboratory", "LAB1")
    await road.put(message())
    with pytest.raises(TransientError, match="pauses_changed"):
        await road.dispatch()
    async with lent(hub.pool) as holding:
        async with holding.transaction():
            await holding.fetch("SELECT FROM intake_progress FOR UPDATE")
            ending = asyncio.create_task(resume(hub, "laboratory", "LAB1"))
            await until_waiting(hub, 1)
            # Its fence saw the pause, and gets the lock only once the pause has ended.
            batch = asyncio.create_task(road.dispatch())
            await until_waiting(hub, 2)
        assert await ending == 1
        with pytest.raises(TransientError, match="pauses_changed"):
            await batch
    await road.dispatch()
    assert await road.endings() == [("dispatched", "")]


async def until_waiting(hub: Hub, backends: int) -> None:
    """Wait until so many sessions wait for a lock of another."""
    async with asyncio.timeout(60), lent(hub.pool) as connection:
        while backends > await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
