"""Makes the topics and looks at them, through Apache Kafka's admin interface."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import errors as client
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.errors import FatalError, TransientError

from .kafka_client import KafkaSettings
from .kafka_errors import ANY, away, translate
from .logs import get_logger
from .topic import TopicLimits, TopicSpec, mended

_log = get_logger(__name__)

_POLL_SECONDS: Final = 0.05
_OF_THE_TOPIC: Final = 1
"""DescribeConfigs, version 1 and later: a configuration of the topic's own."""


async def ensure_topics(
    settings: KafkaSettings, topics: Mapping[str, TopicSpec], deadline_seconds: float
) -> None:
    """Return once every topic is there with its number of partitions and a leader for each.

    Missing ones are created. Of existing ones only what `checks` allows is changed.

    Raises:
        FatalError: Another number of partitions, a configuration that only a person may change,
            or the cluster refuses to create or change a topic.
        TransientError: Not there within the deadline (brokers away, or too few of them).
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            # Brokers tell nobody when a topic is ready: ask again.
            while not await _topics_ready(settings, topics):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise away("topics are made ready") from None


async def topic_limits(settings: KafkaSettings, topic: str) -> TopicLimits:
    """Return the limits that hold for a topic now, its own or the brokers' defaults.

    Raises:
        TransientError: The brokers are away.
        FatalError: They do not tell us (`kafka_error`), or there is no such topic.
    """
    admin = AIOKafkaAdminClient(**settings.client_options())
    wanted = {"retention.ms": "", "retention.bytes": ""}
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            await admin.start()
            answers = await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, wanted)]
            )
        ((code, _, _, _, entries),) = (each for answer in answers for each in answer.resources)
        if code != 0:
            raise client.for_code(code)
        found = {entry[0]: int(entry[1]) for entry in entries}
    except ANY as error:
        raise translate(error, "a topic's limits are asked for") from None
    finally:
        with contextlib.suppress(*ANY):
            await admin.close()
    age, size = found["retention.ms"], found["retention.bytes"]
    return TopicLimits(
        seconds=age / 1_000 if age >= 0 else None, bytes_of_a_partition=size if size >= 0 else None
    )


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """How a topic is now."""

    partitions: int
    without_leader: int
    min_insync: int


async def topics_as_they_are(
    settings: KafkaSettings, topics: Sequence[str]
) -> dict[str, TopicState]:
    """Return how those of some topics are that exist; changes nothing.

    Raises:
        TransientError: The brokers are away.
        FatalError: They refuse us (`kafka_error`).
    """
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        async with asyncio.timeout(settings.deadline_seconds):
            await admin.start()
            found = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
            asked = [
                ConfigResource(ConfigResourceType.TOPIC, name, {"min.insync.replicas": ""})
                for name in topics
                if name in found
            ]
            answers = await admin.describe_configs(asked) if asked else []
        insync = {
            name: int(entries[0][1])
            for answer in answers
            for _, _, _, name, entries in answer.resources
            if entries
        }
    except ANY as error:
        raise translate(error, "topics are looked at") from None
    finally:
        with contextlib.suppress(*ANY):
            await admin.close()
    return {
        name: TopicState(
            partitions=len(found[name]),
            without_leader=sum(part["leader"] < 0 for part in found[name]),
            min_insync=insync.get(name, 0),
        )
        for name in topics
        if name in found
    }


async def _topics_ready(settings: KafkaSettings, topics: Mapping[str, TopicSpec]) -> bool:
    admin = AIOKafkaAdminClient(**settings.client_options())
    try:
        await admin.start()
        found = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
        missing = [name for name in topics if name not in found]
        if missing:
            await _create(admin, {name: topics[name] for name in missing})
            return False
        for name, wanted in topics.items():
            _check_partitions(name, len(found[name]), wanted.partitions)
        for name, wanted in topics.items():
            if wanted.checks and not await _configured(admin, name, wanted):
                return False
        return all(part["leader"] >= 0 for name in topics for part in found[name])
    except ANY as error:
        fault = translate(error, "topics are made ready")
        if isinstance(fault, TransientError):
            return False
        raise fault from None
    finally:
        with contextlib.suppress(*ANY):
            await admin.close()


async def _configured(admin: Any, topic: str, spec: TopicSpec) -> bool:
    """Say whether a topic is configured as it must be; what may be mended is mended first."""
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)
    (answer,) = await admin.describe_configs([asked])
    ((code, _, _, _, entries),) = answer.resources
    if code != 0:
        raise client.for_code(code)
    changes = mended(topic, spec, {entry[0]: entry[1] or "" for entry in entries})
    if not changes:
        return True
    # This request replaces all of a topic's own settings: those that somebody made stay.
    own = {entry[0]: entry[1] for entry in entries if entry[3] == _OF_THE_TOPIC}
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, own | changes)
    (told,) = await admin.alter_configs([wanted])
    ((code, *_),) = told.resources
    if code != 0:
        raise FatalError(
            "kafka_topic_refused",
            f"the cluster refuses {', '.join(sorted(changes))} of topic {topic}"
            f" ({client.for_code(code).__name__}): check our permissions (ALTER_CONFIGS)",
        )
    _log.warning("topic_mended", topic=topic, code=", ".join(sorted(changes)))
    return False


async def _create(admin: Any, topics: Mapping[str, TopicSpec]) -> None:
    answer = await admin.create_topics(
        [
            NewTopic(
                name, spec.partitions, spec.replication_factor, topic_configs=dict(spec.configs)
            )
            for name, spec in topics.items()
        ]
    )
    for name, code, *_ in answer.topic_errors:
        error = client.for_code(code)
        # Another process may be creating it in this moment, or the metadata is not out yet.
        if error in {client.NoError, client.TopicAlreadyExistsError} or error.retriable:
            continue
        if error is client.InvalidReplicationFactorError:
            # Brokers of a cluster that is starting register one after the other.
            continue
        raise FatalError(
            "kafka_topic_refused",
            f"the cluster refuses to create topic {name} ({error.__name__}): check its settings",
        )


def _check_partitions(topic: str, found: int, wanted: int) -> None:
    if found not in {0, wanted}:
        raise FatalError(
            "kafka_partitions_differ",
            f"topic {topic} has {found} partitions and the instance {wanted}: the number is fixed"
            " at init; point the settings at the right cluster or prefix",
        )
