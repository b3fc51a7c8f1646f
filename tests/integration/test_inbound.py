"""Inbound topics on a real broker and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ingest.ack import facility_not_yours
from ingest.inbound import InboundTopic
from ingest.inbound_ports import InboundLimits
from ingest.inbound_proof import sign, signing_key
from ingest.inbound_store import Held, InboundStore, Park
from ops.bootstrap import Door, Hub, open_door
from ops.inbound.door import SECRET, SharedTurn, prover_of
from ops.inbound.replies import Replies
from ops.register import credentials
from ops.runtime import failpoints
from ops.runtime.failpoints import FailpointError
from ops.runtime.kafka_client import LARGE_RECORDS
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.kafka_topics import ensure_topics
from ops.runtime.topic import TopicSpec
from ops.simulate.sample import sample_message
from schemas.envelope import AcceptedMessage, partition_of
from schemas.errors import TransientError
from tests.support.hub import Road, scratch_hub
from tests.support.inbound import Writer, headers_of, read_all
from tests.support.postgres import Database

LABS = ("LAB1", "LAB2", "LAB3")
CANARY = b"ZZCANARY"


class Place:
    """A hub, a topic, laboratories with keys, and doors as they start and end."""

    def __init__(self, hub: Hub, bootstrap: str, prefix: str) -> None:
        self.hub = hub
        self.road = Road(hub)
        self.bootstrap = bootstrap
        self.topic = f"{prefix}results"
        self.reply_topic = f"{prefix}answers"
        self.store = InboundStore(hub.pool, hub.vault, hub.clock, max_kept=3)
        self.keys: dict[str, bytes] = {}

    async def prepare(self, labs: Sequence[str] = LABS) -> None:
        secret = self.hub.vault.secret(SECRET)
        async with self.hub.pool.acquire() as connection:
            for lab in labs:
                made = await credentials.new_token(
                    connection, lab, "kafka", actor="test", reason="test"
                )
                self.keys[lab] = signing_key(secret, sha256(made.token.encode()).digest())
        spec = TopicSpec(partitions=2, replication_factor=1, configs=LARGE_RECORDS)
        settings = self.writer().settings
        await ensure_topics(settings, {self.topic: spec, self.reply_topic: spec}, 60)

    def writer(self) -> Writer:
        return Writer(self.bootstrap, self.topic, self.keys)

    def door(self, door: Door, turn: SharedTurn, replies: Replies) -> InboundTopic:
        return InboundTopic(
            self.topic,
            lambda: PartitionReader(self.writer().settings, self.topic, read_committed=True),
            progress=self.store,
            turn=turn,
            door=door.acceptor,
            line=door.acceptor.fairness.line_of_file(),
            prover=prover_of(self.hub, door),
            limits=InboundLimits(
                max_message_bytes=200_000, window_records=10, window_bytes=1_000_000
            ),
            send=replies.send,
        )

    async def run(self, until: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        """Run a process's door until a condition holds; raise what it raised."""
        door = await open_door(self.hub)
        door.appender.start()
        replies = Replies(self.writer().settings, self.reply_topic)
        await replies.start()
        turn = SharedTurn(self.store, 15)
        stopping = asyncio.Event()
        task = asyncio.create_task(self.door(door, turn, replies).run(stopping))
        try:
            async with asyncio.timeout(120):
                while not task.done() and not await until():
                    await asyncio.sleep(0.02)
        finally:
            stopping.set()
            await asyncio.wait([task], timeout=60)
            await turn.end()
            await replies.close()
            await door.appender.stop()
        task.result()

    def passed(self, *offsets: int) -> Callable[[], Coroutine[Any, Any, bool]]:
        """A condition: the first partitions are taken up to there."""

        async def reached() -> bool:
            rows = await self.road.rows(
                "SELECT partition, next_offset FROM inbound_progress WHERE topic = $1", self.topic
            )
            at = {row["partition"]: row["next_offset"] for row in rows}
            return all(at.get(number, 0) >= offset for number, offset in enumerate(offsets))

        return reached

    async def in_log(self) -> int:
        return sum((await self.hub.log.end_offsets()).values())

    async def parked(self) -> list[tuple[int, int, str, str]]:
        found = await self.store.listed(100)
        return [(each.partition, each.offset, each.reason, each.laboratory) for each in found]


@pytest.fixture
async def place(
    database: Database, tmp_path: Path, kafka_bootstrap: str, unique_topic_prefix: str
) -> AsyncIterator[Place]:
    async with scratch_hub(database, tmp_path) as hub:
        made = Place(hub, kafka_bootstrap, unique_topic_prefix)
        await made.prepare()
        yield made


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def numbered(number: int, lab: str = "LAB1") -> bytes:
    raw = sample_message().replace(b"L0001-20260306-0001", b"M-%d" % number)
    raw = raw.replace(b"LAB-5567", b"LAB-%d" % number)
    return raw.replace(b"|990010001|", b"|%b|" % lab.encode())


def version(number: int) -> bytes:
    """The same report again and again, each time with another comment."""
    return numbered(1).replace(b"|M-1|", b"|V-%d|" % number) + b"NTE|1||%d\r" % number


async def test_records_come_in_once_and_in_order_over_a_restart(place: Place) -> None:
    async with place.writer() as writer:
        await writer.write(*(version(number) for number in range(25)))
        await writer.write(*(numbered(number, "LAB2") for number in range(5)), partition=1)
        await place.run(place.passed(25, 5))
        await writer.write(*(version(number) for number in range(25, 40)))
        await place.run(place.passed(40, 5))
    assert await place.in_log() == 45
    assert await place.store.listed(10, also_resolved=True) == []
    answers = await read_all(place.writer().settings, place.reply_topic, 45)
    assert all(b"MSA|AA|" in answer.value for answer in answers)
    first = [answer for answer in answers if answer.partition == 0]
    assert [answer.key for answer in first] == [b"V-%d" % number for number in range(40)]
    assert dict(first[7].headers) == {
        "laboratory": b"LAB1",
        "topic": place.topic.encode(),
        "partition": b"0",
        "offset": b"7",
    }
    await place.road.dispatch()
    rows = await place.road.rows(
        'SELECT o."offset", o.ending FROM outcome o JOIN lab l ON l.lab_id = o.lab_id'
        " WHERE l.registry_id = 'LAB1' ORDER BY 1"
    )
    assert [row["ending"] for row in rows] == ["dispatched"] * 40


@pytest.mark.parametrize("failpoint", ["inbound.before_advance", "inbound.after_advance"])
async def test_a_crash_around_the_step_gives_duplicates_and_no_second_event(
    place: Place, failpoint: str
) -> None:
    async with place.writer() as writer:
        await writer.write(*(numbered(number) for number in range(25)))
    failpoints.arm(f"{failpoint}=raise@2")
    with pytest.raises(FailpointError):
        await place.run(place.passed(25))
    failpoints.arm("")
    await place.run(place.passed(25))
    again = 10 if failpoint == "inbound.before_advance" else 0
    assert await place.in_log() == 25 + again
    await place.road.dispatch()
    account = await place.road.account()
    assert account.closes
    assert account.dispatched + account.duplicate_by_reason.get("same_message", 0) == 25 + again
    assert account.duplicate_by_reason.get("same_message", 0) == again
    versions = await place.road.rows("SELECT count(*) AS n FROM report_version")
    reports = await place.road.rows("SELECT count(*) AS n FROM report")
    assert versions[0]["n"] == reports[0]["n"], "no report was handled twice"
    for kinds in (await place.road.kinds()).values():
        assert set(kinds) <= {"published"}


async def test_poison_is_parked_sealed_with_its_place_and_shown_apart(place: Place) -> None:
    wrong = sign(b"w" * 32, place.topic, b"LAB1", numbered(2))
    async with place.writer() as writer:
        await writer.write(numbered(1))
        await writer.write(b"no message " + CANARY, laboratory="LAB1")
        await writer.write(numbered(2) + CANARY, headers=headers_of("LAB1", wrong))
        await writer.write(numbered(3, "LAB2"), laboratory="LAB1")
        await writer.write(numbered(4), headers=())
        await writer.write(numbered(5) + b"ZZZ|" + b"x" * 250_000 + b"\r")
        await writer.write(numbered(6), partition=1)
        await place.run(place.passed(6, 1))
    assert await place.in_log() == 2
    assert await place.parked() == [
        (0, 1, "not_hl7", "LAB1"),
        (0, 2, "bad_signature", ""),
        (0, 3, facility_not_yours().code, "LAB1"),
        (0, 4, "no_proof", ""),
        (0, 5, "oversize", ""),
    ]
    rows = await place.road.rows('SELECT payload, reason FROM inbound_parked ORDER BY "offset"')
    kept = [row["reason"] for row in rows if row["payload"] is not None]
    assert kept == ["not_hl7", "bad_signature", facility_not_yours().code], "three are kept here"
    assert all(CANARY not in row["payload"] for row in rows if row["payload"] is not None)
    await place.road.dispatch()
    account = await place.road.account()
    assert (account.closes, account.received) == (True, 2)
    assert sum(account.inbound["parked"].values()) == 5
    assert await place.store.waiting() == 5


async def test_a_parked_record_is_kept_whole_and_resolved_once(place: Place) -> None:
    async with place.writer() as writer:
        await writer.write(numbered(3, "LAB2"), laboratory="LAB1")
        await place.run(place.passed(1))
    (parked,) = await place.store.listed(10)
    held = await place.store.held(parked.parked_id)
    assert (held.key, held.value) == (b"LAB1", numbered(3, "LAB2"))
    door = await open_door(place.hub)
    proved = prover_of(place.hub, door).prove(place.topic, held.key, held.value, held.headers)
    assert not isinstance(proved, str)
    assert proved.registry_id == "LAB1"
    await place.store.resolve(parked, "AA", actor="a test", reason="mended")
    assert await place.store.listed(10) == []
    (resolved,) = await place.store.listed(10, also_resolved=True)
    assert resolved.resolution == "AA"
    audit = await place.road.rows(
        "SELECT action, subject FROM audit ORDER BY audit_id DESC LIMIT 1"
    )
    assert dict(audit[0]) == {"action": "inbound_retry", "subject": f"{place.topic}/0/0"}


async def test_who_was_overtaken_moves_and_parks_nothing(place: Place) -> None:
    held = Held(key=None, value=b"x")
    park = Park(partition=0, offset=0, reason="not_hl7", held=held)
    assert await place.store.positions("t", {0: 0, 1: 5}) == {0: 0, 1: 5}
    assert await place.store.positions("t", {0: 3, 1: 9}) == {0: 0, 1: 5}
    await place.store.advance("t", {0: 0, 1: 5}, {0: 1, 1: 6}, [])
    with pytest.raises(TransientError, match="inbound_overtaken"):
        await place.store.advance("t", {0: 0, 1: 6}, {0: 1, 1: 7}, [park])
    assert await place.store.positions("t", {0: 0, 1: 0}) == {0: 1, 1: 6}
    assert await place.store.listed(10) == []


async def test_one_process_has_the_turn_until_it_ends_or_hangs(place: Place) -> None:
    one, two = uuid4(), uuid4()
    assert await place.store.take_turn(one, 60)
    assert not await place.store.take_turn(two, 60)
    assert await place.store.take_turn(one, 0.001)
    async with asyncio.timeout(30):
        while not await place.store.take_turn(two, 60):
            await asyncio.sleep(0.01)
    assert not await place.store.take_turn(one, 60)
    await place.store.end_turn(two)
    assert await place.store.take_turn(one, 60)


async def test_two_that_read_at_once_lose_nothing_and_handle_nothing_twice(place: Place) -> None:
    """As if the turn did not exist: the fence and the inbox keep what is promised."""

    async def always(owner: object, seconds: float) -> bool:
        return True

    async with place.writer() as writer:
        await writer.write(*(version(number) for number in range(60)))
    place.store.take_turn = always  # type: ignore[method-assign]
    await asyncio.gather(place.run(place.passed(60)), place.run(place.passed(60)))
    await place.road.dispatch()
    account = await place.road.account()
    assert account.closes
    assert account.dispatched == 60
    assert account.received == 60 + account.duplicate_by_reason.get("same_message", 0)
    partition = partition_of("LAB1", place.hub.instance.partitions)
    rows = await place.road.rows(
        'SELECT "offset" FROM outcome WHERE ending = $1 ORDER BY "offset"', "dispatched"
    )
    taken = []
    for row in rows:
        record = await place.hub.log.fetch(partition, row["offset"])
        assert record is not None
        sealed = place.hub.vault.open(record.payload, record.message_id.bytes)
        taken.append(AcceptedMessage.from_bytes(sealed).control_id)
    assert taken == [f"V-{number}" for number in range(60)]
