"""The relay alone, on a real broker and a real outbox: each event once, whatever happens to it.

The heavy forms (many kills, brokers that go) run by `make proof-relay`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from benchmarks.results import Row, append
from schemas.topics import STREAMS, Stream
from tests.support.kafka import KafkaCluster
from tests.support.postgres import Database
from tests.support.product import process_state
from tests.support.relaying import PATIENCE_SECONDS, Relaying

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
async def relaying(
    database: Database, kafka_bootstrap: str, unique_topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Relaying]:
    made = Relaying(database.connect_kwargs, kafka_bootstrap, unique_topic_prefix, tmp_path)
    try:
        await made.make()
        yield made
    finally:
        await made.close()


async def killed_while_events_come(relaying: Relaying, kills: int, seed: int) -> None:
    """Kill the relay at random moments while the outbox grows; then let it catch up."""
    rng = random.Random(seed)
    for _ in range(kills):
        before = relaying.begun
        process = relaying.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while relaying.begun == before and rng.random() > 0.02:  # now and then before
                await asyncio.sleep(0.02)
        filling = asyncio.create_task(relaying.fill(120))
        await asyncio.sleep(rng.uniform(0, 0.4))
        process.kill()
        await relaying.ended(process)
        await filling
    before = relaying.begun
    last = relaying.start()
    await relaying.caught_up()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while relaying.begun == before:  # a process that has not begun cannot stop in order
            await asyncio.sleep(0.02)
    await relaying.stop(last)


async def test_killed_at_random_moments(relaying: Relaying) -> None:
    await killed_while_events_come(relaying, 2, 20261127)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(8))
async def test_killed_many_times(relaying: Relaying, seed: int) -> None:
    await killed_while_events_come(relaying, 25, seed)
    await _report(relaying, "sigkill", 25, seed=seed)


async def _report(relaying: Relaying, what: str, times: int, **parameters: object) -> None:
    """Write a dated row: what was survived, and how many events were compared."""
    events = sum([len(await relaying.outbox(stream)) for stream in STREAMS])
    about = {"what": what, "events": events, "lost": 0, "twice": 0, **parameters}
    append(
        "relay_proof",
        [Row(engine="cluster", parameters=about, figure=times, unit="times")],
        ["aiokafka", "asyncpg"],
    )


async def test_a_zombie_wakes_inside_its_transaction_and_publishes_nothing(
    relaying: Relaying,
) -> None:
    await relaying.fill(100)
    zombie = relaying.start(LABDISPATCH_FAILPOINTS="relay.in_transaction=stop@1")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while process_state(zombie.pid) != "T":
            await asyncio.sleep(0.02)
    second = relaying.start()
    await relaying.caught_up()
    await relaying.fill(50)
    os.kill(zombie.pid, signal.SIGCONT)
    assert await relaying.ended(zombie) == 4, relaying.log
    await relaying.caught_up()
    await relaying.stop(second)
    assert "kafka_fenced" in relaying.log or "kafka_in_doubt" in relaying.log


async def _truncate(relaying: Relaying, stream: Stream) -> None:
    """Take all records of a topic away, as retention does where nobody writes for long."""
    topic = f"{relaying.prefix}{stream}"
    admin = AIOKafkaAdminClient(bootstrap_servers=relaying.bootstrap)
    await admin.start()
    try:
        places = [TopicPartition(topic, each) for each in range(relaying.partitions)]
        # -1: up to the high watermark.
        await admin.delete_records({place: RecordsToDelete(-1) for place in places})
    finally:
        await admin.close()


async def test_an_emptied_topic_gets_no_event_again_and_a_new_one_all(relaying: Relaying) -> None:
    await relaying.fill(200)
    first = relaying.start()
    await relaying.caught_up()
    await relaying.stop(first)
    for stream in STREAMS:
        await _truncate(relaying, stream)
    before = {stream: await relaying.outbox(stream) for stream in STREAMS}
    await relaying.fill(50)
    second = relaying.start()
    for stream in STREAMS:
        wanted = [each for each in await relaying.outbox(stream) if each not in before[stream]]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := await relaying.topic(stream)) < len(wanted):
                await asyncio.sleep(0.1)
        assert found == wanted, relaying.log
    await relaying.stop(second)
    # Step 5 of the runbook: agreed with every consumer, the stream begins anew.
    admin = AIOKafkaAdminClient(bootstrap_servers=relaying.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([f"{relaying.prefix}{Stream.DOSSIER}"])
    finally:
        await admin.close()
    third = relaying.start()
    await relaying.caught_up([Stream.DOSSIER])
    await relaying.stop(third)


async def test_an_emptied_topic_of_which_nothing_was_noted_stops_the_relay(
    relaying: Relaying,
) -> None:
    await relaying.fill(50)
    first = relaying.start(LABDISPATCH_RELAY_NOTE_SECONDS="3600")
    await relaying.caught_up()
    first.kill()
    await relaying.ended(first)
    await _truncate(relaying, Stream.PUBLIC_HEALTH)
    second = relaying.start()
    assert await relaying.ended(second) == 4
    assert "histories_diverged" in relaying.log
    assert await relaying.topic(Stream.PUBLIC_HEALTH) == []


async def test_a_database_restored_to_an_earlier_state_stops_the_relay(
    relaying: Relaying,
) -> None:
    await relaying.fill(100)
    first = relaying.start()
    await relaying.caught_up()
    await relaying.stop(first)
    published = await relaying.topic(Stream.DOSSIER)
    async with relaying.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "DELETE FROM stream_event e USING stream_head h WHERE e.stream = h.stream"
            " AND e.partition = h.partition AND e.seq = h.last_seq"
        )
        await connection.execute("UPDATE stream_head SET last_seq = last_seq - 1")
    second = relaying.start()
    assert await relaying.ended(second) == 4
    assert "histories_diverged" in relaying.log
    assert await relaying.topic(Stream.DOSSIER) == published


async def _lose_a_broker(
    relaying: Relaying, kafka: KafkaCluster, node: int, seconds: float
) -> None:
    """Lose a broker under a relay that is started again whenever it ends, as systemd does."""
    stopping = asyncio.Event()

    async def keep() -> None:
        while True:
            process = relaying.start(LABDISPATCH_KAFKA_DEADLINE_SECONDS="5")
            while process.poll() is None:
                if stopping.is_set():
                    await relaying.stop(process)
                    return
                await asyncio.sleep(0.05)

    keeping = asyncio.create_task(keep())
    filling = asyncio.create_task(relaying.fill(1_500))
    try:
        await asyncio.sleep(2)
        await asyncio.to_thread(kafka.kill, node)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(kafka.restart, node)
        await filling
        await relaying.caught_up()
        stopping.set()
        await keeping
    finally:
        for task in (keeping, filling):
            task.cancel()


@pytest.mark.proof
async def test_the_only_broker_is_killed_and_comes_back(
    database: Database, kafka_cluster1: KafkaCluster, unique_topic_prefix: str, tmp_path: Path
) -> None:
    relaying = Relaying(
        database.connect_kwargs, kafka_cluster1.bootstrap, unique_topic_prefix, tmp_path
    )
    try:
        await relaying.make()
        await _lose_a_broker(relaying, kafka_cluster1, 1, 5)
        await _report(relaying, "broker_killed", 1, brokers=1)
    finally:
        await relaying.close()


@pytest.mark.proof
@pytest.mark.parametrize("node", [1, 2, 3])
async def test_each_of_three_brokers_is_killed_and_comes_back(
    database: Database,
    kafka_cluster3: KafkaCluster,
    unique_topic_prefix: str,
    tmp_path: Path,
    node: int,
) -> None:
    """The leader of a partition, or the coordinator of the transactions, is among them."""
    kafka_cluster3.start_missing()
    relaying = Relaying(
        database.connect_kwargs, kafka_cluster3.bootstrap, unique_topic_prefix, tmp_path, copies=3
    )
    try:
        await relaying.make()
        await _lose_a_broker(relaying, kafka_cluster3, node, 6)
        await _report(relaying, "broker_killed", 1, brokers=3, node=node)
    finally:
        await relaying.close()
