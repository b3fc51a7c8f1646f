"""The same road on Apache Kafka and PostgreSQL, started by the unit files' own lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ops.simulate.sample import sample_message
from schemas.topics import STREAMS
from tests.support.cluster import Cluster
from tests.support.in_kafka import in_kafka_once
from tests.support.kafka import KafkaCluster
from tests.support.load import simulated, under_load
from tests.support.product import Laboratory


@pytest.fixture
def cluster(kafka_cluster3: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    made = Cluster(kafka_cluster3, unique_topic_prefix)
    try:
        yield made.start()
    finally:
        made.remove()


async def nothing() -> None:
    """Nothing bad happens."""


async def test_a_simulation_is_conserved_and_every_event_is_in_kafka_once(
    cluster: Cluster,
) -> None:
    ledger = await under_load(cluster, simulated(21, 200), nothing, pause_seconds=0.0)
    assert ledger.account["dispatched"] > 150
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])


async def test_a_message_is_found_by_its_control_id(cluster: Cluster) -> None:
    laboratory = Laboratory(cluster.mllp_port)
    control_id = sample_message().split(b"|")[9].decode()
    await laboratory.send([(control_id, sample_message())])
    cluster.drained()
    (held,) = cluster.trace([control_id])
    assert "received" in {station["station"] for station in held["stations"]}


async def test_a_message_is_replayed_and_emits_nothing_twice(cluster: Cluster) -> None:
    laboratory = Laboratory(cluster.mllp_port)
    control_id = sample_message().split(b"|")[9].decode()
    await laboratory.send([(control_id, sample_message())])
    before = cluster.drained()
    done = cluster.look("replay", control_id, "--reason", "a test of it", "--actor", "a test")
    assert done.returncode == 0, done.stderr
    after = cluster.drained()
    assert (after["replays"], after["events"]) == (1, before["events"])
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, cluster.stream(stream.value))
