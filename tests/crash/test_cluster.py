"""Bad days on the cluster: kills, brokers and databases away, histories diverged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.runtime.failpoints import FAILPOINTS
from schemas.topics import STREAMS
from tests.support.cluster import STATIONS, Cluster, read_unit
from tests.support.conservation import check_conservation
from tests.support.in_kafka import in_kafka_once
from tests.support.kafka import KafkaCluster
from tests.support.load import send_all, simulated, under_load
from tests.support.product import process_state

# Kafka is in these failpoints' way, or a commit is; the others are killed on the embedded engine,
# and all of them by `make proof-crash`.
IN_CI = {
    "ingest.after_append",
    "dispatch.before_commit",
    "dispatch.after_commit",
    *(name for name in FAILPOINTS if name.startswith("relay.")),
}

# Brokers and stations start and come back several times; on a loaded machine each takes a minute.
pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def cluster(kafka_cluster3: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    kafka_cluster3.start_missing()  # whatever a test that failed left dead
    made = Cluster(kafka_cluster3, unique_topic_prefix)
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(name, marks=[] if name in IN_CI else [pytest.mark.proof])
        for name in sorted(FAILPOINTS)
        # These have tests of their own: what they need is sent over no connection.
        if not name.startswith(("batch.", "inbound.", "stewards."))
    ],
)
async def test_killed_at_a_failpoint(cluster: Cluster, failpoint: str) -> None:
    role = failpoint.partition(".")[0]
    # At the first hit: a slow start may leave all that is sent to one batch.
    cluster.extra[role] = {"LABDISPATCH_FAILPOINTS": f"{failpoint}=kill@1"}
    cluster.start()

    async def disarm_after_a_death() -> None:
        until = time.monotonic() + 120
        while -signal.SIGKILL not in cluster.ended[role]:
            assert time.monotonic() < until, (
                f"{role} never died at {failpoint}\n{cluster.last_words()}"
            )
            await asyncio.sleep(0.02)
        cluster.extra[role] = {}
        for _ in range(20):  # the one that was started meanwhile is still armed
            await asyncio.sleep(0.1)
            if role in cluster.pids():
                cluster.kill(role)
                break

    ledger = await under_load(cluster, simulated(31, 80), disarm_after_a_death)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_random_kills_of_any_station(cluster: Cluster) -> None:
    cluster.start()
    rng = random.Random(20261125)

    async def kill_now_and_then() -> None:
        for _ in range(8):
            await asyncio.sleep(rng.uniform(0.3, 1.0))
            role = rng.choice(sorted(STATIONS))
            if role in cluster.pids():
                cluster.kill(role)

    ledger = await under_load(cluster, simulated(33, 300), kill_now_and_then)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_a_broker_is_killed_and_comes_back(
    cluster: Cluster, kafka_cluster3: KafkaCluster
) -> None:
    cluster.start()

    async def lose_a_broker() -> None:
        await asyncio.sleep(0.5)
        broker = kafka_cluster3.ids[0]
        await asyncio.to_thread(kafka_cluster3.kill, broker)
        await asyncio.sleep(4)
        await asyncio.to_thread(kafka_cluster3.restart, broker)

    ledger = await under_load(cluster, simulated(35, 200), lose_a_broker)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_all_brokers_are_away_and_come_back(
    cluster: Cluster, kafka_cluster3: KafkaCluster
) -> None:
    """No AA while nothing can be made durable; afterwards it goes on by itself."""
    cluster.start()

    async def lose_all_brokers() -> None:
        await asyncio.sleep(0.5)
        for broker in kafka_cluster3.ids:
            await asyncio.to_thread(kafka_cluster3.kill, broker)
        await asyncio.sleep(6)
        await asyncio.to_thread(kafka_cluster3.start)

    ledger = await under_load(cluster, simulated(37, 150), lose_all_brokers)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_the_database_is_killed_and_comes_back(cluster: Cluster) -> None:
    """Doors go on (the log is Kafka's); dispatch and relay wait, and go on by themselves."""
    cluster.start()

    async def lose_the_database() -> None:
        await asyncio.sleep(0.5)
        pid = cluster.server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(3)
        await asyncio.to_thread(cluster.server.stop)
        await asyncio.to_thread(cluster.server.start)

    ledger = await under_load(cluster, simulated(39, 200), lose_the_database)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_a_worker_stopped_inside_its_transaction_for_longer_than_every_timeout(
    cluster: Cluster,
) -> None:
    """The zombie: another worker goes on with its partitions, and when it wakes it writes nothing.

    Progress and outbox are PostgreSQL's here too; the records, which the zombie has read already,
    are Kafka's.
    """
    cluster.extra["dispatch"] = {"LABDISPATCH_FAILPOINTS": "dispatch.before_commit=stop@1"}
    cluster.start()
    zombie = cluster.pids()["dispatch"]
    cluster.extra["dispatch"] = {}

    async def wait_and_wake() -> None:
        until = time.monotonic() + 120
        while process_state(zombie) != "T":
            assert time.monotonic() < until, f"it never stopped\n{cluster.last_words()}"
            await asyncio.sleep(0.02)
        command, environment = read_unit(STATIONS["dispatch"])
        with (cluster.folder / "dispatch-2.log").open("ab") as log:
            second = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **environment, **cluster.env},
                stdout=log,
                stderr=log,
            )
        try:
            # idle_in_transaction_session_timeout is 5 s: its locks go, and with them its work.
            until = time.monotonic() + 120
            await asyncio.sleep(8)
            while cluster.account()["in_flight"] != 0:
                assert time.monotonic() < until, "nobody went on with the zombie's partitions"
                await asyncio.sleep(0.2)
            assert process_state(zombie) == "T"
            os.kill(zombie, signal.SIGCONT)
            await asyncio.sleep(1)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(zombie, signal.SIGCONT)  # whatever failed: who is stopped cannot be ended
            second.terminate()
            await second.wait()

    ledger = await under_load(cluster, simulated(45, 200), wait_and_wake)
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_a_database_restored_to_an_earlier_state_stops_the_relay(cluster: Cluster) -> None:
    """Kafka holds what the database does not know any more: never publish over it."""
    cluster.start()
    earlier = await send_all(cluster, simulated(41, 60), 0.0)
    await asyncio.to_thread(check_conservation, cluster, earlier)
    cluster.stop()
    cluster.server.stop()
    home = cluster.server.place.cluster
    shutil.copytree(home, home.with_name("backup"))
    _own_like(home, home.with_name("backup"))
    cluster.server.start()
    for role in STATIONS:
        cluster.start_station(role)
    await under_load(cluster, simulated(43, 60), _nothing, before=earlier)
    in_topic = await cluster.topic("public-health")
    cluster.stop()
    cluster.server.stop()
    home.rename(home.with_name("later"))
    home.with_name("backup").rename(home)
    cluster.server.start()
    ends_before = len(cluster.ended["relay"])
    cluster.start_station("relay")
    until = time.monotonic() + 120
    while len(cluster.ended["relay"]) == ends_before:
        assert time.monotonic() < until, "the relay went on"
        await asyncio.sleep(0.1)
    assert cluster.ended["relay"][-1] == 4
    assert "histories_diverged" in cluster.last_words()
    assert sorted(await cluster.topic("public-health")) == sorted(in_topic)


async def _nothing() -> None:
    """Nothing bad happens."""


def _own_like(pattern: Path, folder: Path) -> None:
    """Give a copied tree the owner and modes of its pattern."""
    owner = pattern.stat()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    folder.chmod(owner.st_mode & 0o777)
