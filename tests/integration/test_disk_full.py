"""A disk that is full under PostgreSQL (SQLSTATE 53100): refused, kept whole, gone on with.

The server itself answers 53100, out of a trigger: to every statement and at every place alike it
is what a full disk gives, and the rest of the transaction is rolled back as there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingest.accept import Answer
from ops.behind_the_door import worker_of
from ops.bootstrap import Hub, open_door
from ops.simulate.sample import sample_message
from schemas.errors import TransientError
from tests.support.hub import Road, scratch_hub
from tests.support.people import dominique, message, report
from tests.support.postgres import Database, connected

CANARY = "ZYXWVUT"
FULL = f"""
CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device ({CANARY})'
        USING ERRCODE = '53100';
END $$;
"""


@asynccontextmanager
async def full_disk(database: Database, *tables: str) -> AsyncIterator[None]:
    """Let every insert into these tables fail as on a full disk, for a block."""
    async with connected(database.superuser_kwargs) as surgeon:
        await surgeon.execute(FULL)
        for table in tables:
            await surgeon.execute(
                f"CREATE TRIGGER disk_is_full BEFORE INSERT ON {table}"
                " FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
            )
        try:
            yield
        finally:
            await surgeon.execute("DROP FUNCTION disk_is_full() CASCADE")


@pytest.fixture
async def hub(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with scratch_hub(database, tmp_path) as made:
        yield made


async def test_an_append_is_answered_ar_207_and_the_door_goes_on_by_itself(
    hub: Hub, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    door = await open_door(hub)
    door.appender.start()

    async def answer(number: int) -> Answer:
        raw = sample_message().replace(b"L0001-20260306-0001", b"L0001-20260306-%04d" % number)
        return await door.acceptor.receive(raw).wait()

    try:
        assert _code(await answer(1)) == b"AA"
        async with full_disk(database, "intake"):
            ends = await hub.log.end_offsets()
            refused = await asyncio.gather(*(answer(n) for n in range(2, 7)))
            for each in refused:
                assert (_code(each), each.try_again, each.close) == (b"AR", True, False)
                assert b"207" in each.parts[0]
                assert CANARY.encode() not in each.parts[0]
            # No number was used up: the log has no gap where nothing was written.
            assert await hub.log.end_offsets() == ends
        assert door.counts.take() == {("AR", "database_disk_full"): 5}
        assert not door.appender.in_doubt.is_set()
        again = await asyncio.gather(*(answer(n) for n in range(2, 7)))
        assert [_code(each) for each in again] == [b"AA"] * 5
    finally:
        await door.appender.stop()
    assert CANARY not in caplog.text
    road = Road(hub)
    assert await road.dispatch() == 6
    account = await road.account()
    assert (account.received, account.parked, account.closes) == (6, 0, True)


@pytest.mark.parametrize("table", ["outcome", "stream_event", "person", "inbox"])
async def test_a_batch_is_rolled_back_whole_and_can_be_done_again(
    hub: Hub, database: Database, table: str
) -> None:
    road = Road(hub)
    await road.put(message(dominique(), report()))
    before = await road.positions()
    async with full_disk(database, table):
        with pytest.raises(TransientError, match="database_disk_full") as caught:
            await road.dispatch()
        assert CANARY not in str(caught.value) + caught.value.remedy
        assert await road.positions() == before
        for held in ("outcome", "stream_event", "person", "inbox", "emitted"):
            assert await road.rows(f"SELECT 1 FROM {held}") == [], held
    assert await road.dispatch() == 1
    assert await road.endings() == [("dispatched", "")]
    assert set(map(len, (await road.kinds()).values())) == {1}


async def test_the_worker_waits_parks_nothing_and_goes_on_by_itself(
    hub: Hub, database: Database
) -> None:
    road = Road(hub)
    stopping = asyncio.Event()
    worker = asyncio.create_task(worker_of(hub).run(stopping))
    try:
        async with full_disk(database, "outcome"):
            for partition in range(4):
                await road.put(
                    *(
                        message(dominique(), report(filler_order_number=f"F-{partition}-{n}"))
                        for n in range(5)
                    ),
                    partition=partition,
                )
            await _until_it_has_failed(worker)
            assert await road.endings() == []
        while (await road.account()).in_flight:
            assert not worker.done(), worker.exception()
            await asyncio.sleep(0.05)
    finally:
        stopping.set()
        await worker
    account = await road.account()
    assert (account.dispatched, account.parked, account.closes) == (20, 0, True)
    assert len(await road.rows("SELECT 1 FROM person")) == 1


async def _until_it_has_failed(worker: asyncio.Task[None]) -> None:
    from ops.runtime.metrics import METRICS

    counted = METRICS.errors.labels("dispatch", "database_disk_full")
    before = counted._value.get()
    while counted._value.get() < before + 2:
        assert not worker.done(), worker.exception()
        await asyncio.sleep(0.02)


def _code(answer: Answer) -> bytes:
    return answer.parts[0].partition(b"MSA|")[2][:2]
