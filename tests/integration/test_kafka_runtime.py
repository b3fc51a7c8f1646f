from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition

from ops.runtime.kafka_appending import AppendProducer
from ops.runtime.kafka_client import LARGE_RECORDS, MAX_RECORD_BYTES, KafkaSettings
from ops.runtime.kafka_publishing import Event, TransactionalPublisher
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.kafka_topics import ensure_topics, topic_limits
from ops.runtime.topic import Check, Compression, TopicLimits, TopicSpec
from schemas.errors import (
    FatalError,
    Fenced,
    OffsetGone,
    PermanentError,
    TransientError,
    UnknownResult,
)
from tests.support.kafka import KafkaCluster


def _settings(bootstrap: str, deadline_seconds: float = 20.0) -> KafkaSettings:
    return KafkaSettings(bootstrap=bootstrap, client_id="tests", deadline_seconds=deadline_seconds)


async def _topic(settings: KafkaSettings, name: str, partitions: int = 2, copies: int = 1) -> str:
    spec = TopicSpec(partitions=partitions, replication_factor=copies, configs=LARGE_RECORDS)
    await ensure_topics(settings, {name: spec}, 60)
    return name


def _events(topic: str, values: list[bytes], partition: int = 0) -> list[Event]:
    return [(topic, partition, b"k", value, [("h", b"1")]) for value in values]


async def _asked(producer: AppendProducer, request: str) -> None:
    """Wait until a request of this kind went out; no answer to it has come."""
    connections = producer._producer.client._conns
    async with asyncio.timeout(60):
        while not any(
            type(asked).__name__.startswith(request)
            for connection in connections.values()
            for _, asked, _ in connection._requests
        ):
            await asyncio.sleep(0)


async def _all(reader: PartitionReader, positions: dict[int, int], count: int) -> list[bytes]:
    values: list[bytes] = []
    while len(values) < count:
        for record in await reader.read(positions, 1000, 1.0):
            values.append(record.value)
            positions[record.partition] = record.offset + 1
    return values


async def test_a_topic_with_another_number_of_partitions_is_fatal(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a", partitions=2)
    await _topic(settings, topic, partitions=2)
    with pytest.raises(FatalError, match="kafka_partitions_differ"):
        await _topic(settings, topic, partitions=3)


async def test_topics_on_absent_brokers_are_transient() -> None:
    settings = _settings("127.0.0.1:1", 0.5)
    with pytest.raises(TransientError, match="kafka_unavailable"):
        await ensure_topics(settings, {"x": TopicSpec(partitions=1, replication_factor=1)}, 0.5)


async def test_starts_on_absent_brokers_are_transient() -> None:
    settings = _settings("127.0.0.1:1", 0.5)
    for actor in (
        AppendProducer(settings),
        PartitionReader(settings, "x"),
        TransactionalPublisher(settings, "x"),
    ):
        with pytest.raises(TransientError, match="kafka_unavailable"):
            await actor.start()
        await actor.close()


async def test_batches_keep_their_order_and_offsets_increase(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a")
    producer, reader = AppendProducer(settings), PartitionReader(settings, topic)
    await producer.start()
    await reader.start()
    try:
        sent = [b"%d" % n for n in range(300)]
        # Ten appends at once of one partition: one in flight, in the order they were asked.
        answers = await asyncio.gather(
            *(
                producer.append_batch(topic, 0, [(None, v, ()) for v in sent[n : n + 30]])
                for n in range(0, 300, 30)
            )
        )
        assert [offset for answer in answers for offset in answer] == list(range(300))
        both = await producer.append(topic, {0: [b"x", b"y"], 1: [b"z"]})
        assert both == {0: [300, 301], 1: [0]}
        assert await producer.append_batch(topic, 0, []) == []
        assert await _all(reader, {0: 0}, 302) == [*sent, b"x", b"y"]
        assert await reader.begin_offsets() == {0: 0, 1: 0}
        assert await reader.end_offsets() == {0: 302, 1: 1}
        assert await reader.partitions() == [0, 1]
    finally:
        await producer.close()
        await reader.close()


async def test_a_reader_follows_its_caller_back_and_forth(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a")
    producer, reader = AppendProducer(settings), PartitionReader(settings, topic)
    await producer.start()
    await reader.start()
    try:
        await producer.append(topic, {0: [b"%d" % n for n in range(10)], 1: [b"other"]})
        first = await reader.read({0: 0}, 3, 5.0)
        assert [(r.offset, r.value) for r in first] == [(0, b"0"), (1, b"1"), (2, b"2")]
        assert [r.offset for r in await reader.read({0: 3}, 3, 5.0)] == [3, 4, 5]
        assert [r.offset for r in await reader.read({0: 1}, 2, 5.0)] == [1, 2]
        assert [r.offset for r in await reader.read({0: 8}, 9, 5.0)] == [8, 9]
        assert await reader.read({0: 10}, 9, 0.05) == []
        assert await reader.read({}, 9, 0.05) == []
        assert (await reader.read({1: 0}, 9, 5.0))[0].value == b"other"
    finally:
        await producer.close()
        await reader.close()


async def test_large_records_pass_and_larger_ones_are_refused_before_they_are_sent(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a")
    producer, reader = AppendProducer(settings), PartitionReader(settings, topic)
    await producer.start()
    await reader.start()
    try:
        frame = bytes(8 * 1024 * 1024)
        # Two batches, since both do not fit into one.
        assert await producer.append_batch(topic, 0, [(b"k", frame, ()), (b"k", frame, ())]) == [
            0,
            1,
        ]
        with pytest.raises(PermanentError, match="record_too_large"):
            await producer.append_batch(topic, 0, [(None, bytes(MAX_RECORD_BYTES + 1), ())])
        assert await producer.append_batch(topic, 0, [(None, b"after", [("h", b"v")])]) == [2]
        assert [len(v) for v in await _all(reader, {0: 0}, 3)] == [len(frame), len(frame), 5]
    finally:
        await producer.close()
        await reader.close()


async def test_a_batch_the_broker_refuses_is_fatal_and_stays_so(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = f"{unique_topic_prefix}small"
    await ensure_topics(settings, {topic: TopicSpec(partitions=1, replication_factor=1)}, 60)
    producer = AppendProducer(settings)
    await producer.start()
    try:
        with pytest.raises(FatalError, match="kafka_refused") as refused:
            await producer.append_batch(topic, 0, [(None, bytes(2 * 1024 * 1024), ())])
        assert not isinstance(refused.value, UnknownResult)
        with pytest.raises(FatalError, match="kafka_refused"):
            await producer.append_batch(topic, 0, [(None, b"next", ())])
    finally:
        await producer.close()


async def test_a_partition_that_is_not_there_is_fatal(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a")
    producer = AppendProducer(settings)
    with pytest.raises(FatalError, match="kafka_not_started"):
        await producer.append_batch(topic, 0, [(None, b"x", ())])
    await producer.start()
    try:
        with pytest.raises(FatalError, match="kafka_partition_unknown"):
            await producer.append_batch(topic, 7, [(None, b"x", ())])
        assert await producer.append_batch(topic, 1, [(None, b"x", ())]) == [0]
    finally:
        await producer.close()


async def test_a_broker_killed_during_an_append_leaves_an_unknown_result_in_time(
    kafka_cluster1: KafkaCluster,
) -> None:
    patient = _settings(kafka_cluster1.bootstrap)
    topic = await _topic(patient, "intake")
    producer = AppendProducer(_settings(kafka_cluster1.bootstrap, 2.0))
    reader = PartitionReader(_settings(kafka_cluster1.bootstrap, 1.0), topic)
    await producer.start()
    await reader.start()
    try:
        assert await producer.append_batch(topic, 0, [(None, b"kept", ())]) == [0]
        # A frozen broker holds the request without an answer; the kill then cuts it.
        kafka_cluster1.freeze(1)
        cut = asyncio.create_task(producer.append_batch(topic, 0, [(None, b"cut", ())]))
        behind = asyncio.create_task(producer.append_batch(topic, 0, [(None, b"behind", ())]))
        await _asked(producer, "ProduceRequest")
        kafka_cluster1.kill(1)
        # The client would try again for 40 s; the deadline is 2.
        async with asyncio.timeout(20):
            with pytest.raises(UnknownResult, match="kafka_in_doubt"):
                await cut
        # What waited was never sent, and nothing is any more.
        with pytest.raises((UnknownResult, TransientError)):
            await behind
        with pytest.raises(UnknownResult):
            await producer.append_batch(topic, 0, [(None, b"late", ())])
        with pytest.raises(TransientError, match="kafka_unavailable"):
            await reader.end_offsets()
        with pytest.raises(TransientError, match="kafka_unavailable"):
            await _all(reader, {0: 1}, 1)
        async with asyncio.timeout(30):
            await producer.close()
        kafka_cluster1.restart(1)
        fresh = PartitionReader(patient, topic)
        await fresh.start()
        end = (await fresh.end_offsets())[0]
        values = await _all(fresh, {0: 0}, end)
        await fresh.close()
        assert values in ([b"kept"], [b"kept", b"cut"])
    finally:
        await producer.close()
        await reader.close()


async def test_a_read_below_the_start_says_where_the_start_is(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}a")
    producer, reader = AppendProducer(settings), PartitionReader(settings, topic)
    await producer.start()
    await reader.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await producer.append(topic, {0: [b"%d" % n for n in range(10)]})
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(6)})
        with pytest.raises(OffsetGone) as gone:
            await reader.read({0: 2}, 10, 5.0)
        assert (gone.value.partition, gone.value.offset, gone.value.begin) == (0, 2, 6)
        assert [r.offset for r in await reader.read({0: 6}, 10, 5.0)] == [6, 7, 8, 9]
        with pytest.raises(FatalError, match="offset_beyond_end"):
            await reader.read({0: 99}, 10, 5.0)
    finally:
        await admin.close()
        await producer.close()
        await reader.close()


async def test_a_new_publisher_fences_the_old_one(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}dossier")
    old, new = TransactionalPublisher(settings, topic), TransactionalPublisher(settings, topic)
    reader = PartitionReader(settings, topic, read_committed=True)
    await old.start()
    try:
        await old.publish(_events(topic, [b"1", b"2"]))
        await new.start()
        with pytest.raises(Fenced):
            await old.publish(_events(topic, [b"zombie"]))
        with pytest.raises(Fenced):
            await old.publish(_events(topic, [b"zombie"]))
        await new.publish([*_events(topic, [b"3"]), *_events(topic, [b"4"], 1)])
        await reader.start()
        assert await _all(reader, {0: 0}, 3) == [b"1", b"2", b"3"]
        assert await _all(reader, {1: 0}, 1) == [b"4"]
    finally:
        await old.close()
        await new.close()
        await reader.close()


async def _tail_at(publisher: TransactionalPublisher, topic: str, offset: int) -> bytes | None:
    """Return what stands last, at this offset: brokers answer a commit before its mark is there.

    Who starts waits for the marks of those before; here nobody starts.
    """
    async with asyncio.timeout(60):
        while True:
            found = (await publisher.read_tails(topic))[0]
            if found.offset >= offset:
                assert found.offset == offset
                return found.value
            await asyncio.sleep(0.1)


async def test_the_tail_scan_finds_the_last_event_behind_marks_and_aborted_ones(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}dossier")
    publisher = TransactionalPublisher(settings, topic)
    await publisher.start()
    try:
        tails = await publisher.read_tails(topic)
        assert (tails[0].begin, tails[0].end, tails[0].value) == (0, 0, None)
        await publisher.publish(_events(topic, [b"1", b"2", b"last"]))
        assert await _tail_at(publisher, topic, 2) == b"last"
        # Aborted transactions leave records and marks: more than the first windows hold.
        for _ in range(25):
            producer = publisher._producer
            await producer.begin_transaction()
            batch = producer.create_batch()
            batch.append(timestamp=None, key=None, value=b"aborted", headers=[])
            await (await producer.send_batch(batch, topic, partition=0))
            await producer.abort_transaction()
        found = (await publisher.read_tails(topic))[0]
        assert (found.offset, found.value) == (2, b"last")
        assert (await publisher.read_tails(topic))[1].value is None
        await publisher.publish(_events(topic, [b"newest"]))
        assert await _tail_at(publisher, topic, 54) == b"newest"
    finally:
        await publisher.close()


async def test_an_open_transaction_of_a_dead_publisher_is_ended_by_the_next_start(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}dossier")
    old, new = TransactionalPublisher(settings, topic), TransactionalPublisher(settings, topic)
    await old.start()
    try:
        await old.publish(_events(topic, [b"1"]))
        await old._producer.begin_transaction()
        batch = old._producer.create_batch()
        batch.append(timestamp=None, key=None, value=b"open", headers=[])
        await (await old._producer.send_batch(batch, topic, partition=0))
        await new.start()
        found = (await new.read_tails(topic))[0]
        assert found.value == b"1"
        await new.publish(_events(topic, [b"2"]))
        found = (await new.read_tails(topic))[0]
        assert found.value == b"2"
    finally:
        await old.close()
        await new.close()


async def test_three_brokers_lose_one_and_go_on(kafka_cluster3: KafkaCluster) -> None:
    settings = _settings(kafka_cluster3.bootstrap)
    topic = await _topic(settings, "intake", partitions=3, copies=3)
    producer, reader = AppendProducer(settings), PartitionReader(settings, topic)
    await producer.start()
    await reader.start()
    try:
        await producer.append(topic, {0: [b"a"], 1: [b"b"], 2: [b"c"]})
        kafka_cluster3.kill(2)
        # The leaders move; idempotence makes the client's own retries harmless.
        again = await producer.append(topic, {0: [b"d"], 1: [b"e"], 2: [b"f"]})
        assert again == {0: [1], 1: [1], 2: [1]}
        assert sorted(await _all(reader, {0: 0, 1: 0, 2: 0}, 6)) == [
            b"a",
            b"b",
            b"c",
            b"d",
            b"e",
            b"f",
        ]
    finally:
        await producer.close()
        await reader.close()
        kafka_cluster3.restart(2)


async def test_a_topics_limits_are_what_was_set_last(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = f"{unique_topic_prefix}kept"
    configs = {**LARGE_RECORDS, "retention.ms": "60000", "retention.bytes": "-1"}
    spec = TopicSpec(partitions=1, replication_factor=1, configs=configs)
    await ensure_topics(settings, {topic: spec}, 60)
    assert await topic_limits(settings, topic) == TopicLimits(
        seconds=60.0, bytes_of_a_partition=None
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        by_hand = {"retention.ms": "-1", "retention.bytes": "1000000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, by_hand)])
        wanted = TopicLimits(seconds=None, bytes_of_a_partition=1_000_000)
        async with asyncio.timeout(60):
            while await topic_limits(settings, topic) != wanted:
                await asyncio.sleep(0.1)
    finally:
        await admin.close()
    with pytest.raises((FatalError, TransientError)):
        await topic_limits(settings, f"{unique_topic_prefix}none")


async def _configs_of(bootstrap: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        ((_, _, _, _, entries),) = answer.resources
        return {entry[0]: entry[1] for entry in entries}
    finally:
        await admin.close()


async def test_an_existing_topic_is_mended_where_that_is_safe_and_refused_where_not(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = f"{unique_topic_prefix}dossier"
    of_before = {
        "unclean.leader.election.enable": "true",
        "retention.ms": "60000",
        "max.message.bytes": "1000000",
        "flush.messages": "77",
    }
    old = TopicSpec(partitions=1, replication_factor=1, configs=of_before)
    await ensure_topics(settings, {topic: old}, 60)
    wanted = {
        "unclean.leader.election.enable": "false",
        "retention.ms": "120000",
        "max.message.bytes": "2000000",
        "cleanup.policy": "delete",
    }
    checks = {
        "unclean.leader.election.enable": Check.SET,
        "retention.ms": Check.NOT_LONGER,
        "max.message.bytes": Check.AT_LEAST,
        "cleanup.policy": Check.SAME,
    }
    spec = TopicSpec(partitions=1, replication_factor=1, configs=wanted, checks=checks)
    await ensure_topics(settings, {topic: spec}, 60)
    found = await _configs_of(kafka_bootstrap, topic)
    assert {name: found[name] for name in wanted} == wanted
    assert found["flush.messages"] == "77", "what somebody set by hand stays"
    shorter = TopicSpec(
        partitions=1,
        replication_factor=1,
        configs={**wanted, "retention.ms": "30000"},
        checks=checks,
    )
    with pytest.raises(FatalError, match="kafka_topic_unsafe"):
        await ensure_topics(settings, {topic: shorter}, 60)
    assert (await _configs_of(kafka_bootstrap, topic))["retention.ms"] == "120000"


@pytest.mark.parametrize("compression", Compression)
async def test_each_compression_is_read_by_everybody_and_the_offsets_are_told(
    kafka_bootstrap: str, unique_topic_prefix: str, compression: Compression
) -> None:
    settings = _settings(kafka_bootstrap)
    topic = await _topic(settings, f"{unique_topic_prefix}dossier")
    publisher = TransactionalPublisher(settings, topic, compression=compression)
    reader = PartitionReader(settings, topic, read_committed=True)
    await publisher.start()
    await reader.start()
    try:
        values = [b'{"a":"%d"}' % number * 40 for number in range(50)]
        told = await publisher.publish([*_events(topic, values), *_events(topic, [b"x"], 1)])
        assert told == {0: 49, 1: 0}
        assert await _all(reader, {0: 0}, 50) == values
        assert (await publisher.publish(_events(topic, [b"y"]))) == {0: 51}
        tails = await publisher.read_tails(topic)
        assert (tails[0].value, tails[0].offset, tails[0].begin) == (b"y", 51, 0)
        assert tails[0].end == 53
    finally:
        await publisher.close()
        await reader.close()
