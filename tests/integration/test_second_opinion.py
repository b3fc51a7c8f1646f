"""hl7apy in a process of its own: an opinion in time, or a clear word that there is none."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from ops.second_opinion.asking import NoOpinion, SecondOpinion
from schemas.finding import Finding

MSH = "MSH|^~\\&|LAB|990010001|HUB|HUB|20260306101502+0100||ORU^R01^ORU_R01|C-1|P|2.5.1"
PID = "PID|1||P1^^^LABX^PI||CANARYNAME^ANNE^^^^^L||19790328|F"
OBR = "OBR|1|ORD-1|LAB-1|94500-6^ARN^LN|||20260306||||||||||||||||||F"
OBX = "OBX|1|NM|94745-7^Ct^LN||24.6||||||F"
RIGHT = f"{MSH}\r{PID}\r{OBR}\r{OBX}\r".encode()
WRONG = RIGHT.replace(b"19790328", b"CANARYDATE").replace(b"|94745-7^Ct^LN|", b"||")


@pytest.fixture
async def second() -> AsyncIterator[SecondOpinion]:
    async with SecondOpinion(seconds=30) as opened:
        yield opened
        pid = opened.pid
    if pid is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def slow(lines: int = 8_000) -> bytes:
    """A message that hl7apy takes many seconds for, a minute for 30,000 lines."""
    return RIGHT + (OBX.encode() + b"\r") * lines


async def test_a_right_message(second: SecondOpinion) -> None:
    assert await second.opinion(RIGHT) == ()


async def test_a_wrong_message_by_codes_and_places_alone(second: SecondOpinion) -> None:
    found = await second.opinion(WRONG)
    assert isinstance(found, tuple)
    told = {(one.code, str(one.place)) for one in found}
    assert told == {("hl7_type_wrong", "PID[1]-7"), ("hl7_required_missing", "OBX[1]-3")}
    assert "CANARY" not in repr(found)


@pytest.mark.parametrize("raw", [b"", b"no HL7", b"MSH|||", b"\xff" * 100])
async def test_what_cannot_be_read_is_said(second: SecondOpinion, raw: bytes) -> None:
    assert await second.opinion(raw) is NoOpinion.UNREADABLE
    assert await second.opinion(RIGHT) == ()


async def test_one_that_takes_too_long_is_killed_and_another_answers() -> None:
    async with SecondOpinion(seconds=12.0, max_message_bytes=4_000_000) as second:
        assert await second.opinion(RIGHT) == ()
        first = second.pid
        assert await second.opinion(slow(30_000)) is NoOpinion.TOO_SLOW
        assert second.pid is None
        assert await second.opinion(RIGHT) == ()
        assert second.pid != first


async def test_a_killed_worker_is_replaced(second: SecondOpinion) -> None:
    assert await second.opinion(RIGHT) == ()
    assert second.pid is not None
    os.kill(second.pid, signal.SIGKILL)
    # The end of the process is seen now, or by the message that finds the pipe closed.
    answer = await second.opinion(RIGHT)
    assert answer in {(), NoOpinion.FAILED}
    assert await second.opinion(RIGHT) == ()


async def test_memory_is_bounded() -> None:
    # One wide letter makes four bytes of each letter of every copy.
    document = RIGHT.replace(b"24.6", "\N{GRINNING FACE}".encode() + b"A" * 14_000_000)
    async with SecondOpinion(
        seconds=60, memory_bytes=128 * 2**20, max_message_bytes=15_000_000
    ) as second:
        assert await second.opinion(RIGHT) == ()
        assert await second.opinion(document) is NoOpinion.FAILED
        assert await second.opinion(RIGHT) == ()


async def test_those_who_wait_are_bounded() -> None:
    async with SecondOpinion(seconds=30, waiting=2) as second:
        answers = await asyncio.gather(*(second.opinion(RIGHT) for _ in range(5)))
    assert sorted(map(str, answers)).count(str(NoOpinion.BUSY)) == 3
    assert answers.count(()) == 2


async def test_what_nobody_waits_for_is_not_the_next_answer(second: SecondOpinion) -> None:
    assert await second.opinion(RIGHT) == ()
    task = asyncio.create_task(second.opinion(slow()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await second.opinion(WRONG)
    assert isinstance(found, tuple) and all(isinstance(one, Finding) for one in found)
    assert len(found) == 2


async def test_too_large_is_said_at_once() -> None:
    async with SecondOpinion(max_message_bytes=1_000) as second:
        assert await second.opinion(RIGHT + b"Z" * 1_000) is NoOpinion.TOO_LARGE
        assert second.pid is None
