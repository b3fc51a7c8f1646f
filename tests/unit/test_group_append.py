from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
import pytest

from ops.runtime.group_append import GroupAppender
from ops.runtime.intake_log import Kept, ReadBatch
from schemas.envelope import IntakeRecord, StoredRecord
from schemas.errors import TransientError, UnknownResult
from tests.contract.test_intake_log import record
from tests.fakes.intake_log import FakeIntakeLog


class GatedLog(FakeIntakeLog):
    """Each append waits until the test lets it through; counts how many are in flight."""

    def __init__(self, partitions: int) -> None:
        super().__init__(partitions)
        self.gate = asyncio.Semaphore(0)
        self.entered = asyncio.Event()
        self.in_flight = 0
        self.most_in_flight = 0
        self.sizes: list[int] = []

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.entered.set()
        try:
            await self.gate.acquire()
            self.sizes.append(len(records))
            return await super().append(records)
        finally:
            self.in_flight -= 1


@pytest.fixture
async def log() -> GatedLog:
    return GatedLog(4)


@pytest.fixture
async def appender(log: GatedLog) -> AsyncIterator[GroupAppender]:
    held = GroupAppender(log, max_batch=10, max_queued=20, deadline_seconds=1)
    held.start()
    yield held
    log.gate = asyncio.Semaphore(1_000)
    await held.stop()


async def test_many_that_wait_become_one_append(appender: GroupAppender, log: GatedLog) -> None:
    first = appender.submit(record(0))
    await log.entered.wait()
    others = [appender.submit(record(n % 4)) for n in range(8)]
    log.gate.release()
    log.gate.release()
    await asyncio.gather(first, *others)
    assert log.sizes == [1, 8]
    assert log.most_in_flight == 1


async def test_an_answer_comes_only_after_the_log_said_durable(
    appender: GroupAppender, log: GatedLog
) -> None:
    future = appender.submit(record(0))
    await log.entered.wait()
    assert not future.done()
    log.gate.release()
    assert await future == 0


async def test_a_failure_fails_what_waits_behind_it_unsent(
    appender: GroupAppender, log: GatedLog
) -> None:
    first = appender.submit(record(0, b"P"))
    await log.entered.wait()
    behind = [appender.submit(record(0, b"F")), appender.submit(record(0, b"C"))]
    log.fail_next = TransientError("postgres_unavailable")
    log.gate.release()
    for future in (first, *behind):
        with pytest.raises(TransientError):
            await future
    assert log.lanes[0] == []
    log.gate.release()
    assert await appender.submit(record(0, b"later")) == 0


async def test_an_unknown_result_ends_all_acknowledgement(
    appender: GroupAppender, log: GatedLog
) -> None:
    first = appender.submit(record(0, b"P"))
    await log.entered.wait()
    behind = appender.submit(record(1, b"F"))
    log.fail_next, log.store_before_failing = UnknownResult("append_unknown"), True
    log.gate.release()
    for future in (first, behind):
        with pytest.raises(UnknownResult):
            await future
    assert appender.in_doubt.is_set()
    with pytest.raises(UnknownResult):
        appender.submit(record(0))
    assert [r.payload for r in log.lanes[0]] == [b"P"]
    assert log.lanes[1] == []


async def test_an_append_that_hangs_is_unknown_after_the_deadline(log: GatedLog) -> None:
    appender = GroupAppender(log, deadline_seconds=-0.9)
    appender.start()
    with pytest.raises(UnknownResult):
        await appender.submit(record(0))
    await appender.stop()


async def test_a_full_queue_is_a_refusal_and_not_memory(
    appender: GroupAppender, log: GatedLog
) -> None:
    first = appender.submit(record(0))
    await log.entered.wait()
    queued = [appender.submit(record(0)) for _ in range(20)]
    with pytest.raises(TransientError, match="backpressure"):
        appender.submit(record(0))
    log.gate = asyncio.Semaphore(1_000)
    first.cancel()
    for future in queued:
        future.cancel()


async def test_stopping_appends_what_was_taken(log: GatedLog) -> None:
    appender = GroupAppender(log, deadline_seconds=1)
    appender.start()
    futures = [appender.submit(record(0)) for _ in range(3)]
    for _ in range(5):
        log.gate.release()
    await appender.stop()
    assert [f.result() for f in futures] == [0, 1, 2]
    with pytest.raises(TransientError, match="stopping"):
        appender.submit(record(0))


class UnorderedLog:
    """Says nothing of its own; shows that lanes are independent."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[None]] = {}

    async def append(self, records: Sequence[IntakeRecord]) -> list[int]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[records[0].partition] = future
        await future
        return list(range(len(records)))

    async def read(self, positions: Mapping[int, int], limit: int) -> ReadBatch:
        return ReadBatch(records=[], next_offsets=dict(positions))

    async def fetch(self, partition: int, offset: int) -> StoredRecord | None:
        return None

    async def kept(self) -> Kept:
        raise NotImplementedError

    async def begin_offsets(self) -> dict[int, int]:
        return {}

    async def end_offsets(self) -> dict[int, int]:
        return {}

    async def close(self) -> None:
        return


async def test_lanes_do_not_wait_for_each_other() -> None:
    log = UnorderedLog()
    appender = GroupAppender(log, lanes=2, deadline_seconds=5)
    appender.start()
    slow, fast = appender.submit(record(0)), appender.submit(record(1))
    while len(log.waiting) < 2:
        await asyncio.sleep(0)
    log.waiting[1].set_result(None)
    assert await fast == 0
    assert not slow.done()
    log.waiting[0].set_result(None)
    await slow
    await appender.stop()


def of_lab(lab_id: int, number: int) -> IntakeRecord:
    return msgspec.structs.replace(record(0, b"%d" % number), lab_id=lab_id)


async def test_one_that_floods_does_not_keep_another_waiting(
    appender: GroupAppender, log: GatedLog
) -> None:
    first = appender.submit(of_lab(1, 0))
    await log.entered.wait()
    flood = [appender.submit(of_lab(1, number)) for number in range(1, 16)]
    honest = [appender.submit(of_lab(2, number)) for number in range(3)]
    log.gate.release()
    log.gate.release()
    await asyncio.gather(first, *honest)
    assert log.sizes[:2] == [1, 10]
    assert sum(future.done() for future in flood) == 7
    for _ in range(9):
        log.gate.release()
    await asyncio.gather(*flood)
    payloads = {
        lab_id: [int(held.payload) for held in log.lanes[0] if held.lab_id == lab_id]
        for lab_id in (1, 2)
    }
    assert payloads == {1: list(range(16)), 2: [0, 1, 2]}


async def test_while_several_come_at_once_appends_keep_their_distance() -> None:
    """An append costs the database the same whether it holds one record or ten."""
    log = FakeIntakeLog(4)
    began: list[tuple[float, int]] = []
    append = log.append
    clock = asyncio.get_running_loop().time

    async def noted(records: Sequence[IntakeRecord]) -> list[int]:
        began.append((clock(), len(records)))
        return await append(records)

    log.append = noted  # type: ignore[method-assign]
    appender = GroupAppender(log, deadline_seconds=5, gather_seconds=0.05)
    appender.start()
    await asyncio.gather(*(appender.submit(record(n)) for n in range(3)))
    await asyncio.gather(*(appender.submit(record(n)) for n in range(2)))
    await appender.submit(record(0))
    await appender.stop()
    assert [size for _, size in began] == [3, 2, 1]
    assert began[1][0] - began[0][0] >= 0.05
    assert began[2][0] - began[1][0] >= 0.05


async def test_what_comes_alone_never_waits_for_more() -> None:
    log = FakeIntakeLog(4)
    appender = GroupAppender(log, deadline_seconds=5, gather_seconds=3600)
    appender.start()
    for n in range(3):
        assert await appender.submit(record(0)) == n
    await appender.stop()


async def test_a_process_that_stops_waits_for_no_more() -> None:
    log = FakeIntakeLog(4)
    appender = GroupAppender(log, deadline_seconds=5, gather_seconds=3600)
    appender.start()
    await asyncio.gather(*(appender.submit(record(n)) for n in range(3)))
    last = appender.submit(record(0))
    await asyncio.sleep(0)
    await appender.stop()
    assert await last == 1
