"""The process that carries the outbox to Kafka; on the embedded engine it has nothing to do."""

from __future__ import annotations

import asyncio

from ops.behind_the_door import relays_of
from ops.bootstrap import Hub, kafka_settings
from ops.opened import OPEN_TRIES_SECONDS, opened
from ops.runtime.kafka import TopicSpec, ensure_topics
from ops.runtime.logs import get_logger
from ops.runtime.settings import Settings
from ops.supervise import say_ready
from schemas.topics import STREAMS, topic_of

_log = get_logger(__name__)


async def relay(settings: Settings, stopping: asyncio.Event) -> None:
    """Publish each event once until told to stop."""
    async with opened("relay", settings, stopping) as hub:
        if hub is None:
            return
        relays = relays_of(hub)
        if relays:
            await _make_topics(hub)
        say_ready(settings, "relay")
        if not relays:
            # The embedded engine's streams are read from the outbox itself.
            _log.info("relay_idle", engine=hub.instance.engine)
            await stopping.wait()
            return
        await asyncio.gather(*(relay.run(stopping) for relay in relays))


async def _make_topics(hub: Hub) -> None:
    settings = hub.settings
    configs = {
        "min.insync.replicas": str(settings.min_insync_replicas),
        "cleanup.policy": "delete",
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(10 * 1024 * 1024),
    }
    spec = TopicSpec(
        partitions=hub.instance.partitions,
        replication_factor=settings.replication_factor,
        configs=configs,
    )
    topics = {topic_of(stream, settings.kafka_topic_prefix): spec for stream in STREAMS}
    await ensure_topics(kafka_settings(settings, "relay"), topics, OPEN_TRIES_SECONDS)
