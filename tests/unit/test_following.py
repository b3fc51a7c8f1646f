from __future__ import annotations

import asyncio
import gc
import weakref
from typing import cast

import pytest

from ops.runtime.postgres import Pool
from routing.filters import EVERYTHING, StreamFilter
from routing.following import Chunk, Follower, Tail, TailLimits
from routing.streams import StreamReader
from schemas.errors import PermanentError, TransientError
from schemas.events import StreamEvent
from tests.support.outbox import STREAM, FakeOutbox, PlainOpener

QUICK = TailLimits(poll_seconds=0.001)
PATIENCE_SECONDS = 60.0


def reader_of(outbox: FakeOutbox) -> StreamReader:
    return StreamReader(cast("Pool", outbox), PlainOpener())


async def take(follower: Follower, count: int) -> list[StreamEvent]:
    found: list[StreamEvent] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count or not follower.is_live:
            chunk = await follower.next(0.05)
            found += chunk.events if chunk is not None else ()
    return found


async def test_a_tail_reads_while_somebody_follows_and_no_longer() -> None:
    outbox = FakeOutbox(2)
    tail = Tail(reader_of(outbox), STREAM, QUICK)
    seen = [tail.is_reading]
    async with tail, tail:
        seen.append(tail.is_reading)
    seen.append(tail.is_reading)
    assert seen == [False, True, False]
    outbox.add(0, 3)
    async with tail:
        follower = Follower(reader_of(outbox), tail, EVERYTHING, None)
        assert len(await take(follower, 3)) == 3


async def test_a_database_that_is_away_stops_nobody_for_good() -> None:
    outbox = FakeOutbox(2)
    tail = Tail(reader_of(outbox), STREAM, QUICK)
    outbox.is_away = True
    with pytest.raises(TransientError):
        await tail.__aenter__()
    outbox.is_away = False
    async with tail:
        follower = Follower(reader_of(outbox), tail, EVERYTHING, None)
        await take(follower, 0)
        outbox.is_away = True
        outbox.add(1, 4)
        assert await follower.next(0.05) is None
        outbox.is_away = False
        assert len(await take(follower, 4)) == 4


async def test_a_look_up_that_fails_is_made_again() -> None:
    outbox = FakeOutbox(1)
    tail = Tail(reader_of(outbox), STREAM, QUICK)
    asked = StreamFilter(departments=frozenset({"75"}))
    outbox.add(0, payload=b'{"residence_department":"75"}')
    (row,) = outbox.lanes[0]
    async with tail:
        followers = [Follower(reader_of(outbox), tail, asked, None) for _ in range(3)]
        for follower in followers:
            await take(follower, 1)
        outbox.put(0, row["report_id"], 2, b'{"residence_department":"69"}')
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (tail.since(0) or tail.number > 1):
                await asyncio.sleep(0.001)
        outbox.is_away = True
        with pytest.raises(TransientError):
            await followers[0].next(0.05)
        outbox.is_away = False
        for follower in followers:
            (told,) = await take(follower, 1)
            assert (told.kind, told.reason) == ("withdrawn", "out_of_filter")


async def test_what_retention_took_of_a_follower_is_told_to_it() -> None:
    outbox = FakeOutbox(1)
    tail = Tail(reader_of(outbox), STREAM, QUICK)
    async with tail:
        follower = Follower(reader_of(outbox), tail, EVERYTHING, None)
        outbox.add(0, 2)
        await take(follower, 2)
        outbox.is_away = True  # for so long that what came meanwhile is gone again
        outbox.add(0, 5)
        outbox.drop(0, 4)
        outbox.is_away = False
        with pytest.raises(PermanentError) as caught:
            await take(follower, 3)
        assert caught.value.reason == "cursor_expired"
        other = Follower(reader_of(outbox), tail, EVERYTHING, None)
        assert [event.seq for event in await take(other, 3)] == [5, 6, 7]
        outbox.add(0, 1)
        assert [event.seq for event in await take(other, 1)] == [8]


async def test_who_is_woken_stops_waiting() -> None:
    outbox = FakeOutbox(1)
    async with Tail(reader_of(outbox), STREAM, QUICK) as tail:
        follower = Follower(reader_of(outbox), tail, EVERYTHING, None)
        await take(follower, 0)
        waiting = asyncio.ensure_future(follower.next(3_600))
        await asyncio.sleep(0)
        follower.wake()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await waiting is None


async def test_what_is_encoded_for_many_filters_counts_against_the_bound() -> None:
    outbox = FakeOutbox(1)
    limits = TailLimits(poll_seconds=0.001, batch_events=50, kept_bytes=200_000)
    tail = Tail(reader_of(outbox), STREAM, limits)
    filters = [StreamFilter(departments=frozenset({"75", f"{n:02}"})) for n in range(1, 41)]
    outbox.add(0, payload=b'{"residence_department":"75"}')
    async with tail:
        followers = [Follower(reader_of(outbox), tail, asked, None) for asked in filters]
        for follower in followers:
            await take(follower, 1)
        for _ in range(400):
            outbox.add(0, payload=b'{"residence_department":"75"}')
        got = dict.fromkeys(range(len(followers)), 0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(got.values()) < 400:
                for each, follower in enumerate(followers):
                    chunk = await follower.next(0.05)
                    if chunk is None:
                        continue
                    got[each] += len(chunk.events)
                    chunk.deflated("sse")
                    chunk.encoded("ndjson")
                assert len(tail._batches) == 1 or held_by(tail) <= limits.kept_bytes
    assert set(got.values()) == {400}


def held_by(tail: Tail) -> int:
    """What a tail really holds of encodings and bodies."""
    return sum(
        sum(len(body) for body in (each.body for each in batch._events) if body)
        + sum(
            len(text)
            for chunk in batch._chunks.values()
            for texts in (chunk._encoded, chunk._deflated)
            for text in texts.values()
        )
        for batch in tail._batches
    )


async def test_a_batch_keeps_what_a_few_filters_leave_and_makes_the_rest_for_each() -> None:
    outbox = FakeOutbox(1)
    tail = Tail(reader_of(outbox), STREAM, QUICK)
    outbox.add(0, payload=b'{"residence_department":"75"}')
    async with tail:
        followers = [
            Follower(
                reader_of(outbox), tail, StreamFilter(departments=frozenset({"75", str(n)})), None
            )
            for n in range(100)
        ]
        for follower in followers:
            await take(follower, 1)
        outbox.add(0, payload=b'{"residence_department":"75"}')
        for follower in followers:
            assert len(await take(follower, 1)) == 1
        assert [len(batch._chunks) for batch in tail._batches] == [17]


async def test_what_the_tail_keeps_no_more_is_free_without_the_collector() -> None:
    """Its longest round comes after half an hour: all that was followed would wait for it."""
    outbox = FakeOutbox(1)
    limits = TailLimits(poll_seconds=0.001, kept_bytes=4_000)
    tail = Tail(reader_of(outbox), STREAM, limits)
    lyon = StreamFilter(departments=frozenset({"69"}))
    chunks: list[weakref.ref[Chunk]] = []
    gc.collect()
    gc.disable()
    try:
        async with tail:
            followers = [
                Follower(reader_of(outbox), tail, asked, None) for asked in (EVERYTHING, lyon)
            ]
            for follower in followers:
                await take(follower, 0)
            for _ in range(12):
                outbox.add(0, 2, payload=b'{"residence_department":"69"}')
                for follower in followers:
                    chunks += [weakref.ref(each) for each in await encoded(follower, 2)]
            most = limits.kept_bytes // (2 * 400)
            del follower
            assert len(chunks) == 24
            assert sum(chunk() is not None for chunk in chunks) <= 2 * most
        assert not [chunk for chunk in chunks if chunk() is not None], "nobody follows any more"
    finally:
        gc.enable()


async def encoded(follower: Follower, count: int) -> list[Chunk]:
    """Take so many events, each chunk encoded as for a reader."""
    found: list[Chunk] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(len(chunk.events) for chunk in found) < count:
            chunk = await follower.next(0.05)
            if chunk is not None and chunk.events:
                chunk.deflated("ndjson")
                found.append(chunk)
    return found
