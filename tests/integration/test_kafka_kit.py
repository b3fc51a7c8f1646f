from __future__ import annotations

import threading

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import ProducerFenced

from tests.support.kafka import KafkaCluster


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(topic, 1, 1)])
        assert [code for _, code, *_ in answer.topic_errors] == [0]
    finally:
        await admin.close()


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek(place, 0)
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_what_is_produced_with_all_acks_is_read_back(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    topic = f"{unique_topic_prefix}plain"
    await _create(kafka_bootstrap, topic)
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, acks="all", enable_idempotence=True
    ) as producer:
        offsets = [(await producer.send_and_wait(topic, b"%d" % n)).offset for n in range(3)]
    assert offsets == [0, 1, 2]
    assert await _read(kafka_bootstrap, topic, 3) == [b"0", b"1", b"2"]


async def test_a_second_start_fences_the_first_producer(
    kafka_bootstrap: str, unique_topic_prefix: str
) -> None:
    topic = f"{unique_topic_prefix}transactions"
    await _create(kafka_bootstrap, topic)
    old = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic)
    await old.start()
    async with old.transaction():
        await old.send_and_wait(topic, b"first")
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic) as new:
        with pytest.raises(ProducerFenced):
            async with old.transaction():
                await old.send_and_wait(topic, b"zombie")
        async with new.transaction():
            await new.send_and_wait(topic, b"second")
    await old.stop()
    assert await _read(kafka_bootstrap, topic, 2) == [b"first", b"second"]


async def test_a_killed_broker_comes_back_with_its_records(kafka_cluster1: KafkaCluster) -> None:
    await _create(kafka_cluster1.bootstrap, "kept")
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_cluster1.bootstrap, acks="all", enable_idempotence=True
    ) as producer:
        for n in range(100):
            await producer.send_and_wait("kept", b"%d" % n)
    kafka_cluster1.kill(1)
    kafka_cluster1.restart(1)
    assert await _read(kafka_cluster1.bootstrap, "kept", 100) == [b"%d" % n for n in range(100)]


def test_a_broker_outlives_the_thread_that_started_it_again(kafka_cluster1: KafkaCluster) -> None:
    kafka_cluster1.kill(1)
    starter = threading.Thread(target=kafka_cluster1.restart, args=(1,))
    starter.start()
    starter.join()
    assert not kafka_cluster1.dead()


def test_a_broker_that_died_unseen_is_started_again(kafka_cluster1: KafkaCluster) -> None:
    kafka_cluster1.die(1)
    assert kafka_cluster1.dead() == [1]
    kafka_cluster1.start_missing()
    assert not kafka_cluster1.dead()
