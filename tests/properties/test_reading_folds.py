"""Whoever reads, and however: the fold of what is read is the fold of the stream.

Lives of results in any order, any cuts into pages, any filter, a state taken in anywhere in
between, followers of any slowness: the highest `event_version` of a part wins, and what a reader
then holds is what it should hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from random import Random
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.runtime.postgres import Pool
from routing.cursors import decode_cursor
from routing.filters import EVERYTHING, StreamFilter, fits
from routing.following import Chunk, Follower, Tail, TailLimits
from routing.streams import StreamReader
from schemas.events import StreamEvent
from tests.support.outbox import STREAM, FakeOutbox, PlainOpener

PARTITIONS = 3
CONDITIONS = ("sars-cov-2", "influenza-a", "rsv")
DEPARTMENTS = ("75", "69", "")
RESULTS = ("positive", "negative", "")
DAYS = ("2026-03-01", "2026-03-06", "2026-03-09")

Key = tuple[UUID, str]


class Lives:
    """Writes versions of parts of reports, each after the one before it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.outbox = FakeOutbox(PARTITIONS)
        self.versions: dict[Key, int] = {}
        self.stands: set[Key] = set()

    def live(self, steps: int) -> None:
        for _ in range(steps):
            report = UUID(int=self.random.randrange(1, 12))
            part = self.random.choice((*CONDITIONS, ""))
            key = report, part
            version = self.versions[key] = self.versions.get(key, 0) + 1
            if key in self.stands and self.random.random() < 0.3:
                self.stands.discard(key)
                body = None
            else:
                self.stands.add(key)
                body = self._body(part)
            self.outbox.put(report.int % PARTITIONS, report, version, body, part)

    def _body(self, condition: str) -> bytes:
        if not condition:  # what says that a pseudonym was replaced is no part of a report
            return msgspec.json.encode({"record": "pseudonym_replaced", "old": "a", "new": "b"})
        return msgspec.json.encode(
            {
                "condition": condition,
                "residence_department": self.random.choice(DEPARTMENTS),
                "result": self.random.choice(RESULTS),
                "sampled_on": self.random.choice(DAYS),
                "nonce": self.random.random(),
            }
        )

    @property
    def reader(self) -> StreamReader:
        return StreamReader(cast("Pool", self.outbox), PlainOpener())

    def state(self, asked: StreamFilter) -> dict[Key, bytes]:
        """What should be held now, computed from the rows alone."""
        newest: dict[Key, Mapping[str, Any]] = {}
        for rows in self.outbox.lanes:
            for row in rows:
                newest[row["report_id"], row["part"]] = row
        return {
            key: row["payload"]
            for key, row in newest.items()
            if row["payload"] is not None and fits(STREAM, asked, row["payload"])
        }


def fold(events: Sequence[StreamEvent]) -> dict[Key, bytes]:
    held: dict[Key, StreamEvent] = {}
    for event in events:
        key = event.report_id, event.part
        if key not in held or event.event_version > held[key].event_version:
            held[key] = event
    return {key: bytes(event.body) for key, event in held.items() if event.body is not None}


async def read_on(
    lives: Lives, cursor: str | None, asked: StreamFilter
) -> tuple[list[StreamEvent], str]:
    """Read to the end in pages of any size, now and then from an event's own cursor."""
    found: list[StreamEvent] = []
    while True:
        page = await lives.reader.read_page(
            STREAM, cursor, lives.random.randrange(1, 8), asked, scan=lives.random.randrange(1, 9)
        )
        events = page.events
        if len(events) > 1 and lives.random.random() < 0.3:
            events = events[: lives.random.randrange(1, len(events))]
            cursor = cast("str", events[-1].cursor)
        else:
            cursor = page.cursor
            if page.is_end:
                return found + events, cursor
        found += events


subsets = st.frozensets
filters = st.builds(
    StreamFilter,
    conditions=subsets(st.sampled_from(CONDITIONS), max_size=2),
    departments=subsets(st.sampled_from(DEPARTMENTS[:2]), max_size=1),
    results=subsets(st.sampled_from(RESULTS[:2]), max_size=1),
    since=st.sampled_from([None, *map(date.fromisoformat, DAYS)]),
    until=st.sampled_from([None, *map(date.fromisoformat, DAYS)]),
)


@given(st.integers(0, 10**9), filters, st.lists(st.integers(0, 25), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
async def test_a_filtered_fold_is_the_fold_filtered(
    seed: int, asked: StreamFilter, bursts: list[int]
) -> None:
    lives = Lives(seed)
    found: list[StreamEvent] = []
    cursor: str | None = None
    for burst in bursts:
        lives.live(burst)
        more, cursor = await read_on(lives, cursor, asked)
        found += more
        assert fold(found) == lives.state(asked)
    places = [(event.partition, event.seq) for event in found]
    assert len(set(places)) == len(places)
    held: set[Key] = set()
    for event in found:
        key = event.report_id, event.part
        if event.body is None:
            assert key in held  # nobody is told that what he never had is withdrawn
            held.discard(key)
        else:
            held.add(key)


@given(st.integers(0, 10**9), filters, st.lists(st.integers(0, 25), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
async def test_the_present_state_then_what_comes_has_no_gap_and_no_overlap(
    seed: int, asked: StreamFilter, bursts: list[int]
) -> None:
    lives = Lives(seed)
    lives.live(bursts[0])
    state_then = lives.state(asked)
    cursor: str | None = await lives.reader.snapshot(STREAM)
    ends = tuple(len(rows) for rows in lives.outbox.lanes)
    lives.live(bursts[1])  # comes while the state is taken in
    found: list[StreamEvent] = []
    for burst in [0, *bursts[2:]]:
        lives.live(burst)
        more, cursor = await read_on(lives, cursor, asked)
        found += more
        assert fold(found) == lives.state(asked)
    taken_in = [event for event in found if event.seq <= ends[event.partition]]
    assert {(e.report_id, e.part): bytes(e.body or b"") for e in taken_in} == state_then
    assert len(taken_in) == len(state_then)
    places = [(event.partition, event.seq) for event in found]
    assert len(set(places)) == len(places)


async def test_what_was_kept_back_is_withdrawn_where_the_version_before_cannot_be_read() -> None:
    lives = Lives(1)
    report = UUID(int=3)
    asked = StreamFilter(departments=frozenset({"75"}))
    body = msgspec.json.encode({"condition": "rsv", "residence_department": "69"})
    lives.outbox.put(0, report, 5, body, "rsv")  # 4 was taken by retention
    page = await lives.reader.read_page(STREAM, None, 10, asked)
    assert [(e.kind, e.reason, e.body) for e in page.events] == [
        ("withdrawn", "out_of_filter", None)
    ]
    told = await lives.reader.read_page(
        STREAM, None, 10, StreamFilter(conditions=frozenset({"sars-cov-2"}))
    )
    assert told.events == []
    assert told.is_end
    assert decode_cursor(STREAM, told.cursor, PARTITIONS).positions == (1, 0, 0)


@pytest.mark.parametrize("kept_bytes", [1, 2_000, 10**9])
@given(st.integers(0, 10**9), st.sampled_from(["", "state"]))
@settings(max_examples=8, deadline=None)
async def test_followers_of_any_slowness_get_each_event_once(
    kept_bytes: int, seed: int, start: str
) -> None:
    lives = Lives(seed)
    lives.live(20)
    limits = TailLimits(poll_seconds=0.0001, batch_events=5, kept_bytes=kept_bytes)
    tail = Tail(lives.reader, STREAM, limits)
    asks = [EVERYTHING, EVERYTHING, StreamFilter(departments=frozenset({"75"}))]

    async def follow(asked: StreamFilter, slowness: int, is_over: asyncio.Event) -> None:
        cursor = await lives.reader.snapshot(STREAM) if start else None
        found: list[StreamEvent] = []
        async with tail:
            follower = Follower(lives.reader, tail, asked, cursor, page_events=7)
            while True:
                was_over = is_over.is_set()
                chunk = await follower.next(0.005)
                if chunk is not None:
                    found += chunk.events
                if was_over and chunk is None and follower.is_live:
                    break
                for _ in range(slowness):
                    await asyncio.sleep(0)
        places = [(event.partition, event.seq) for event in found]
        assert len(set(places)) == len(places)
        assert fold(found) == lives.state(asked)
        ends = tuple(len(rows) for rows in lives.outbox.lanes)
        assert decode_cursor(STREAM, str(follower.cursor), PARTITIONS).positions == ends

    is_over = asyncio.Event()
    following = [
        asyncio.ensure_future(follow(asked, slowness, is_over))
        for asked, slowness in zip(asks, (0, 40, 3), strict=True)
    ]
    for _ in range(15):
        lives.live(lives.random.randrange(8))
        for _ in range(lives.random.randrange(60)):
            await asyncio.sleep(0)
    is_over.set()
    async with asyncio.timeout(60):
        await asyncio.gather(*following)
    assert not tail.is_reading


async def test_a_cursor_ahead_of_the_tail_waits_for_it() -> None:
    lives = Lives(2)
    async with Tail(lives.reader, STREAM, TailLimits(poll_seconds=0.1)) as tail:
        await asyncio.sleep(0)  # its first look is behind it
        lives.live(10)
        before = [len(rows) for rows in lives.outbox.lanes]
        follower = Follower(lives.reader, tail, EVERYTHING, await lives.reader.end(STREAM))
        found: list[StreamEvent] = []
        while not follower.is_live:
            found += (await follower.next(1) or Chunk(())).events
        lives.live(5)
        async with asyncio.timeout(60):
            while len(found) < 5:
                found += (await follower.next(1) or Chunk(())).events
    assert sorted((event.partition, event.seq) for event in found) == [
        (partition, seq)
        for partition, rows in enumerate(lives.outbox.lanes)
        for seq in range(before[partition] + 1, len(rows) + 1)
    ]
