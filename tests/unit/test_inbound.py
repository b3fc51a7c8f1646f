"""The inbound door on a fake topic: order, proof, parking, and no step before what is durable."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ingest.accept import Acceptor, DoorCounts
from ingest.inbound import InboundTopic
from ingest.inbound_ports import InboundLimits, Reply
from ingest.inbound_proof import Prover, sign, signing_key
from ingest.inbound_store import Park
from ingest.labs import Lab, LabRegister
from ops.runtime.clock import SystemClock
from ops.runtime.group_append import GroupAppender
from ops.runtime.kafka_reading import RawRecord
from ops.runtime.vault import FolderKeyStore, Vault
from ops.simulate.sample import sample_message
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage, IntakeRecord
from schemas.errors import FatalError, OffsetGone, TransientError, UnknownResult
from tests.fakes.intake_log import FakeIntakeLog

TOPIC = "results"
SECRET = b"s" * 32
TOKEN = hashlib.sha256(b"a token").digest()
SAMPLE = sample_message()
FACILITY = SAMPLE.split(b"|")[3].split(b"^")
OTHER = "OTHER"


class Register:
    def __init__(self, registry_id: str) -> None:
        self.labs = [
            Lab(lab_id=7, registry_id=registry_id, state="live", tokens=(b"0" * 32, TOKEN)),
            Lab(lab_id=8, registry_id=OTHER, state="live", tokens=(TOKEN,)),
        ]

    async def all(self) -> list[Lab]:
        return self.labs

    async def register(self, registry_id: str) -> Lab:
        raise AssertionError(f"{registry_id} is registered by a record of a topic")


class FakeTopic:
    """Partitions of records in memory; `begins` moves as retention does."""

    def __init__(self) -> None:
        self.lanes: dict[int, list[RawRecord]] = {0: [], 1: []}
        self.begins = {0: 0, 1: 0}
        self.fail_next: Exception | None = None

    def put(
        self,
        value: bytes,
        *,
        laboratory: str,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] | None = None,
        tombstone: bool = False,
    ) -> RawRecord:
        if headers is None:
            signature = sign(signing_key(SECRET, TOKEN), TOPIC, b"k", value)
            headers = [("laboratory", laboratory.encode()), ("signature", signature.encode())]
        record = RawRecord(
            partition=partition,
            offset=len(self.lanes[partition]),
            key=b"k",
            value=value,
            timestamp_ms=0,
            headers=tuple(headers),
            is_tombstone=tombstone,
        )
        self.lanes[partition].append(record)
        return record

    async def start(self) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error

    async def begin_offsets(self) -> dict[int, int]:
        return dict(self.begins)

    async def end_offsets(self) -> dict[int, int]:
        return {partition: len(lane) for partition, lane in self.lanes.items()}

    async def read(
        self, positions: dict[int, int], limit: int, timeout_seconds: float
    ) -> list[RawRecord]:
        found: list[RawRecord] = []
        for partition, offset in positions.items():
            if offset < self.begins[partition]:
                raise OffsetGone(partition, offset, self.begins[partition])
            found += self.lanes[partition][offset:]
        if not found:
            await asyncio.sleep(0.01)
        return found[:limit]

    async def close(self) -> None:
        return


class FakeProgress:
    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        self.parks: list[Park] = []
        self.fail_next: Exception | None = None

    async def positions(self, topic: str, begins: dict[int, int]) -> dict[int, int]:
        assert topic == TOPIC
        return {partition: self.at.setdefault(partition, o) for partition, o in begins.items()}

    async def advance(
        self, topic: str, before: dict[int, int], after: dict[int, int], parks: Sequence[Park]
    ) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error
        assert {partition: self.at[partition] for partition in after} == before
        self.at.update(after)
        self.parks += parks


class Always:
    async def is_mine(self) -> bool:
        return True


class OrderedLog(FakeIntakeLog):
    @property
    def records(self) -> list[IntakeRecord]:
        return [record for lane in self.lanes.values() for record in lane]


class Place:
    def __init__(self, folder: Path) -> None:
        self.registry_id = "-".join(part.decode() for part in FACILITY if part)
        self.topic = FakeTopic()
        self.progress = FakeProgress()
        self.log = OrderedLog(4)
        self.vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
        self.sent: list[Reply] = []
        self.fail_send: list[Exception] = []
        self.stopping = asyncio.Event()
        self.max_message_bytes = 100_000

    async def send(self, topic: str, replies: Sequence[Reply]) -> None:
        assert topic == TOPIC
        if self.fail_send:
            raise self.fail_send.pop()
        self.sent += replies

    async def run(self, until: Callable[[], bool]) -> None:
        """Run the door as one process does, until a condition holds, then stop it."""
        appender = GroupAppender(self.log, deadline_seconds=5)
        appender.start()
        register = LabRegister(Register(self.registry_id), register_unknown=True)
        await register.refresh()
        self.acceptor = Acceptor(
            register=register,
            appender=appender,
            vault=self.vault,
            clock=SystemClock(),
            realm=Realm.TEST,
            partitions=4,
            inbox_secret=b"i" * 32,
            counts=DoorCounts(),
        )
        door = InboundTopic(
            TOPIC,
            lambda: self.topic,
            progress=self.progress,
            turn=Always(),
            door=self.acceptor,
            line=self.acceptor.fairness.line_of_file(),
            prover=Prover(register, SECRET),
            limits=InboundLimits(
                max_message_bytes=self.max_message_bytes, window_records=8, window_bytes=50_000
            ),
            send=self.send,
        )
        self.stopping = asyncio.Event()
        task = asyncio.create_task(door.run(self.stopping))
        try:
            async with asyncio.timeout(60):
                while not until() and not task.done():
                    await asyncio.sleep(0.01)
        finally:
            self.stopping.set()
            await asyncio.wait([task], timeout=30)
            await appender.stop()
        task.result()

    def put(self, value: bytes, **kwargs: Any) -> RawRecord:
        return self.topic.put(value, **{"laboratory": self.registry_id, **kwargs})

    def raws(self) -> list[bytes]:
        return [
            AcceptedMessage.from_bytes(self.vault.open(r.payload, r.message_id.bytes)).raw
            for r in self.log.records
        ]

    def taken(self, count: int, partition: int = 0) -> Callable[[], bool]:
        return lambda: self.progress.at.get(partition, 0) >= count


def numbered(number: int) -> bytes:
    return SAMPLE + b"ZZZ|%d\r" % number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_records_are_taken_in_their_order_and_answered(place: Place) -> None:
    for number in range(30):
        place.put(numbered(number))
    await place.run(place.taken(30))
    assert place.raws() == [numbered(number) for number in range(30)]
    assert [reply.answer.code for reply in place.sent] == ["AA"] * 30
    assert place.progress.parks == []


async def test_a_window_that_was_not_recorded_is_taken_again(place: Place) -> None:
    for number in range(5):
        place.put(numbered(number))
    place.progress.fail_next = TransientError("database_away")
    await place.run(place.taken(5))
    once = [numbered(number) for number in range(5)]
    assert place.raws() == once + once
    first, second = place.log.records[:5], place.log.records[5:]
    assert [r.inbox_key for r in first] == [r.inbox_key for r in second]


async def test_an_unknown_append_ends_the_process_and_moves_nothing(place: Place) -> None:
    place.put(numbered(0))
    place.log.fail_next = UnknownResult("append_unknown")
    place.log.store_before_failing = True
    with pytest.raises(FatalError, match="append_unknown"):
        await place.run(place.taken(1))
    assert place.progress.at[0] == 0
    await place.run(place.taken(1))
    assert place.raws() == [numbered(0)] * 2


async def test_want_of_room_waits_and_nothing_overtakes(place: Place) -> None:
    for number in range(20):
        place.put(numbered(number))
    place.log.fail_next = TransientError("database_away")
    await place.run(place.taken(20))
    assert place.raws() == [numbered(number) for number in range(20)]
    assert place.progress.parks == []


async def test_a_closed_door_parks_nothing(place: Place) -> None:
    place.put(numbered(0))

    async def open_later() -> None:
        while not hasattr(place, "acceptor"):
            await asyncio.sleep(0)
        place.acceptor.closed_reason = "disk_low"
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert place.progress.at.get(0, 0) == 0
        place.acceptor.closed_reason = ""

    opening = asyncio.create_task(open_later())
    await place.run(place.taken(1))
    await opening
    assert place.raws() == [numbered(0)]
    assert place.progress.parks == []


def forged(place: Place, value: bytes) -> list[tuple[str, bytes]]:
    wrong = sign(signing_key(b"x" * 32, TOKEN), TOPIC, b"k", value)
    return [("laboratory", place.registry_id.encode()), ("signature", wrong.encode())]


def test_every_change_breaks_the_signature(place: Place) -> None:
    prover = Prover(_Labs(Register(place.registry_id).labs), SECRET)
    good = sign(signing_key(SECRET, TOKEN), TOPIC, b"k", SAMPLE).encode()
    headers = [("laboratory", place.registry_id.encode()), ("signature", good)]
    assert isinstance(prover.prove(TOPIC, b"k", SAMPLE, headers), Lab)
    for topic, key, value in (
        ("other", b"k", SAMPLE),
        (TOPIC, None, SAMPLE),
        (TOPIC, b"", SAMPLE),
        (TOPIC, b"k", SAMPLE + b"\r"),
    ):
        assert prover.prove(topic, key, value, headers) == "bad_signature"
    for damaged in (
        [],
        headers[:1],
        headers[1:],
        [*headers, headers[0]],
        [*headers, headers[1]],
        [("laboratory", b"x" * 1_000), headers[1]],
    ):
        assert prover.prove(TOPIC, b"k", SAMPLE, damaged) == "no_proof"
    for name in (b"NOBODY", b"\xff", place.registry_id.lower().encode() + b" "):
        named = [("laboratory", name), headers[1]]
        assert prover.prove(TOPIC, b"k", SAMPLE, named) == "unknown_laboratory"
    for signature in (b"0" * 64, good[:-1], b"\xff" * 64, SECRET):
        signed = [headers[0], ("signature", signature)]
        assert prover.prove(TOPIC, b"k", SAMPLE, signed) == "bad_signature"


def test_without_a_token_nobody_signs(place: Place) -> None:
    prover = Prover(_Labs([Lab(lab_id=7, registry_id=place.registry_id)]), SECRET)
    signature = sign(signing_key(SECRET, b""), TOPIC, None, SAMPLE).encode()
    headers = [("laboratory", place.registry_id.encode()), ("signature", signature)]
    assert prover.prove(TOPIC, None, SAMPLE, headers) == "bad_signature"


def test_the_signature_is_what_the_documentation_says() -> None:
    """Written again with nothing of ours, as a vendor would."""
    key, topic, record_key, value = bytes(range(32)), "results", b"L1", b"MSH|^~\\&|\r"
    signed = (
        b"labdispatch-inbound-1\n"
        + struct.pack(">I", len(topic.encode()))
        + topic.encode()
        + struct.pack(">I", len(record_key))
        + record_key
        + value
    )
    made = hmac.new(key, hashlib.sha256(signed).digest(), "sha256").hexdigest()
    assert made == "c13c4f49b8698914e52b5df996fa892b29bc04e064b48c7cb250c9bfbd5e46d8"
    assert sign(key, topic, record_key, value) == made


class _Labs:
    def __init__(self, labs: list[Lab]) -> None:
        self._labs = {lab.registry_id: lab for lab in labs}

    def get(self, registry_id: str) -> Lab | None:
        return self._labs.get(registry_id)


async def test_poison_is_parked_with_its_place_and_the_rest_goes_on(place: Place) -> None:
    place.put(numbered(0))
    place.put(b"this is no HL7")
    place.put(b"", tombstone=True)
    place.put(numbered(1), headers=forged(place, numbered(1)))
    place.put(numbered(2), headers=())
    place.put(numbered(3), laboratory=OTHER)
    place.put(numbered(4) + b"ZZZ|" + b"x" * 100_000 + b"\r")
    place.put(numbered(5))
    await place.run(place.taken(8))
    assert place.raws() == [numbered(0), numbered(5)]
    found = [(park.offset, park.reason, park.laboratory) for park in place.progress.parks]
    ours = place.registry_id
    assert found == [
        (1, "not_hl7", ours),
        (2, "tombstone", ""),
        (3, "bad_signature", ""),
        (4, "no_proof", ""),
        (5, "facility_not_yours", OTHER),
        (6, "oversize", ""),
    ]
    kept = {park.offset for park in place.progress.parks if park.held is not None}
    assert kept == {1, 3, 4, 5}
    # Who proved nothing is told nothing.
    assert {reply.record.offset for reply in place.sent} == {0, 1, 5, 7}


async def test_what_the_broker_dropped_is_parked_and_not_passed_over(place: Place) -> None:
    for number in range(6):
        place.put(numbered(number))
    place.progress.at = {0: 1, 1: 0}
    place.topic.begins = {0: 4, 1: 0}
    await place.run(place.taken(6))
    assert place.raws() == [numbered(4), numbered(5)]
    (gone,) = place.progress.parks
    assert (gone.partition, gone.offset, gone.records, gone.reason) == (0, 1, 3, "gone")


async def test_an_answer_that_cannot_be_sent_holds_the_topic_and_is_sent_later(
    place: Place,
) -> None:
    place.put(numbered(0))
    place.fail_send = [TransientError("kafka_unavailable")]
    await place.run(place.taken(1))
    assert [reply.answer.code for reply in place.sent] == ["AA"]
    assert place.raws() == [numbered(0)], "nothing is taken again for an answer's sake"


async def test_brokers_that_are_away_are_waited_for(place: Place) -> None:
    place.put(numbered(0))
    place.topic.fail_next = TransientError("kafka_unavailable")
    await place.run(place.taken(1))
    assert place.raws() == [numbered(0)]


async def test_a_flood_of_poison_makes_one_line_a_window(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        place.put(numbered(number), headers=())
    await place.run(place.taken(8))
    printed = capsys.readouterr()
    lines = [
        line
        for line in (printed.out + printed.err).splitlines()
        if "inbound_parked" in line and "no_proof" in line
    ]
    assert len(lines) == 1
    assert "count=8" in lines[0]
    assert "DOMINIQUE" not in printed.out + printed.err
