"""Doors of the cluster start and accept while PostgreSQL is away, and go on when it is back."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from ops.client import MllpClient
from ops.simulate.sample import sample_message
from schemas.errors import TransientError
from tests.support.cluster import Cluster
from tests.support.kafka import KafkaCluster

# Stations start several times; on a loaded machine each takes its time.
pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def cluster(kafka_cluster1: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    made = Cluster(kafka_cluster1, unique_topic_prefix)
    try:
        yield made.start()
    finally:
        made.remove()


def message(number: int, facility: str = "990010001") -> bytes:
    raw = sample_message().replace(b"|990010001|HUB", f"|{facility}|HUB".encode())
    return raw.replace(b"L0001-20260306-0001", b"AWAY-%d" % number)


async def until(what: str, done: Callable[[], bool], cluster: Cluster) -> None:
    limit = time.monotonic() + 120
    while not done():
        assert time.monotonic() < limit, f"{what}\n{cluster.last_words()}"
        await asyncio.sleep(0.1)


async def answer(cluster: Cluster, raw: bytes) -> str:
    """Send until somebody answers, and return MSA-1."""
    limit = time.monotonic() + 120
    while True:
        try:
            async with MllpClient("127.0.0.1", cluster.mllp_port, timeout_seconds=15) as client:
                return (await client.send(raw)).code
        except TransientError:
            assert time.monotonic() < limit, cluster.last_words()
            await asyncio.sleep(0.2)


def post(cluster: Cluster, raw: bytes) -> bytes:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{cluster.http_port}/v1/messages",
        data=raw,
        headers={"Content-Type": "application/hl7-v2+er7"},
    )
    with urllib.request.urlopen(asked, timeout=30) as response:
        content: bytes = response.read()
    return content


async def test_doors_start_without_the_database_and_what_they_took_is_dispatched(
    cluster: Cluster,
) -> None:
    assert await answer(cluster, message(1)) == "AA"
    snapshot = cluster.data_dir / "register.snapshot"
    await until(
        "the laboratory is never kept on disk",
        lambda: snapshot.exists() and b"990010001" in snapshot.read_bytes(),
        cluster,
    )
    cluster.server.stop()
    before = {role: len(cluster.ended[role]) for role in ("ingest", "api")}
    for role in before:
        cluster.kill(role)
    await until(
        "not killed", lambda: all(len(cluster.ended[r]) > n for r, n in before.items()), cluster
    )
    for number in range(2, 12):
        assert await answer(cluster, message(number)) == "AA"
    assert await answer(cluster, message(100, "NEVERSEEN")) == "AR"
    limit = time.monotonic() + 120
    while True:
        try:
            assert b"|AA|" in post(cluster, message(50))
            break
        except OSError:
            assert time.monotonic() < limit, cluster.last_words()
            await asyncio.sleep(0.2)
    doors = {role: cluster.pids()[role] for role in before}
    assert "register_from_disk" in cluster.last_words()
    cluster.server.start()
    account = await asyncio.to_thread(cluster.drained, 180)
    assert account["closes"]
    assert account["dispatched"] + account["duplicate"] == 12
    assert await answer(cluster, message(200, "NEVERSEEN")) == "AA"
    assert {role: cluster.pids()[role] for role in before} == doors, "the doors went on"


async def test_a_copy_that_was_changed_starts_no_door(cluster: Cluster) -> None:
    assert await answer(cluster, message(1)) == "AA"
    snapshot = cluster.data_dir / "register.snapshot"
    await until("no copy", snapshot.exists, cluster)
    cluster.server.stop()
    held = bytearray(snapshot.read_bytes())
    held[-1] ^= 1
    snapshot.write_bytes(held)
    cluster.kill("ingest")
    await until(
        "nobody says that it was changed",
        lambda: "snapshot_signature_wrong" in (cluster.folder / "ingest.log").read_text("utf-8"),
        cluster,
    )
    cluster.server.start()
    assert await answer(cluster, message(2)) == "AA"
