"""Events a second from the outbox into one broker, beside a bare producer of the same minute.

`python -m benchmarks.relay`. The outbox is real (PostgreSQL with fsync, sealed payloads), the
events are those of simulated laboratories, the broker is one of Apache Kafka on this machine. The
yardstick is aiokafka alone: the same keys, values and headers, ready in memory, idempotent and
`acks=all`, with neither database nor transactions. What the broker keeps a record is read from its
segments.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import click
import msgspec
import uvloop
from aiokafka import AIOKafkaProducer

from benchmarks.relay_events import events_of
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.runtime.clock import SystemClock
from ops.runtime.ids import new_message_id
from ops.runtime.kafka_client import KafkaSettings
from ops.runtime.kafka_publishing import TransactionalPublisher
from ops.runtime.kafka_topics import ensure_topics
from ops.runtime.lifecycle import settle_memory
from ops.runtime.migrate import migrate
from ops.runtime.postgres import Pool, connected, open_pool
from ops.runtime.topic import Compression, Tail, TopicSpec
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from routing.positions import Positions
from routing.relay import Event, Relay
from routing.streams import StreamReader
from schemas.topics import STREAMS, Stream
from tests.support.kafka import KafkaCluster
from tests.support.postgres import open_folder, scratch_server

FLOOR: Final = 10_000.0
_PARTITIONS: Final = 16
_DISTINCT: Final = 3_000
"""So many events are made; the rest are the same under other ids, further apart than any batch."""
_WRITTEN: Final = 1_000
_DEADLINE_SECONDS: Final = 30.0


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one stream under one compression."""

    stream: Stream
    compression: Compression
    events: int
    bytes_of_a_value: float
    rate: float
    cpu_us: float
    bare: float
    bare_cpu_us: float
    kept_bytes: float


class _Watched(TransactionalPublisher):
    """The publisher itself, which keeps what it was given and says when all are in."""

    def __init__(self, *args: Any, wanted: int, stopping: asyncio.Event, **named: Any) -> None:
        super().__init__(*args, **named)
        self.given: list[Sequence[Event]] = []
        self.began = self.cpu = self.seconds = self.cpu_seconds = 0.0
        self._left = wanted
        self._stopping = stopping

    async def read_tails(self, topic: str) -> dict[int, Tail]:
        found = await super().read_tails(topic)
        self.began, self.cpu = time.perf_counter(), time.process_time()
        return found

    async def publish(self, events: Sequence[Event]) -> dict[int, int]:
        told = await super().publish(events)
        self.given.append(events)
        self._left -= len(events)
        if self._left <= 0:
            self.seconds = time.perf_counter() - self.began
            self.cpu_seconds = time.process_time() - self.cpu
            self._stopping.set()
        return told


@click.command()
@click.option("--events", type=int, default=60_000, show_default=True, help="Of each stream.")
@click.option(
    "--compression",
    "compressions",
    type=click.Choice([each.value for each in Compression]),
    multiple=True,
    default=[each.value for each in Compression],
    show_default=True,
)
@click.option("--rounds", type=int, default=1, show_default=True)
def main(events: int, compressions: tuple[str, ...], rounds: int) -> None:
    """Measure each stream under each compression, print, and append to results/relay.csv."""
    wanted = [Compression(each) for each in compressions]
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=256)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(server.stop)
        server.start()
        kafka_folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ld-kafka-")))
        kafka = stack.enter_context(KafkaCluster(kafka_folder / "kafka", 1))
        found = uvloop.run(
            _measure(server.connect_kwargs(), kafka, folder, events, wanted * rounds)
        )
    _report(found)


async def _measure(
    connect: Mapping[str, Any],
    kafka: KafkaCluster,
    folder: Path,
    count: int,
    compressions: Sequence[Compression],
) -> list[Measured]:
    await migrate(connect)
    async with connected(connect, "looking") as connection:
        await connection.execute(
            "SELECT instance_init($1, 'test', 'cluster', $2)", uuid4(), _PARTITIONS
        )
    pool = await open_pool(connect, "relay", max_size=2)
    vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())
    found = []
    try:
        for stream in STREAMS:
            await _fill(pool, vault, stream, count)
            held = _Outbox(StreamReader(pool, vault), pool, stream, count)
            found += [await _one(held, kafka, each) for each in compressions]
    finally:
        await pool.close()
    return found


async def _fill(pool: Pool, vault: Vault, stream: Stream, count: int) -> None:
    distinct = events_of(stream, _DISTINCT, _PARTITIONS)

    def seal(body: bytes, associated: bytes) -> bytes:
        return vault.seal(SealClass.STREAM, body, associated)

    for start in range(0, count, _WRITTEN):
        some = [_again(distinct[n % _DISTINCT]) for n in range(start, min(count, start + _WRITTEN))]
        async with pool.acquire() as connection, connection.transaction():
            await outbox.write(connection, some, seal, datetime.now(UTC))


def _again(event: PendingEvent) -> PendingEvent:
    report_id = new_message_id()
    return msgspec.structs.replace(
        event,
        report_id=report_id,
        event_id=event_id_of(event.stream, report_id, 1, event.part),
        message_id=new_message_id(),
    )


class _Outbox(NamedTuple):
    reader: StreamReader
    pool: Pool
    stream: Stream
    events: int


async def _one(held: _Outbox, kafka: KafkaCluster, compression: Compression) -> Measured:
    reader, pool, stream, count = held
    settings = KafkaSettings(
        bootstrap=kafka.bootstrap, client_id="benchmark", deadline_seconds=_DEADLINE_SECONDS
    )
    ours, bare = f"relay.{uuid4().hex[:8]}", f"bare.{uuid4().hex[:8]}"
    spec = TopicSpec(
        partitions=_PARTITIONS,
        replication_factor=1,
        configs={"max.message.bytes": str(10 * 1024 * 1024)},
    )
    await ensure_topics(settings, {ours: spec, bare: spec}, 60)
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM relay_position")
    stopping = asyncio.Event()
    publisher = _Watched(settings, ours, compression=compression, wanted=count, stopping=stopping)
    settle_memory()  # as a station does
    relay = Relay(
        reader, Positions(pool), publisher, stream=stream, topic=ours, partitions=_PARTITIONS
    )
    await relay.run(stopping)
    if sum(map(len, publisher.given)) != count:
        raise BenchmarkFailed("another number of events than the outbox holds")
    seconds, cpu = await _bare(settings, bare, publisher.given, compression)
    size = sum(
        path.stat().st_size
        for path in (kafka.base_dir / "broker-1" / "data").glob(f"{ours}-*/*.log")
    )
    values = sum(len(value) for batch in publisher.given for _, _, _, value, _ in batch)
    return Measured(
        stream=stream,
        compression=compression,
        events=count,
        bytes_of_a_value=values / count,
        rate=count / publisher.seconds,
        cpu_us=publisher.cpu_seconds / count * 1e6,
        bare=count / seconds,
        bare_cpu_us=cpu / count * 1e6,
        kept_bytes=size / count,
    )


async def _bare(
    settings: KafkaSettings, topic: str, batches: Sequence[Sequence[Event]], how: Compression
) -> tuple[float, float]:
    producer: Any = AIOKafkaProducer(
        acks="all",
        enable_idempotence=True,
        compression_type=None if how is Compression.NONE else how.value,
        max_batch_size=10 * 1024 * 1024,
        max_request_size=11 * 1024 * 1024,
        **settings.client_options(),
    )
    await producer.start()
    try:
        began, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            lanes: dict[int, Any] = {}
            for _, partition, key, value, headers in batch:
                lane = lanes.get(partition)
                if lane is None:
                    lane = lanes[partition] = producer.create_batch()
                lane.append(timestamp=None, key=key, value=value, headers=list(headers))
            sent = [
                await producer.send_batch(lane, topic, partition=partition)
                for partition, lane in lanes.items()
            ]
            await asyncio.gather(*sent)
        return time.perf_counter() - began, time.process_time() - cpu
    finally:
        await producer.stop()


def _report(found: Sequence[Measured]) -> None:
    show(
        "Outbox to Kafka, one broker",
        ("stream", "compression", "events/s", "CPU us", "bare/s", "CPU us", "ratio", "kept bytes"),
        [
            (
                each.stream.value,
                each.compression.value,
                f"{each.rate:,.0f}",
                f"{each.cpu_us:.1f}",
                f"{each.bare:,.0f}",
                f"{each.bare_cpu_us:.1f}",
                f"{each.rate / each.bare:.2f}",
                f"{each.kept_bytes:,.0f} of {each.bytes_of_a_value:,.0f}",
            )
            for each in found
        ],
    )
    for each in found:
        if each.compression is Compression.ZSTD:
            say_floor(f"relay of {each.stream.value}", each.rate, FLOOR, "events/s")
    rows = [
        Row(
            engine="cluster",
            parameters={
                "stream": each.stream.value,
                "compression": each.compression.value,
                "events": each.events,
                "partitions": _PARTITIONS,
                "value_bytes": round(each.bytes_of_a_value),
                "kept_bytes": round(each.kept_bytes),
                "cpu_us": round(each.cpu_us, 1),
                "bare_cpu_us": round(each.bare_cpu_us, 1),
                "load": load_average(),
            },
            figure=each.rate,
            unit="events/s",
            yardstick=each.bare,
            ratio=each.rate / each.bare,
        )
        for each in found
    ]
    append("relay", rows, ["aiokafka", "asyncpg", "cramjam"])


if __name__ == "__main__":
    main()
