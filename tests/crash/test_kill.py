"""SIGKILL of each process at every named failpoint, and of any subset at random times.

The laboratories go on sending throughout; at the end the conservation checker must pass.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from ops.runtime.failpoints import FAILPOINTS
from tests.support.load import simulated, under_load
from tests.support.product import Embedded, process_state

EMBEDDED_FAILPOINTS = sorted(
    # The relay is idle on this engine; files are killed in test_batches.py, and
    # no inbound topic is there, and no receiver to push to (test_push.py).
    name
    for name in FAILPOINTS
    if not name.startswith(("relay.", "batch.", "inbound.", "stewards.", "push."))
)
# The moments around what must not be torn apart; the others are killed by `make proof-crash`.
IN_CI = {
    "ingest.after_append",
    "ingest.before_answer",
    "dispatch.after_locks",
    "dispatch.before_outbox",
    "dispatch.before_commit",
    "dispatch.after_commit",
}


@pytest.fixture
def instance() -> Iterator[Embedded]:
    made = Embedded()
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.proof])
        for name in EMBEDDED_FAILPOINTS
    ],
)
async def test_killed_at_a_failpoint(failpoint: str) -> None:
    """The station dies at the failpoint, is started again, and may die again."""
    # At the door there is a hit a message; dispatch may find all of it in one batch.
    count = 2 if failpoint.startswith("ingest.") else 1
    instance = Embedded({"LABDISPATCH_FAILPOINTS": f"{failpoint}=kill@{count}"})
    try:
        instance.start()
        role = failpoint.partition(".")[0]
        before = instance.pids()[role]
        messages = simulated(5, 60)

        async def disarm_after_a_death() -> None:
            until = time.monotonic() + 90
            while instance.pids().get(role) in {before, None}:
                assert time.monotonic() < until, f"{role} never died at {failpoint}"
                await asyncio.sleep(0.02)
            # From here on nothing may die: the run starts anew without failpoints.
            await asyncio.to_thread(instance.stop)
            instance.env["LABDISPATCH_FAILPOINTS"] = ""
            await asyncio.to_thread(instance.start)

        await under_load(instance, messages, disarm_after_a_death)
    finally:
        instance.remove()


async def test_random_kills_of_any_station(instance: Embedded) -> None:
    instance.start()
    rng = random.Random(20261124)
    messages = simulated(7, 400)

    async def kill_now_and_then() -> None:
        for _ in range(8):
            await asyncio.sleep(rng.uniform(0.1, 0.8))
            role = rng.choice(["ingest", "dispatch", "dispatch", "api", "relay"])
            if role in instance.pids():
                instance.kill(role)

    ledger = await under_load(instance, messages, kill_now_and_then)
    assert ledger.account["parked"] == 0


@pytest.mark.parametrize("who", ["the parent only", "the children only", "all"])
async def test_the_run_killed_and_started_at_once(instance: Embedded, who: str) -> None:
    """The same folder, the same ports, at once; what is left of the old run is ended first."""
    instance.start()
    messages = simulated(9, 150)

    async def kill_and_start() -> None:
        await asyncio.sleep(0.7)
        assert instance.process is not None
        children = instance.pids()
        postmaster = instance.postmaster()
        if who != "the children only":
            instance.kill_run()
        if who != "the parent only":
            for pid in (*children.values(), postmaster):
                os.kill(pid, signal.SIGKILL)
        if who == "the children only":
            return  # the run itself starts them again
        await asyncio.to_thread(instance.start)
        assert not set(children.values()) & set(instance.pids().values())

    await under_load(instance, messages, kill_and_start)


async def test_a_worker_stopped_inside_its_transaction_for_longer_than_every_timeout(
    instance: Embedded,
) -> None:
    """The zombie: others go on with its partitions, and when it wakes it writes nothing."""
    instance.env["LABDISPATCH_FAILPOINTS"] = "dispatch.before_commit=stop@1"
    instance.start()
    messages = simulated(13, 200)
    zombie = instance.pids()["dispatch"]

    async def wait_and_wake() -> None:
        until = time.monotonic() + 90
        while process_state(zombie) != "T":
            assert time.monotonic() < until, "it never stopped"
            await asyncio.sleep(0.02)
        second = await asyncio.create_subprocess_exec(
            *instance.station("dispatch"), env=instance.station_env()
        )
        try:
            # idle_in_transaction_session_timeout is 5 s: its locks go, and with them its work.
            until = time.monotonic() + 120
            await asyncio.sleep(8)
            while instance.account()["in_flight"] != 0:
                assert time.monotonic() < until, "nobody went on with the zombie's partitions"
                await asyncio.sleep(0.2)
            assert process_state(zombie) == "T"
            os.kill(zombie, signal.SIGCONT)
            await asyncio.sleep(1)
        finally:
            second.terminate()
            await second.wait()

    await under_load(instance, messages, wait_and_wake)
