"""The one way in: no AA before the log has spoken, no answer in doubt, AR while it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ingest import accept
from ingest.accept import Acceptor, Answer, DoorCounts
from ingest.fairness import FairLimits, Fairness
from ingest.lab import NO_LIMITS
from ingest.labs import Lab, LabLimits, LabRegister
from ops.runtime.group_append import GroupAppender
from ops.runtime.metrics import METRICS
from ops.runtime.settings import load_settings
from ops.runtime.traces import Traces
from ops.runtime.vault import FolderKeyStore, Vault
from ops.simulate.sample import sample_message
from schemas.decision import Realm
from schemas.envelope import AcceptedMessage, IntakeRecord, RecordKind
from schemas.errors import TransientError, UnknownResult
from tests.fakes.intake_log import FakeIntakeLog

NOON = datetime(2026, 3, 6, 12, tzinfo=UTC)
NO_PID = sample_message().replace(b"\rPID|", b"\rZID|")


class Noon:
    def now(self) -> datetime:
        return NOON


class GatedLog(FakeIntakeLog):
    """Appends wait until the test opens the gate."""

    def __init__(self) -> None:
        super().__init__(4)
        self.gate = asyncio.Event()

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        await self.gate.wait()
        return await super().append(records)

    @property
    def records(self) -> list[IntakeRecord]:
        return [record for lane in self.lanes.values() for record in lane]


class Register:
    """A register that knows who registers, in the state the test wants."""

    def __init__(self, state: str = "onboarding", limits: LabLimits = NO_LIMITS) -> None:
        self.state = state
        self.limits = limits

    async def all(self) -> list[Lab]:
        return []

    async def register(self, registry_id: str) -> Lab:
        return Lab(lab_id=7, registry_id=registry_id, state=self.state, limits=self.limits)


class Place:
    """An acceptor with what lies around it."""

    def __init__(
        self,
        folder: Path,
        *,
        state: str = "onboarding",
        registers: bool = True,
        limits: LabLimits = NO_LIMITS,
        fair: FairLimits | None = None,
    ) -> None:
        self.log = GatedLog()
        self.appender = GroupAppender(self.log, deadline_seconds=5)
        self.counts = DoorCounts()
        self.vault = Vault(FolderKeyStore(folder / "keys"), Noon())
        self.acceptor = Acceptor(
            register=LabRegister(Register(state, limits), register_unknown=registers),
            appender=self.appender,
            vault=self.vault,
            clock=Noon(),
            realm=Realm.TEST,
            partitions=4,
            inbox_secret=b"s" * 32,
            counts=self.counts,
            fairness=Fairness(fair),
        )

    async def answer(self, raw: bytes) -> Answer:
        self.log.gate.set()
        return await self.acceptor.receive(raw).wait()

    def opened(self, record: IntakeRecord) -> AcceptedMessage:
        return AcceptedMessage.from_bytes(self.vault.open(record.payload, record.message_id.bytes))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    made.appender.start()
    yield made
    made.log.gate.set()
    await made.appender.stop()


def code_of(answer: Answer) -> bytes:
    (part,) = answer.parts
    return part[part.index(b"\rMSA|") + 5 :][:2]


async def test_no_aa_before_the_log_has_said_durable(place: Place) -> None:
    receipt = place.acceptor.receive(sample_message())
    await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
        assert not receipt.done()
    place.log.gate.set()
    assert code_of(await receipt.wait()) == b"AA"
    (record,) = place.log.records
    assert place.opened(record).raw == sample_message()
    assert b"DOMINIQUE" not in record.payload


async def test_what_is_refused_is_in_the_log_before_the_answer(place: Place) -> None:
    assert code_of(await place.answer(NO_PID)) == b"AE"
    (record,) = place.log.records
    assert record.kind is RecordKind.REFUSED
    assert place.opened(record).raw == NO_PID


async def test_in_doubt_there_is_no_answer_and_none_any_more(place: Place) -> None:
    await place.answer(sample_message())
    place.log.fail_next = UnknownResult("append_unknown")
    first = await place.answer(sample_message() + b"ZZZ|1\r")
    assert first == Answer(close=True)
    assert await place.answer(sample_message()) == Answer(close=True)


def not_taken() -> float:
    """How many messages were turned away through no fault of their sender."""
    return float(METRICS.not_taken._value.get())


async def test_a_key_that_cannot_be_copied_first_is_ar_that_may_be_sent_again(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "disk").symlink_to(tmp_path / "disk")  # as a mount that is stale: an errno
    place.vault._keys = FolderKeyStore(
        tmp_path / "keys", tmp_path / "disk" / "copies", copied_first=True
    )
    answer = await place.answer(sample_message())
    assert code_of(answer) == b"AR"
    assert answer.try_again
    assert place.counts.take() == {("AR", "key_copies_away"): 1}
    assert not place.log.records
    (tmp_path / "disk").unlink()
    assert code_of(await place.answer(sample_message())) == b"AA"
    assert list((tmp_path / "disk" / "copies").glob("intake-*.key"))


async def test_the_log_away_is_ar_that_may_be_sent_again(place: Place) -> None:
    await place.answer(sample_message())
    before = not_taken()
    place.log.fail_next = TransientError("database_away")
    answer = await place.answer(sample_message() + b"ZZZ|1\r")
    assert code_of(answer) == b"AR"
    assert answer.try_again
    assert b"207" in answer.parts[0]
    assert place.counts.take() == {("AR", "database_away"): 1}
    assert not_taken() == before + 1
    assert len(place.log.records) == 1


async def test_while_the_disk_is_low_nothing_is_taken_and_then_it_goes_on(place: Place) -> None:
    place.acceptor.closed_reason = "disk_low"
    before = not_taken()
    answer = await place.answer(sample_message())
    assert (code_of(answer), answer.try_again) == (b"AR", True)
    assert not_taken() == before + 1
    assert place.log.records == []
    place.acceptor.closed_reason = ""
    assert code_of(await place.answer(sample_message())) == b"AA"


async def test_a_resend_gets_the_same_answer_to_the_byte(place: Place, tmp_path: Path) -> None:
    first = await place.answer(sample_message())
    assert await place.answer(sample_message()) == first
    after_restart = Place(tmp_path)
    after_restart.appender.start()
    assert await after_restart.answer(sample_message()) == first
    await after_restart.appender.stop()


async def test_a_suspended_laboratory_and_an_unknown_one_are_told_so(tmp_path: Path) -> None:
    for state, registers, code in (
        ("suspended", True, "suspended_sender"),
        ("onboarding", False, "unknown_sender"),
    ):
        before = not_taken()
        place = Place(tmp_path, state=state, registers=registers)
        place.appender.start()
        answer = await place.answer(sample_message())
        assert code_of(answer) == b"AR"
        assert code.encode() in answer.parts[0]
        assert place.log.records == []
        assert place.counts.take() == {("AR", code): 1}
        assert not_taken() == before
        await place.appender.stop()


async def test_the_first_messages_of_a_new_sender_keep_their_order(place: Place) -> None:
    place.log.gate.set()
    receipts = [
        place.acceptor.receive(sample_message() + b"ZZZ|%d\r" % number) for number in range(20)
    ]
    for receipt in receipts:
        assert code_of(await receipt.wait()) == b"AA"
    raws = [place.opened(record).raw for record in place.log.records]
    assert raws == [sample_message() + b"ZZZ|%d\r" % number for number in range(20)]


async def test_over_its_rate_a_laboratory_is_told_to_wait_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, limits=LabLimits(rate_per_second=0.001, burst=2))
    place.appender.start()
    before = not_taken()
    codes = [code_of(await place.answer(sample_message())) for _ in range(2)]
    assert codes == [b"AA", b"AA"]
    answer = await place.answer(sample_message())
    assert (code_of(answer), answer.try_again, answer.is_over_limit) == (b"AR", True, True)
    assert b"207" in answer.parts[0]
    assert b"rate_limited" in answer.parts[0]
    assert not_taken() == before
    assert place.counts.take() == {("AR", "rate_limited"): 1}
    assert len(place.log.records) == 2
    await place.appender.stop()


async def test_a_used_up_quota_says_to_come_back_at_midnight(tmp_path: Path) -> None:
    place = Place(tmp_path, limits=LabLimits(daily_quota=1))
    place.appender.start()
    await place.answer(sample_message())
    answer = await place.answer(sample_message())
    assert b"quota_reached" in answer.parts[0]
    assert answer.retry_after_seconds == 12 * 3_600  # it is noon
    await place.appender.stop()


async def test_a_loop_is_answered_alike_without_another_record(tmp_path: Path) -> None:
    place = Place(tmp_path, fair=FairLimits(loop_repeats=3))
    place.appender.start()
    place.log.gate.set()
    line = place.acceptor.fairness.line(lambda: None)
    answers = [await place.acceptor.receive(sample_message(), None, line).wait() for _ in range(9)]
    assert len(set(answers)) == 1
    assert len(place.log.records) == 3
    assert place.counts.take() == {("duplicate", "same_bytes"): 6}
    other = place.acceptor.fairness.line(lambda: None)
    await place.acceptor.receive(sample_message(), None, other).wait()
    assert len(place.log.records) == 4  # another connection
    await place.acceptor.receive(sample_message() + b"ZZZ|1\r", None, line).wait()
    assert len(place.log.records) == 5  # other bytes
    await place.appender.stop()


async def test_a_refused_message_in_a_loop_stays_refused(tmp_path: Path) -> None:
    place = Place(tmp_path, fair=FairLimits(loop_repeats=2))
    place.appender.start()
    place.log.gate.set()
    line = place.acceptor.fairness.line(lambda: None)
    for _ in range(6):
        assert code_of(await place.acceptor.receive(NO_PID, None, line).wait()) == b"AE"
    assert len(place.log.records) == 2
    await place.appender.stop()


async def test_a_loop_is_never_answered_from_an_append_that_failed(tmp_path: Path) -> None:
    place = Place(tmp_path, fair=FairLimits(loop_repeats=1))
    place.appender.start()
    place.log.gate.set()
    line = place.acceptor.fairness.line(lambda: None)
    await place.answer(sample_message())  # it is known; on another line
    for _ in range(5):
        place.log.fail_next = TransientError("database_away")
        answer = await place.acceptor.receive(sample_message(), None, line).wait()
        assert code_of(answer) == b"AR"
    assert len(place.log.records) == 1
    assert code_of(await place.acceptor.receive(sample_message(), None, line).wait()) == b"AA"
    assert len(place.log.records) == 2
    await place.appender.stop()


async def test_the_spans_of_the_door_are_of_the_message_and_hold_no_value(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, traces = InMemorySpanExporter(), Traces()
    monkeypatch.setattr(accept, "TRACES", traces)
    await place.answer(sample_message())
    traces.start(load_settings(traces_endpoint="http://127.0.0.1:9/"), "ingest", exporter)
    await place.answer(sample_message(1_700))
    await asyncio.sleep(0)
    traces.stop()
    spans = exporter.get_finished_spans()
    assert {span.name for span in spans} == {"door", "check", "seal", "append"}
    assert {span.context.trace_id for span in spans} == {place.log.records[-1].message_id.int}
    told = "".join(span.to_json() for span in spans)
    assert "DOMINIQUE" not in told
