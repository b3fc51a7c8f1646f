from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ops.runtime.failpoints import FailpointError, arm
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool
from ops.runtime.topic import Tail
from routing import outbox_reader, relay, stream_queries
from routing.cursors import Cursor, CursorExpired, Lane, decode_cursor, encode_cursor
from routing.headers import headers_of
from routing.outbox_reader import OutboxEvent
from routing.positions import History, Noted, Positions
from routing.relay import Relay
from routing.streams import StreamReader, encode_line
from schemas.errors import FatalError, HistoriesDiverged, PermanentError, UnknownResult
from schemas.events import StreamEvent
from schemas.topics import NOMINATIVE_STREAMS, Stream, schema_of
from tests.support.outbox import DESTROYED, STREAM, FakeOutbox, PlainOpener


def reader_of(outbox: FakeOutbox) -> StreamReader:
    return StreamReader(cast("Pool", outbox), PlainOpener())


async def read_all(outbox: FakeOutbox, limit: int, after: str | None = None) -> list[StreamEvent]:
    found: list[StreamEvent] = []
    while (page := await reader_of(outbox).read_page(STREAM, after, limit)).events:
        assert len(page.events) <= limit
        assert page.cursor == page.events[-1].cursor
        found += page.events
        after = page.cursor
    return found


def places(events: Sequence[StreamEvent]) -> list[tuple[int, int]]:
    return [(event.partition, event.seq) for event in events]


def filled(*counts: int) -> FakeOutbox:
    outbox = FakeOutbox(len(counts))
    for partition, count in enumerate(counts):
        outbox.add(partition, count)
    return outbox


# ------------------------------------------------------------------ cursors and lines


@given(st.lists(st.integers(0, 2**62), max_size=64), st.sampled_from(Stream))
def test_cursors_come_back_as_they_went(positions: list[int], stream: Stream) -> None:
    cursor = Cursor(version=1, stream=stream, positions=tuple(positions), fresh=())
    text = encode_cursor(cursor)
    assert decode_cursor(stream, text, len(positions)) == cursor
    assert text.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_of_the_release_before_goes_on() -> None:
    old = msgspec.msgpack.encode([1, STREAM.value, [3, 70_000], [1]])
    text = base64.urlsafe_b64encode(old).rstrip(b"=").decode()
    assert decode_cursor(STREAM, text, 2) == Cursor(
        version=1, stream=STREAM, positions=(3, 70_000), fresh=(1,)
    )


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_a_permanent_error(text: str) -> None:
    with pytest.raises(PermanentError) as caught:
        decode_cursor(STREAM, text, 2)
    assert caught.value.reason == "bad_cursor"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"stream": Stream.DOSSIER},
        {"positions": (1,)},
        {"positions": (-1, 0)},
        {"fresh": (2,)},
        {"until": (1, 1)},
        {"version": 2, "until": (1,)},
        {"version": 2, "until": (-1, 1)},
        {"positions": (2**63, 0)},
    ],
)
def test_cursors_of_elsewhere_are_refused(change: dict[str, Any]) -> None:
    values: dict[str, Any] = {"version": 1, "stream": STREAM, "positions": (0, 0)}
    with pytest.raises(PermanentError):
        decode_cursor(STREAM, encode_cursor(Cursor(**(values | change))), 2)


async def test_a_line_holds_its_body_as_an_object() -> None:
    outbox = FakeOutbox(1)
    outbox.add(0, payload=b'{"n":24.60}')
    outbox.add(0, payload=None)
    full, empty = [encode_line(event) for event in await read_all(outbox, 10)]
    assert full.endswith(b"\n")
    assert full.count(b"\n") == 1
    assert b'"body":{"n":24.60}' in full
    assert msgspec.json.decode(empty)["body"] is None


# ------------------------------------------------------------------ pages


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 9))
async def test_pages_give_every_event_once_and_lanes_in_order(
    counts: list[int], limit: int
) -> None:
    events = await read_all(filled(*counts), limit)
    assert sorted(places(events)) == [
        (partition, seq) for partition, count in enumerate(counts) for seq in range(1, count + 1)
    ]
    for partition in range(len(counts)):
        seqs = [event.seq for event in events if event.partition == partition]
        assert seqs == sorted(seqs)


async def test_any_events_cursor_continues_behind_it() -> None:
    outbox = filled(4, 0, 7)
    whole = await read_all(outbox, 100)
    for number, event in enumerate(whole):
        rest = await read_all(outbox, 3, cast("str", event.cursor))
        assert sorted(places(rest)) == sorted(places(whole[number + 1 :]))
    outbox.add(1)
    assert places(await read_all(outbox, 3, cast("str", whole[-1].cursor))) == [(1, 1)]


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 50), max_size=8), st.integers(0, 100))
def test_shares_are_fair_and_whole(left: dict[int, int], limit: int) -> None:
    lanes = {each: Lane(begins=1, last_seq=count + 5) for each, count in left.items()}
    shares = outbox_reader.share_out(dict.fromkeys(left, 5), lanes, limit)
    assert sum(shares.values()) == min(limit, sum(left.values()))
    assert all(0 < share <= left[each] for each, share in shares.items())
    if len(left) <= limit:
        assert set(shares) == {each for each, count in left.items() if count}


async def test_retention_expires_old_cursors_but_not_the_start() -> None:
    outbox = filled(5, 5)
    old = await reader_of(outbox).read_page(STREAM, None, 2)
    outbox.drop(0, 3)
    with pytest.raises(PermanentError) as caught:
        await read_all(outbox, 10, old.cursor)
    assert caught.value.reason == "cursor_expired"
    assert isinstance(caught.value, CursorExpired)
    assert len(await read_all(outbox, 1)) == 7
    assert len(await read_all(outbox, 10, caught.value.oldest)) == 7


async def test_a_cursor_beyond_the_end_is_of_another_history() -> None:
    last = (await read_all(filled(3), 10))[-1]
    with pytest.raises(PermanentError) as caught:
        await read_all(filled(2), 10, cast("str", last.cursor))
    assert caught.value.reason == "bad_cursor"


async def test_a_destroyed_key_expires_a_cursor_and_is_passed_over_at_the_start() -> None:
    outbox = FakeOutbox(3)
    for partition in range(3):
        outbox.add(partition, 4, payload=DESTROYED)
        outbox.add(partition, 2)
    found = await read_all(outbox, 2)
    assert sorted(places(found)) == [(0, 5), (0, 6), (1, 5), (1, 6), (2, 5), (2, 6)]
    stale = encode_cursor(Cursor(version=1, stream=STREAM, positions=(1, 6, 6)))
    with pytest.raises(PermanentError) as caught:
        await read_all(outbox, 2, stale)
    assert caught.value.reason == "cursor_expired"


async def test_an_altered_payload_is_never_passed_over() -> None:
    class Broken(PlainOpener):
        def open(self, sealed: bytes, associated: bytes) -> bytes:
            raise PermanentError("unreadable_payload")

    with pytest.raises(PermanentError) as caught:
        await StreamReader(cast("Pool", filled(1)), Broken()).read_page(STREAM, None, 5)
    assert caught.value.reason == "unreadable_payload"


# ------------------------------------------------------------------ relay


class FakeNotes:
    """Notes in memory."""

    def __init__(self) -> None:
        self.held: dict[int, Noted] = {}
        self.begun: dict[int, History] = {}

    async def histories(self, stream: Stream) -> dict[int, History]:
        assert stream is STREAM
        return dict(self.begun)

    async def load(self, stream: Stream) -> dict[int, Noted]:
        assert stream is STREAM
        return dict(self.held)

    async def note(self, stream: Stream, notes: Mapping[int, Noted], *, seen: bool) -> None:
        assert stream is STREAM
        for partition, each in notes.items():
            if seen or partition not in self.held or self.held[partition].seq < each.seq:
                self.held[partition] = each


class FakeTopic:
    """A topic and its publisher, which may fail before or after the commit.

    Each record stands alone in its transaction: a mark follows it.
    """

    def __init__(self) -> None:
        self.lanes: dict[int, list[bytes]] = {}
        self.taken: dict[int, int] = {}
        self.marks: dict[int, int] = {}
        self.notes = FakeNotes()
        self.sizes: list[int] = []
        self.fail_before = self.fail_after = False
        self.closed = 0
        self.headers: list[Mapping[str, bytes]] = []

    async def start(self) -> None:
        return

    async def close(self) -> None:
        self.closed += 1

    async def publish(self, events: Sequence[relay.Event]) -> dict[int, int]:
        await asyncio.sleep(0)
        if self.fail_before:
            raise UnknownResult("kafka_in_doubt")
        self.sizes.append(len(events))
        for topic, partition, key, value, headers in events:
            assert topic == "t"
            assert key == msgspec.json.decode(value)["report_id"].encode()
            self.headers.append(dict(headers))
            self.lanes.setdefault(partition, []).append(value)
        if self.fail_after:
            raise UnknownResult("kafka_in_doubt")
        return {partition: self.tail(partition).offset for _, partition, *_ in events}

    async def read_tails(self, topic: str) -> dict[int, Tail]:
        assert topic == "t"
        return {partition: self.tail(partition) for partition in range(9)}

    def tail(self, partition: int) -> Tail:
        records = self.lanes.get(partition, [])
        taken = self.taken.get(partition, 0)
        end = 2 * len(records) + self.marks.get(partition, 0)
        if taken >= len(records):
            return Tail(begin=end if taken else 0, end=end)
        return Tail(begin=2 * taken, end=end, value=records[-1], offset=2 * len(records) - 2)

    def empty(self, partition: int) -> None:
        """What retention does to a partition to which nothing was written for long."""
        self.taken[partition] = len(self.lanes.get(partition, []))

    def places(self) -> list[tuple[int, int]]:
        decoded = [msgspec.json.decode(each) for lane in self.lanes.values() for each in lane]
        return sorted((each["partition"], each["seq"]) for each in decoded)


async def run(outbox: FakeOutbox, topic: FakeTopic, **settings: Any) -> None:
    """Run a relay until it has published all."""
    stopping = asyncio.Event()
    mover = relay_of(outbox, topic, **settings)
    running = asyncio.ensure_future(mover.run(stopping))
    wanted = sum(map(len, outbox.lanes)) + sum(outbox.dropped)
    while not running.done() and sum(map(len, topic.lanes.values())) < wanted:
        await asyncio.sleep(0)
    stopping.set()
    await running


def relay_of(outbox: FakeOutbox, topic: FakeTopic, **settings: Any) -> Relay:
    return Relay(
        reader_of(outbox),
        cast("Positions", topic.notes),
        topic,
        stream=STREAM,
        topic="t",
        partitions=len(outbox.lanes),
        poll_seconds=0.001,
        **settings,
    )


def whole(*counts: int) -> list[tuple[int, int]]:
    return [(lane, seq) for lane, count in enumerate(counts) for seq in range(1, count + 1)]


async def test_the_relay_publishes_every_event_once_over_restarts() -> None:
    outbox, topic = filled(3, 0, 2), FakeTopic()
    await run(outbox, topic)
    await run(outbox, topic)
    outbox.add(1, 2)
    outbox.add(0, 1, payload=None)
    await run(outbox, topic)
    assert topic.places() == whole(4, 2, 2)
    assert topic.closed == 3
    first = msgspec.json.decode(topic.lanes[0][0])
    assert topic.headers[0] == {
        "event_id": first["event_id"].encode(),
        "seq": b"1",
        "part": b"",
        "event_version": b"1",
        "schema": schema_of(STREAM).encode(),
        "traceparent": topic.headers[0]["traceparent"],
    }
    assert "cursor" not in first


async def test_a_paused_relay_publishes_nothing_and_goes_on_where_it_stood() -> None:
    outbox, topic = filled(3, 2), FakeTopic()
    paused, stopping = [True], asyncio.Event()
    mover = Relay(
        reader_of(outbox), cast("Positions", topic.notes), topic, stream=STREAM, topic="t",
        partitions=2, poll_seconds=0.001, is_paused=lambda: paused[0],
    )  # fmt: skip
    running = asyncio.ensure_future(mover.run(stopping))
    lag = METRICS.relay_lag.labels(STREAM.value)
    while lag._value.get() != 5:
        await asyncio.sleep(0)
    outbox.add(0, 1)
    while lag._value.get() != 6:
        await asyncio.sleep(0)
    assert topic.places() == []
    paused[0] = False
    while len(topic.places()) < 6:
        await asyncio.sleep(0)
    paused[0] = True
    stopping.set()
    await running
    assert topic.places() == whole(4, 2)


@pytest.mark.parametrize("stream", Stream)
async def test_the_trace_is_the_message_but_joins_nothing_in_public_health(stream: Stream) -> None:
    outbox = filled(2)
    first, second = [
        OutboxEvent(event=structs.replace(event, stream=stream), message_id=UUID(int=7 << 120))
        for event in await read_all(outbox, 10)
    ]
    traces = [dict(headers_of(each))["traceparent"].decode() for each in (first, second)]
    for each, trace in zip((first, second), traces, strict=True):
        version, trace_id, parent, flags = trace.split("-")
        assert (version, flags, len(trace_id)) == ("00", "00", 32)
        assert parent == each.event.event_id.hex[:16]
        assert (trace_id == each.message_id.hex) is (stream in NOMINATIVE_STREAMS)
    same = traces[0].split("-")[1] == traces[1].split("-")[1]
    assert same is (stream in NOMINATIVE_STREAMS)
    assert headers_of(first) == headers_of(first)


async def test_a_doubt_ends_the_relay_and_the_next_one_repairs() -> None:
    for moment in ("fail_before", "fail_after"):
        outbox, topic = filled(3, 2), FakeTopic()
        setattr(topic, moment, True)
        with pytest.raises(UnknownResult):
            await run(outbox, topic)
        setattr(topic, moment, False)
        await run(outbox, topic)
        assert topic.places() == whole(3, 2)
        assert topic.closed == 2


@pytest.mark.parametrize(
    "name", ["relay.at_start", "relay.read", "relay.in_transaction", "relay.after_commit"]
)
async def test_every_failpoint_loses_and_doubles_nothing(name: str) -> None:
    outbox, topic = filled(3, 2), FakeTopic()
    arm(f"{name}=raise")
    try:
        with pytest.raises(FailpointError):
            await run(outbox, topic)
    finally:
        arm("")
    await run(outbox, topic)
    assert topic.places() == whole(3, 2)


async def test_transactions_are_bounded() -> None:
    outbox, topic = filled(5, 5), FakeTopic()
    await run(outbox, topic, max_events=4)
    assert topic.sizes == [4, 4, 2]
    big = FakeTopic()
    await run(outbox, big, max_bytes=1)
    assert big.sizes == [1] * 10
    assert big.places() == whole(5, 5)


async def test_a_topic_that_retention_emptied_gets_no_event_again() -> None:
    outbox, topic = filled(3, 2, 0), FakeTopic()
    await run(outbox, topic)
    topic.empty(0)
    topic.empty(1)
    outbox.add(1, 2)
    await run(outbox, topic)
    assert topic.places() == whole(3, 4)


async def test_an_emptied_topic_of_which_the_note_is_old_is_fatal() -> None:
    """A relay that died between its commit and its note: nobody knows what was published."""
    outbox, topic = filled(3), FakeTopic()
    await run(outbox, topic)
    old = dict(topic.notes.held)
    outbox.add(0, 1)
    await run(outbox, topic)
    topic.empty(0)
    for held in (old, {}):
        topic.notes.held = dict(held)
        with pytest.raises(HistoriesDiverged, match="nobody has noted"):
            await run(outbox, topic)
    assert topic.places() == whole(4)


async def test_an_emptied_topic_beside_a_restored_database_is_fatal() -> None:
    topic = FakeTopic()
    await run(filled(3), topic)
    topic.empty(0)
    with pytest.raises(HistoriesDiverged, match="another end"):
        await run(filled(2), topic)


async def test_aborted_transactions_alone_are_an_empty_topic() -> None:
    outbox, topic = filled(3), FakeTopic()
    topic.marks[0] = 7
    await run(outbox, topic)
    assert topic.places() == whole(3)


async def test_a_topic_that_lost_its_end_gets_the_same_events_again() -> None:
    outbox, topic = filled(5), FakeTopic()
    await run(outbox, topic)
    del topic.lanes[0][3:]
    before = METRICS.relay_again.labels(STREAM.value)._value.get()
    await run(outbox, topic)
    assert METRICS.relay_again.labels(STREAM.value)._value.get() == before + 2
    assert topic.places() == whole(5)
    assert topic.notes.held == {0: Noted(seq=5, log_offset=8)}


async def test_while_a_transaction_is_confirmed_the_next_is_read() -> None:
    outbox, topic = filled(6, 6), FakeTopic()
    asked: list[str] = []

    class Watched(FakeOutbox):
        async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
            asked.append("read" if query == stream_queries.AFTER else "lanes")
            return await outbox.fetch(query, *args)

    class Slow(FakeTopic):
        async def publish(self, events: Sequence[relay.Event]) -> dict[int, int]:
            asked.append("publish")
            for _ in range(20):
                await asyncio.sleep(0)
            told = await super().publish(events)
            asked.append("published")
            return told

    watched, topic = Watched(2), Slow()
    watched.lanes = outbox.lanes
    await run(watched, topic, max_events=4)
    assert topic.places() == whole(6, 6)
    done = [number for number, what in enumerate(asked) if what == "published"]
    assert [asked[:number].count("read") for number in done] == [2, 3, 3]


async def test_what_was_read_ahead_is_forgotten_by_a_doubt() -> None:
    outbox, topic = filled(6, 6), FakeTopic()
    topic.fail_before = True
    with pytest.raises(UnknownResult):
        await run(outbox, topic, max_events=4)
    topic.fail_before = False
    await run(outbox, topic, max_events=4)
    assert topic.places() == whole(6, 6)


def altered(value: bytes, **changes: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(value) | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": str(UUID(int=5))},
        {"seq": 9},
        {"partition": 1},
        {"stream": "dossier"},
        {"seq": None},
    ],
)
async def test_a_topic_of_another_history_is_fatal(change: dict[str, Any]) -> None:
    outbox, topic = filled(3), FakeTopic()
    await run(outbox, topic)
    topic.lanes[0][-1] = altered(topic.lanes[0][-1], **change)
    with pytest.raises(HistoriesDiverged) as caught:
        await run(outbox, topic)
    assert "histories-diverged.md" in caught.value.remedy
    assert topic.closed == 2


async def test_a_database_restored_to_an_earlier_state_is_fatal() -> None:
    topic = FakeTopic()
    await run(filled(3, 3), topic)
    with pytest.raises(HistoriesDiverged):
        await run(filled(3, 2), topic)


async def test_behind_the_event_that_a_person_has_named_a_new_history_goes_on() -> None:
    topic = FakeTopic()
    await run(filled(3, 0), topic)
    restored = filled(2, 0)
    for lane in (0, 1):  # what `streams reconcile` does to the outbox
        restored.drop(lane, len(restored.lanes[lane]))
        restored.dropped[lane] = 1_000_000
        restored.add(lane, 2)
    last = msgspec.json.decode(topic.lanes[0][-1])
    named = UUID(last["event_id"])
    for seq, event_id in ((2, named), (3, UUID(int=1))):
        topic.notes.begun = {0: History(begins=1_000_001, topic_seq=seq, topic_event=event_id)}
        with pytest.raises(HistoriesDiverged):
            await run(restored, topic)
    topic.notes.begun = {
        0: History(begins=1_000_001, topic_seq=3, topic_event=named),
        1: History(begins=1_000_001, topic_seq=None, topic_event=None),
    }
    for _ in range(2):
        await settled(restored, topic, 7)
        assert topic.places() == [
            *[(0, seq) for seq in (1, 2, 3, 1_000_001, 1_000_002)],
            *[(1, seq) for seq in (1_000_001, 1_000_002)],
        ]


async def settled(outbox: FakeOutbox, topic: FakeTopic, records: int) -> None:
    """Run a relay until the topic has so many records."""
    stopping = asyncio.Event()
    mover = relay_of(outbox, topic)
    running = asyncio.ensure_future(mover.run(stopping))
    while not running.done() and sum(map(len, topic.lanes.values())) < records:
        await asyncio.sleep(0)
    stopping.set()
    await running


async def test_retention_of_what_was_published_does_no_harm() -> None:
    outbox, topic = filled(3), FakeTopic()
    await run(outbox, topic)
    outbox.drop(0, 3)
    outbox.add(0)
    await run(outbox, topic)
    assert topic.places() == whole(4)


async def test_retention_of_what_was_not_published_is_fatal() -> None:
    outbox, topic = filled(3), FakeTopic()
    await run(outbox, topic)
    outbox.add(0, 3)
    outbox.drop(0, 4)
    with pytest.raises(HistoriesDiverged):
        await run(outbox, topic)
    with pytest.raises(HistoriesDiverged):
        await run(outbox, FakeTopic())


async def test_an_unreadable_event_is_fatal_not_skipped() -> None:
    outbox = FakeOutbox(1)
    outbox.add(0, payload=DESTROYED)
    with pytest.raises(FatalError) as caught:
        await run(outbox, FakeTopic())
    assert caught.value.reason == "outbox_unreadable"
