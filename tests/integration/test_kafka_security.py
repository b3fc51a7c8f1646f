"""TLS and passwords towards a real broker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ops.bootstrap import kafka_settings
from ops.ca import DevelopmentCa
from ops.kit import KitMissing
from ops.runtime.intake_kafka import RETENTION_SECONDS, open_kafka_log
from ops.runtime.intake_log import Kept
from ops.runtime.kafka_appending import AppendProducer
from ops.runtime.kafka_client import LARGE_RECORDS, KafkaSettings
from ops.runtime.kafka_publishing import TransactionalPublisher
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.kafka_security import KafkaSecurity
from ops.runtime.kafka_topics import ensure_topics
from ops.runtime.settings import load_settings
from ops.runtime.topic import TopicSpec
from schemas.decision import Realm
from schemas.errors import FatalError, TransientError
from tests.contract.test_intake_log import record
from tests.support.kafka import BrokerFailed
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    made = SecureKafka(tmp_path_factory.mktemp("secure"))
    try:
        made.start()
    except (KitMissing, BrokerFailed) as missing:
        made.stop()
        pytest.fail(f"a real Kafka is needed here and cannot be had: {missing}", pytrace=False)
    try:
        yield made
    finally:
        made.stop()


def _settings(bootstrap: str, security: KafkaSecurity, seconds: float = 20.0) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=bootstrap, client_id="tests", deadline_seconds=seconds, security=security
    )


def _ways(broker: SecureKafka) -> dict[str, tuple[str, KafkaSecurity]]:
    return {
        "certificate": (broker.over_tls, broker.by_certificate()),
        "password": (broker.with_password, broker.by_password()),
    }


@pytest.mark.parametrize("way", ["certificate", "password"])
async def test_topics_are_made_written_read_and_published_to(
    broker: SecureKafka, unique_topic_prefix: str, way: str
) -> None:
    settings = _settings(*_ways(broker)[way])
    topic = f"{unique_topic_prefix}{way}"
    spec = TopicSpec(partitions=1, replication_factor=1, configs=LARGE_RECORDS)
    await ensure_topics(settings, {topic: spec}, 60)
    producer = AppendProducer(settings)
    await producer.start()
    try:
        assert await producer.append(topic, {0: [b"one", b"two"]}) == {0: [0, 1]}
    finally:
        await producer.close()
    publisher = TransactionalPublisher(settings, f"{topic}-publisher")
    await publisher.start()
    try:
        await publisher.publish([(topic, 0, b"k", b"three", [])])
    finally:
        await publisher.close()
    reader = PartitionReader(settings, topic, read_committed=True)
    await reader.start()
    try:
        found: list[bytes] = []
        while len(found) < 3:
            read = await reader.read({0: len(found)}, 10, 1.0)
            found += [each.value for each in read]
    finally:
        await reader.close()
    assert found == [b"one", b"two", b"three"]


async def _refused(settings: KafkaSettings) -> None:
    """Every kind of client fails within its deadline with an error of ours."""
    for actor in (
        AppendProducer(settings),
        PartitionReader(settings, "any"),
        TransactionalPublisher(settings, "any"),
    ):
        with pytest.raises((TransientError, FatalError)) as caught:
            await actor.start()
        assert caught.value.reason in {"kafka_unavailable", "kafka_error"}
        assert PASSWORD not in str(caught.value)
        await actor.close()


async def test_who_proves_nothing_or_the_wrong_thing_is_not_let_in(
    broker: SecureKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    another = DevelopmentCa(tmp_path / "another", Realm.TEST)
    another.init()
    stranger = another.issue_client("hub")
    wrong = tmp_path / "wrong"
    wrong.write_text("incorrect-horse")
    wrong.chmod(0o600)
    by_certificate, by_password = broker.by_certificate(), broker.by_password()
    change = msgspec.structs.replace
    for bootstrap, security in (
        (broker.over_tls, change(by_certificate, cert=None, key=None)),
        (
            broker.over_tls,
            change(by_certificate, cert=Path(stranger.certificate), key=Path(stranger.key)),
        ),
        (broker.with_password, change(by_password, password_file=wrong)),
        (broker.with_password, change(by_password, user="nobody")),
        (broker.with_password, KafkaSecurity()),
    ):
        await _refused(_settings(bootstrap, security, 3.0))
    assert PASSWORD not in caplog.text
    assert "incorrect-horse" not in caplog.text


async def test_a_broker_of_another_authority_or_name_is_not_believed(
    broker: SecureKafka, tmp_path: Path
) -> None:
    another = DevelopmentCa(tmp_path / "another", Realm.TEST)
    another.init()
    change = msgspec.structs.replace
    await _refused(
        _settings(
            broker.over_tls,
            change(broker.by_certificate(), ca=tmp_path / "another" / "ca.pem"),
            3.0,
        )
    )
    # The same broker under a name that its certificate does not have.
    port = broker.over_tls.rpartition(":")[2]
    await _refused(_settings(f"127.0.0.2:{port}", broker.by_certificate(), 3.0))


async def test_the_intake_log_of_the_settings_opens_over_tls_with_a_password(
    broker: SecureKafka, unique_topic_prefix: str
) -> None:
    settings = load_settings(
        engine="cluster",
        postgres_dsn="postgresql://nobody@127.0.0.1/none",
        kafka_bootstrap=broker.with_password,
        kafka_protocol="sasl_ssl",
        kafka_ca=broker.ca,
        kafka_sasl_user=USER,
        kafka_sasl_password_file=broker.password_file,
    )
    log = await open_kafka_log(
        kafka_settings(settings, "intake"),
        topic=f"{unique_topic_prefix}intake",
        partitions=2,
        replication_factor=1,
        min_insync_replicas=1,
    )
    try:
        (offset,) = await log.append([record(1)])
        found = await log.fetch(1, offset)
        assert found is not None
        assert found.payload == record(1).payload
        assert await log.kept() == Kept(seconds=float(RETENTION_SECONDS))
    finally:
        await log.close()
