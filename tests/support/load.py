"""Laboratories that go on sending while something bad happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice

from ops.simulate.simulation import SimulatedMessage, Simulation
from tests.support.conservation import Ledger, check_conservation
from tests.support.product import Instance, Laboratory

LABS = 3
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def simulated(seed: int, count: int) -> list[SimulatedMessage]:
    """Messages that deserve AA, resends and corrections among them."""
    messages = Simulation(seed=seed, labs=LABS, start_at=START).messages()
    return [m for m in islice(messages, count) if m.expected == "AA" and m.control_id]


async def send_all(
    instance: Instance, messages: list[SimulatedMessage], pause_seconds: float
) -> list[tuple[str, str]]:
    """Send from every laboratory at once, each in its own order; return the journal."""
    laboratories = [Laboratory(instance.mllp_port) for _ in range(LABS)]
    await asyncio.gather(
        *(
            laboratory.send(
                [(m.control_id, m.raw) for m in messages if m.lab_index == index],
                pause_seconds=pause_seconds,
            )
            for index, laboratory in enumerate(laboratories)
        )
    )
    return [entry for laboratory in laboratories for entry in laboratory.journal]


async def under_load(
    instance: Instance,
    messages: list[SimulatedMessage],
    disturb: Callable[[], Awaitable[None]],
    *,
    pause_seconds: float = 0.02,
    before: Sequence[tuple[str, str]] = (),
    keep: list[tuple[str, str]] | None = None,
) -> Ledger:
    """Send while something bad happens; check that everything is in its place afterwards.

    `before` is the journal of what the same instance was sent earlier; `keep` takes this one.
    """
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send_all(instance, messages, pause_seconds))
        await disturb()
    journal = sending.result()
    if keep is not None:
        keep += journal
    assert {control_id for control_id, code in journal if code == "AA"} == {
        m.control_id for m in messages
    }
    return await asyncio.to_thread(check_conservation, instance, [*before, *journal])
