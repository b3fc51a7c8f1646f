"""An inbound topic on the cluster: killed on the way, and everything is accounted for once."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from ops.runtime.kafka_client import LARGE_RECORDS, KafkaSettings
from ops.runtime.kafka_topics import ensure_topics
from ops.runtime.topic import TopicSpec
from schemas.topics import STREAMS
from tests.support.cluster import Cluster
from tests.support.conservation import check_conservation
from tests.support.in_kafka import in_kafka_once
from tests.support.inbound import Writer, read_all, registry_id_of
from tests.support.kafka import KafkaCluster
from tests.support.load import simulated

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def cluster(kafka_cluster3: KafkaCluster, unique_topic_prefix: str) -> Iterator[Cluster]:
    made = Cluster(kafka_cluster3, unique_topic_prefix)
    try:
        yield made.start()
    finally:
        made.remove()


def key_of(cluster: Cluster, lab: str) -> bytes:
    """Register a laboratory as an operator does; return its signing key."""
    for command in (("add", lab), ("token", "new", lab, "--name", "kafka")):
        done = cluster.look("labs", *command, "--actor", "a test")
        assert done.returncode == 0, done.stderr
    done = cluster.look("inbound", "key", lab, "--actor", "a test", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return bytes.fromhex(found["key"])


async def until(cluster: Cluster, what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < end, f"never: {what}\n{cluster.last_words()}"
        await asyncio.sleep(0.1)


def parked(cluster: Cluster) -> list[dict[str, object]]:
    done = cluster.look("inbound", "list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


async def test_what_is_written_to_the_topic_ends_once_through_kills(
    cluster: Cluster, unique_topic_prefix: str
) -> None:
    topic, answers = f"{unique_topic_prefix}results", f"{unique_topic_prefix}answers"
    settings = KafkaSettings(
        bootstrap=cluster.kafka.bootstrap, client_id="test", deadline_seconds=20
    )
    spec = TopicSpec(partitions=3, replication_factor=3, configs=LARGE_RECORDS)
    await ensure_topics(settings, {topic: spec, answers: spec}, 60)
    messages = simulated(31, 160)
    labs = sorted({registry_id_of(message.raw) for message in messages})
    keys = {lab: await asyncio.to_thread(key_of, cluster, lab) for lab in labs}
    cluster.extra["inbound"] = {
        "LABDISPATCH_INBOUND_TOPICS": topic,
        "LABDISPATCH_INBOUND_REPLY_TOPIC": answers,
        "LABDISPATCH_INBOUND_WINDOW": "20",
        "LABDISPATCH_INBOUND_TURN_SECONDS": "3",
        # After what was accepted is durable, before that is recorded.
        "LABDISPATCH_FAILPOINTS": "inbound.before_advance=kill@2",
    }
    cluster.start_station("inbound")
    async with Writer(cluster.kafka.bootstrap, topic, keys) as writer:
        for message in messages:
            place = labs.index(registry_id_of(message.raw)) % 3
            await writer.write(message.raw, partition=place)
        stranger = (await writer.write(messages[0].raw, headers=()))[0]
        # Its facility is the other's.
        foreign = (await writer.write(messages[0].raw, laboratory=_other(labs, messages[0].raw)))[0]
    await until(
        cluster, "killed at the failpoint", lambda: -signal.SIGKILL in cluster.ended["inbound"]
    )
    cluster.extra["inbound"] = {
        **cluster.extra["inbound"],
        "LABDISPATCH_FAILPOINTS": "",
    }
    for _ in range(2):
        await asyncio.sleep(1.0)  # not to synchronise: a kill at any moment
        if "inbound" in cluster.pids():
            cluster.kill("inbound")
    await until(cluster, "two parked", lambda: len(parked(cluster)) == 2)
    replies = await asyncio.wait_for(read_all(settings, answers, len(messages)), 180)
    journal: list[tuple[str, str]] = []
    wanted = {message.control_id for message in messages}
    while {control_id for control_id, _ in journal} < wanted:
        journal = [
            ((reply.key or b"").decode(), reply.value.split(b"MSA|")[1][:2].decode())
            for reply in replies
        ]
        journal = [entry for entry in journal if entry[1] == "AA"]
        if {control_id for control_id, _ in journal} < wanted:
            replies = await asyncio.wait_for(read_all(settings, answers, len(replies) + 1), 180)
    # At least once: what was answered twice is the same message, which is what a resend is too.
    ledger = await asyncio.to_thread(
        check_conservation, cluster, [(message.control_id, "AA") for message in messages]
    )
    assert ledger.account["duplicate_by_reason"]["same_message"] > 0
    for stream in STREAMS:
        await in_kafka_once(cluster, stream.value, ledger.streams[stream.value])
    found = {
        (each["topic"], each["offset"]): (each["reason"], each["laboratory"])
        for each in parked(cluster)
    }
    assert found == {
        (topic, stranger): ("no_proof", ""),
        (topic, foreign): ("facility_not_yours", _other(labs, messages[0].raw)),
    }
    assert ledger.account["inbound"] == {"parked": {"facility_not_yours": 1, "no_proof": 1}}


async def test_a_parked_record_is_retried_after_the_register_was_mended(
    cluster: Cluster, unique_topic_prefix: str
) -> None:
    topic = f"{unique_topic_prefix}results"
    settings = KafkaSettings(
        bootstrap=cluster.kafka.bootstrap, client_id="test", deadline_seconds=20
    )
    spec = TopicSpec(partitions=1, replication_factor=3, configs=LARGE_RECORDS)
    await ensure_topics(settings, {topic: spec}, 60)
    message = simulated(32, 1)[0]
    speaker = "SPEAKER"
    keys = {speaker: await asyncio.to_thread(key_of, cluster, speaker)}
    cluster.extra["inbound"] = {"LABDISPATCH_INBOUND_TOPICS": topic}
    cluster.start_station("inbound")
    async with Writer(cluster.kafka.bootstrap, topic, keys) as writer:
        await writer.write(message.raw, laboratory=speaker)
    await until(cluster, "parked", lambda: len(parked(cluster)) == 1)
    (held,) = parked(cluster)
    retry = ("inbound", "retry", str(held["parked_id"]), "--reason", "r", "--actor", "a test")
    done = cluster.look(*retry)
    assert done.returncode == 1, done.stderr
    assert "facility_not_yours" in done.stdout
    facility = registry_id_of(message.raw)
    done = cluster.look("labs", "facilities", "add", speaker, facility, "--actor", "a test")
    assert done.returncode == 0, done.stderr
    done = cluster.look(*retry)
    assert (done.returncode, done.stdout) == (0, "AA: it is in the log\n"), done.stderr
    assert parked(cluster) == []
    assert cluster.look(*retry).returncode == 1, "once is enough"
    check_conservation(cluster, [(message.control_id, "AA")])
    shown = cluster.look("inbound", "show", str(held["parked_id"])).stdout
    assert topic in shown
    assert message.control_id not in shown, "nothing of its value"


def _other(labs: list[str], raw: bytes) -> str:
    own = registry_id_of(raw)
    return next(lab for lab in labs if lab != own)
