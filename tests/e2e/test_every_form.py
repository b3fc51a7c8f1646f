"""Each dialect and each broken or odd form goes to the product, and the account shows them all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from ops.client import MllpClient
from ops.simulate.broken import Breakage, Oddity
from ops.simulate.simulation import Habits, SimulatedMessage, Simulation
from ops.simulate.vendors import DIALECTS
from tests.support.product import Embedded

START = datetime(2026, 3, 6, 8, tzinfo=UTC)
HABITS = Habits(broken=0.45, odd=0.3, resent=0.05)


@pytest.fixture
def product() -> Iterator[Embedded]:
    instance = Embedded()
    try:
        yield instance.start()
    finally:
        instance.remove()


async def answers_of(
    product: Embedded, messages: list[SimulatedMessage]
) -> list[tuple[SimulatedMessage, bytes]]:
    """Each message with its answer, in the order of its laboratory."""

    async def of_one(lab: int) -> list[tuple[SimulatedMessage, bytes]]:
        async with MllpClient("127.0.0.1", product.mllp_port) as client:
            return [(m, (await client.send(m.raw)).raw) for m in messages if m.lab_index == lab]

    found = await asyncio.gather(*(of_one(lab) for lab in range(len(DIALECTS))))
    return [each for lab in found for each in lab]


async def at_rest(product: Embedded, *, unreadable: int) -> dict[str, Any]:
    """The account once all is dispatched and so many frames are counted, which no answer tells."""
    until = time.monotonic() + 60
    while True:
        account = await asyncio.to_thread(product.drained)
        counted = sum(account["at_the_door"].get("unreadable", {}).values())
        if counted >= unreadable or time.monotonic() > until:
            return account
        await asyncio.sleep(0.2)


def msa(answer: bytes) -> str:
    """The code of an answer, in whose separators it may be."""
    line = next(line for line in answer.split(b"\r") if line.startswith(b"MSA"))
    return line[4:6].decode()


async def test_the_account_shows_every_form_as_the_truth_expects(product: Embedded) -> None:
    simulation = Simulation(seed=29, labs=len(DIALECTS), start_at=START, habits=HABITS)
    messages = list(islice(simulation.messages(), 700))
    kinds = {m.kind for m in messages}
    assert {f"broken:{way.value}" for way in Breakage} <= kinds
    assert {f"odd:{way.value}" for way in Oddity} <= kinds
    good = {m.lab_index for m in messages if m.expected == "AA"}
    assert {simulation.laboratories[lab].dialect.name for lab in good} == {
        dialect.name for dialect in DIALECTS
    }
    for message, answer in await answers_of(product, messages):
        assert msa(answer)[1] == message.expected[1], (message.kind, message.control_id)
        if message.reason:
            told = answer.split(b"\rMSA")[1]
            older = simulation.laboratories[message.lab_index].dialect.version < "2.5"
            # Before 2.5 an answer has no place for a code of ours: ERR alone, or MSA-3.
            assert older or message.reason.encode() in told, (message.kind, message.control_id)
    _, writer = await asyncio.open_connection("127.0.0.1", product.mllp_port)
    writer.write(b"\x0b\x1c\r")
    await writer.drain()
    good_one = next(m.raw for m in messages if m.kind == "new" and m.lab_index == 0)
    async with MllpClient("127.0.0.1", product.mllp_port) as client:
        assert msa((await client.send(good_one + b"NTE|1||" + b"x" * 8_400_000)).raw) == "AR"
    writer.close()
    account = await at_rest(product, unreadable=2)
    taken = [m for m in messages if m.expected == "AA"]
    refused = Counter(m.reason for m in messages if m.expected == "AE")
    rejected = Counter(m.reason for m in messages if m.expected == "AR")
    assert account["received"] == len(taken) + refused.total()
    assert account["parked"] == 0
    assert account["dispatched"] + account["duplicate"] == len(taken)
    resent = sum(m.kind == "resend" for m in messages)
    assert account["duplicate_by_reason"]["same_message"] == resent > 0
    assert account["refused_by_reason"] == refused
    assert account["at_the_door"]["AR"] == rejected + Counter({"frame_oversize": 1})
    assert account["at_the_door"]["unreadable"] == {"empty": 1, "oversize": 1}


async def test_a_resend_is_told_the_same_after_a_restart(product: Embedded) -> None:
    """The answer is the same to the byte, but for its time: a verdict is of bytes and profile."""
    simulation = Simulation(seed=31, labs=len(DIALECTS), start_at=START, habits=HABITS)
    messages = [m for m in islice(simulation.messages(), 150) if m.kind != "resend"]
    first = await answers_of(product, messages)
    product.drained()
    assert product.stop() == 0
    product.start()
    again = await answers_of(product, messages)
    assert [without_time(answer) for _, answer in again] == [
        without_time(answer) for _, answer in first
    ]
    assert {msa(answer)[1] for _, answer in again} == {"A", "E", "R"}
    account = product.drained()
    counts = Counter(m.expected for m in messages)
    assert account["received"] == 2 * (counts["AA"] + counts["AE"])
    assert account["duplicate_by_reason"]["same_message"] >= counts["AA"]
    assert account["parked"] == 0


def without_time(answer: bytes) -> bytes:
    """An answer without MSH-7."""
    field = answer[3:4]
    fields = answer.split(field)
    return field.join(fields[:6] + fields[7:])
