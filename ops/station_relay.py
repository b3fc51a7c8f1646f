"""The process that carries the outbox to Kafka; on the embedded engine it has nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from ops.bootstrap import Hub, kafka_settings
from ops.opened import OPEN_TRIES_SECONDS, opened
from ops.pausing.standing import PausedStreams
from ops.relays import relays_of
from ops.runtime.lifecycle import until_first
from ops.runtime.logs import get_logger
from ops.runtime.settings import Settings
from ops.runtime.topic import Check, TopicSpec
from ops.supervise import say_ready
from routing.relay import Relay
from schemas.topics import NOMINATIVE_STREAMS, STREAMS, Stream, topic_of

_log = get_logger(__name__)


async def relay(settings: Settings, stopping: asyncio.Event) -> None:
    """Publish each event once until told to stop."""
    async with opened("relay", settings, stopping) as hub:
        if hub is None:
            return
        paused = PausedStreams(hub.pool)
        await paused.read()
        relays = relays_of(hub, paused)
        if relays:
            await _make_topics(hub)
        say_ready(settings, "relay")
        if not relays:
            # The embedded engine's streams are read from the outbox itself.
            _log.info("relay_idle", engine=hub.instance.engine)
            await stopping.wait()
            return
        await until_first(
            _all_of(relays, stopping), paused.keep(hub.settings.pause_refresh_seconds)
        )


async def _all_of(relays: Sequence[Relay], stopping: asyncio.Event) -> None:
    await asyncio.gather(*(relay.run(stopping) for relay in relays))


async def _make_topics(hub: Hub) -> None:
    from ops.runtime.kafka_topics import ensure_topics  # noqa: PLC0415

    topics = stream_topics(hub.settings, hub.instance.partitions)
    await ensure_topics(kafka_settings(hub.settings, "relay"), topics, OPEN_TRIES_SECONDS)


def stream_topics(settings: Settings, partitions: int) -> dict[str, TopicSpec]:
    """Return what the topics of the streams must be."""
    return {
        topic_of(stream, settings.kafka_topic_prefix): TopicSpec(
            partitions=partitions,
            replication_factor=settings.replication_factor,
            configs=_configs(settings, stream),
            checks=_NAMES_CHECKS if stream in NOMINATIVE_STREAMS else _CHECKS,
        )
        for stream in STREAMS
    }


def _configs(settings: Settings, stream: Stream) -> dict[str, str]:
    has_names = stream in NOMINATIVE_STREAMS
    seconds = settings.topic_names_seconds if has_names else settings.topic_public_health_seconds
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(10 * 1024 * 1024),
        "min.insync.replicas": str(settings.min_insync_replicas),
        "retention.ms": str(seconds * 1000),
        # An event is deleted with its segment: it outlives its retention by as long as that grew.
        "segment.ms": str(max(_SHORTEST_SEGMENT_SECONDS, seconds // 7) * 1000),
        "unclean.leader.election.enable": "false",
    }


_SHORTEST_SEGMENT_SECONDS: Final = 3_600
_CHECKS: Final[Mapping[str, Check]] = {
    "cleanup.policy": Check.SAME,
    "max.message.bytes": Check.AT_LEAST,
    "min.insync.replicas": Check.AT_LEAST,
    "retention.ms": Check.AT_LEAST,
    "unclean.leader.election.enable": Check.SET,
}
_NAMES_CHECKS: Final[Mapping[str, Check]] = {
    **_CHECKS,
    "retention.ms": Check.NOT_LONGER,
    "segment.ms": Check.AT_MOST,
}
