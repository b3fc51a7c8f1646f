"""`labdispatch streams reconcile`: reads the topics, and prints what is done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub, kafka_settings
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.register.labs import check_audit
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.vault import SealClass
from schemas.errors import PermanentError
from schemas.events import EventHeader
from schemas.topics import STREAMS, Stream, topic_of

from .reconciler import Ahead, Reconciler, Told

_AT_ONCE: Final = 1_000


async def reconcile_streams(
    data_dir: Path, names: Sequence[str], asker: Asker, *, dry_run: bool, as_json: bool
) -> int:
    """Make streams and outbox agree, and print what was done.

    Raises:
        PermanentError: No stream or no word why.
        TransientError: The database or the brokers are away: give it again, it goes on.
    """
    if not names:
        raise PermanentError("stream_missing", "name a stream with --stream, or say --all")
    check_audit(actor=asker.actor, reason=asker.reason)
    if not asker.reason:
        raise PermanentError("why_missing", "say why with --reason: it stands in the audit trail")
    async with instance_at(data_dir) as hub:
        reconciler = reconciler_of(hub)
        told = []
        for stream in (Stream(name) for name in names):
            ahead = await _read_topic(hub, reconciler, stream)
            if dry_run:
                told.append(await reconciler.look(stream, ahead))
            else:
                told.append(await reconciler.reconcile(stream, ahead, asker))
    if as_json:
        print_json(told)
    else:
        sys.stdout.write(as_text(told, dry_run=dry_run))
    return 0


def reconciler_of(hub: Hub) -> Reconciler:
    """Return what reconciles the streams of an instance."""
    names = partial(hub.vault.seal, SealClass.STREAM)
    public = partial(hub.vault.seal, SealClass.PUBLIC_HEALTH)
    seals = {each: public if each is Stream.PUBLIC_HEALTH else names for each in STREAMS}
    return Reconciler(hub.pool, hub.vault, seals, hub.realm, hub.clock.now())


async def _read_topic(hub: Hub, reconciler: Reconciler, stream: Stream) -> Ahead:
    """Return what the topic bears that the outbox does not have; nothing where there is none."""
    ahead = Ahead()
    if not hub.is_cluster:
        return ahead
    topic = topic_of(stream, hub.settings.kafka_topic_prefix)
    reader = PartitionReader(kafka_settings(hub.settings, "reconcile"), topic, read_committed=True)
    await reader.start()
    try:
        for partition, tail in (await reader.tails()).items():
            position = tail.begin
            while position <= tail.offset:
                records = await reader.read({partition: position}, _AT_ONCE, 1.0)
                if not records:
                    continue
                position = records[-1].offset + 1
                await reconciler.compare(stream, [_event(r.value) for r in records], ahead)
    finally:
        await reader.close()
    return ahead


def _event(value: bytes) -> EventHeader:
    try:
        return msgspec.json.decode(value, type=EventHeader)
    except msgspec.MsgspecError:
        raise PermanentError(
            "topic_of_another", "a record of the topic is no event: take the writer's right away"
        ) from None


def as_text(told: Sequence[Told], *, dry_run: bool) -> str:
    """Return what was done for a terminal."""
    head = ["stream", "held", "told again", "key gone", "only in topic", "withdrawn"]
    rows = [[t.stream, t.held, t.told, t.expired, t.unknown, t.withdrawn] for t in told]
    after = (
        "nothing was changed\n"
        if dry_run
        else "start the relay; readers get 410 and take the state in again (state=latest)\n"
    )
    return table_of(head, rows) + after
