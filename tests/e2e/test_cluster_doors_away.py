"""HTTP, files and inbound topics of the cluster, while PostgreSQL or Kafka is away.

MLLP has its own: test_cluster_database_away, test_cluster_log_away.
"""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from ops.runtime.kafka_client import LARGE_RECORDS
from ops.runtime.kafka_topics import ensure_topics
from ops.runtime.topic import TopicSpec
from ops.simulate.sample import sample_message
from tests.e2e.test_inbound import key_of
from tests.support.cluster import Cluster
from tests.support.inbound import Writer
from tests.support.kafka import KafkaCluster

# Stations start several times; on a loaded machine each takes its time.
pytestmark = pytest.mark.timeout(600)

LAB = "990010001"


class Doors:
    """A cluster with a watched folder and an inbound topic of one laboratory."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.cluster = cluster
        self.topic = topic
        self.folder = cluster.folder / "files" / LAB
        self.folder.mkdir(parents=True)
        self.key = b""

    async def prepare(self) -> None:
        """Register the laboratory, make the topic, and take one message at each door."""
        self.key = await asyncio.to_thread(key_of, self.cluster, LAB)
        spec = TopicSpec(partitions=1, replication_factor=1, configs=LARGE_RECORDS)
        async with self.writer() as writer:
            await ensure_topics(writer.settings, {self.topic: spec}, 60)
        self.cluster.start_station("inbound")
        await self.until("the folder", (self.folder / "in").is_dir)
        await self.put("first", 1)
        await self.write(2)
        await self.until_posted(3)
        await self.until("the first file", self.answered("first"))
        await self.until_account(3)

    def writer(self) -> Writer:
        return Writer(self.cluster.kafka.bootstrap, self.topic, {LAB: self.key})

    async def write(self, number: int) -> None:
        async with self.writer() as writer:
            await writer.write(message(number))

    async def put(self, name: str, number: int) -> None:
        scratch = self.folder / "in" / f".{name}"
        scratch.write_bytes(message(number))
        scratch.rename(self.folder / "in" / f"{name}.hl7")

    def answered(self, name: str) -> Callable[[], bool]:
        def holds() -> bool:
            path = self.folder / "out" / f"{name}.hl7.ack"
            return path.exists() and b"MSA|AA" in path.read_bytes()

        return holds

    def unanswered(self) -> list[str]:
        """What lies in the folder and was neither read nor answered."""
        return sorted(
            path.name for part in ("in", "work") for path in (self.folder / part).glob("*.hl7")
        )

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """Return status, Retry-After and body; status 0 where nobody answers."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.cluster.http_port}{path}",
            data=body,
            headers={"Content-Type": "application/hl7-v2+er7"},
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return answer.status, "", answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Retry-After"] or "", error.read()
        except OSError:
            return 0, "", b""

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 180
        while not await asyncio.to_thread(holds):
            assert time.monotonic() < end, f"never: {what}\n{self.cluster.last_words()}"
            await asyncio.sleep(0.2)

    async def until_posted(self, number: int) -> None:
        await self.until(
            f"{number} posted",
            lambda: b"MSA|AA" in self.ask("/v1/messages", message(number))[2],
        )

    async def until_account(self, dispatched: int) -> None:
        """Each message once, whatever was sent again."""
        account = await asyncio.to_thread(self.cluster.drained, 240)
        assert account["closes"]
        end = time.monotonic() + 180
        while account["dispatched"] < dispatched:
            assert time.monotonic() < end, (account, self.cluster.last_words())
            await asyncio.sleep(0.2)
            account = await asyncio.to_thread(self.cluster.drained, 240)
        assert account["dispatched"] == dispatched
        assert set(account["duplicate_by_reason"]) <= {"same_message"}


@pytest.fixture
def doors(kafka_cluster1: KafkaCluster, unique_topic_prefix: str) -> Iterator[Doors]:
    cluster = Cluster(kafka_cluster1, unique_topic_prefix)
    topic = f"{unique_topic_prefix}results"
    made = Doors(cluster, topic)
    cluster.extra["api"] = {"LABDISPATCH_BATCH_DIR": str(made.folder.parent)}
    cluster.extra["inbound"] = {"LABDISPATCH_INBOUND_TOPICS": topic}
    try:
        cluster.start()
        yield made
    finally:
        cluster.remove()


def message(number: int) -> bytes:
    raw = sample_message().replace(b"L0001-20260306-0001", b"AWAY-%d" % number)
    return raw.replace(b"LAB-5567", b"LAB-%d" % number)


async def test_without_the_database_messages_are_taken_and_files_and_topics_wait(
    doors: Doors,
) -> None:
    await doors.prepare()
    cluster = doors.cluster
    await doors.until("a copy", (cluster.data_dir / "register.snapshot").exists)
    cluster.server.stop()
    await doors.until("the api has seen it", lambda: b"without" in doors.ask("/readyz")[2])
    status, _, said = doors.ask("/readyz")
    assert status == 200, "whoever balances senders must not take this door from them"
    assert b"database" in said
    await doors.until_posted(10)
    await doors.put("second", 11)
    await doors.write(12)
    status, retry_after, _ = doors.ask("/v1/batches?name=a", message(13))
    assert (status, bool(retry_after)) == (503, True)
    # The same from the start on: doors open by the copy on disk, inbound waits for the database.
    for role in ("api", "inbound"):
        cluster.kill(role)
    await doors.until_posted(14)
    assert doors.ask("/v1/batches?name=a", message(13))[0] == 503
    assert doors.unanswered() == ["second.hl7"]
    cluster.server.start()
    await doors.until("the second file", doors.answered("second"))
    await doors.until(
        "the upload", lambda: b"MSA|AA" in doors.ask("/v1/batches?name=a", message(13))[2]
    )
    await doors.until("ready", lambda: doors.ask("/readyz")[2] == b"ready\n")
    await doors.until_account(8)


async def test_without_the_log_every_door_waits_and_says_so(
    doors: Doors, kafka_cluster1: KafkaCluster
) -> None:
    await doors.prepare()
    await doors.write(12)
    await doors.until_account(4)
    for broker in kafka_cluster1.ids:
        await asyncio.to_thread(kafka_cluster1.kill, broker)
    # Nothing is under way: the api that runs sees it, and lives.
    await doors.until("the api has seen it", lambda: b"log_away" in doors.ask("/readyz")[2])
    await doors.put("second", 11)

    def refused(*said: bytes) -> Callable[[], bool]:
        def holds() -> bool:
            status, retry_after, body = doors.ask("/v1/messages", message(10))
            return (status, bool(retry_after)) == (503, True) and all(s in body for s in said)

        return holds

    await doors.until("the api that runs says so", refused(b"MSA|AR", b"log_away"))
    status, retry_after, _ = doors.ask("/v1/batches?name=a", message(13))
    assert (status, bool(retry_after)) == (503, True)
    assert doors.ask("/readyz")[0] == 503
    # One that starts cannot open, and says so too.
    doors.cluster.kill("api")
    await doors.until("the api that starts says so", refused(b"not_now"))
    assert doors.ask("/v1/batches?name=a", message(13))[0] == 503
    assert doors.ask("/readyz")[0] == 503
    assert doors.ask("/healthz")[0] == 200
    assert doors.unanswered() == ["second.hl7"]
    await asyncio.to_thread(kafka_cluster1.start_missing)
    await doors.until_posted(10)
    await doors.until("the second file", doors.answered("second"))
    await doors.write(14)
    await doors.until_account(7)
