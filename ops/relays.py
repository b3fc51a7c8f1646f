"""The relays of a hub: one a stream, on the cluster alone.

Apart from what dispatch is made of, of which a relay needs nothing; and the client of the brokers
is loaded where there are brokers: each is a tenth of a process's start.
"""

from __future__ import annotations

from collections.abc import Container

from ops.bootstrap import Hub, kafka_settings, reader_of
from routing.positions import Positions
from routing.relay import Relay
from schemas.topics import STREAMS, Stream, topic_of


def relays_of(hub: Hub, paused: Container[Stream] = ()) -> list[Relay]:
    """Return one relay a stream; none on the embedded engine.

    Args:
        hub: The instance.
        paused: Which streams wait, at any moment.
    """
    if not hub.is_cluster:
        return []
    return [_relay(hub, stream, paused) for stream in STREAMS]


def _relay(hub: Hub, stream: Stream, paused: Container[Stream]) -> Relay:
    from ops.runtime.kafka_publishing import TransactionalPublisher  # noqa: PLC0415

    settings = hub.settings
    prefix = settings.kafka_topic_prefix
    publisher = TransactionalPublisher(
        kafka_settings(settings, f"relay-{stream.value}"),
        f"{prefix}relay-{stream.value}",
        compression=settings.relay_compression,
    )
    return Relay(
        reader_of(hub),
        Positions(hub.pool),
        publisher,
        stream=stream,
        topic=topic_of(stream, prefix),
        partitions=hub.instance.partitions,
        max_events=settings.relay_batch_events,
        max_bytes=settings.relay_batch_bytes,
        poll_seconds=settings.relay_poll_seconds,
        note_seconds=settings.relay_note_seconds,
        is_paused=lambda: stream in paused,
    )
