"""Kafka away: no AA, AR 207 after a while at a door that runs and at one that starts, then on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from schemas.errors import TransientError
from tests.support.cluster import Cluster
from tests.support.kafka import KafkaCluster

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def cluster(kafka_cluster1: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    made = Cluster(kafka_cluster1, unique_topic_prefix)
    try:
        yield made.start()
    finally:
        made.remove()


def message(number: int) -> bytes:
    return sample_message().replace(b"L0001-20260306-0001", b"LOG-%d" % number)


async def until_answer(cluster: Cluster, number: int, *wanted: bytes) -> None:
    """Send until an answer holds what is wanted."""
    limit = time.monotonic() + 180
    while True:
        try:
            async with MllpClient("127.0.0.1", cluster.mllp_port, timeout_seconds=15) as client:
                answer = (await client.send(message(number))).raw
            if all(text in answer for text in wanted):
                return
        except TransientError:
            answer = b"(none)"
        assert time.monotonic() < limit, (answer, cluster.last_words())
        await asyncio.sleep(0.2)


async def test_a_door_says_207_while_the_log_is_away_and_goes_on_by_itself(
    cluster: Cluster, kafka_cluster1: KafkaCluster
) -> None:
    await until_answer(cluster, 1, b"MSA|AA")
    for broker in kafka_cluster1.ids:
        await asyncio.to_thread(kafka_cluster1.kill, broker)
    # Nothing is under way: the door that runs sees it, says so, and lives.
    await asyncio.sleep(8)
    await until_answer(cluster, 2, b"MSA|AR", b"207")
    # A door that starts now cannot open, and says so too.
    cluster.kill("ingest")
    await until_answer(cluster, 3, b"MSA|AR", b"not_now")
    await asyncio.to_thread(kafka_cluster1.start_missing)
    await until_answer(cluster, 4, b"MSA|AA")
    account = await asyncio.to_thread(cluster.drained, 180)
    assert account["closes"]
