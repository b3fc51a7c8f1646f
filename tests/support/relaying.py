"""The relay's own station beside an outbox that a test fills: no door, no dispatch.

What is compared is what counts: each event of the outbox once in its topic, in order.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from ops.runtime.clock import SystemClock
from ops.runtime.postgres import Pool, open_pool
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from routing import outbox
from routing.emitted import PendingEvent, event_id_of
from schemas.decision import Realm
from schemas.events import EventKind
from schemas.topics import STREAMS, Stream
from tests.support.cluster import MIGRATE, STATIONS, read_unit
from tests.support.kafka import free_ports

PATIENCE_SECONDS = 120.0
Place = tuple[int, int, str]
"""Partition, seq, event id."""


class Relaying:
    """An instance of the cluster engine of which only the relay runs.

    Args:
        connect: How to reach its database, which has the schema already.
        bootstrap: Of the brokers.
        prefix: Of the topics.
        folder: For keys and logs.
        copies: Of each topic.
    """

    def __init__(
        self,
        connect: Mapping[str, Any],
        bootstrap: str,
        prefix: str,
        folder: Path,
        *,
        partitions: int = 3,
        copies: int = 1,
    ) -> None:
        self._connect = dict(connect)
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.partitions = partitions
        self.folder = self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._random = random.Random(20261127)
        user, password, name = (connect[each] for each in ("user", "password", "database"))
        (self.http_port,) = free_ports(1)
        self.env = {
            "LABDISPATCH_HTTP_PORT": str(self.http_port),
            "LABDISPATCH_ENGINE": "cluster",
            "LABDISPATCH_DATA_DIR": str(folder),
            "LABDISPATCH_POSTGRES_DSN": f"postgresql://{user}:{password}@/{name}"
            f"?host={connect['host']}&port={connect['port']}",
            "LABDISPATCH_REQUIRE_STANDBY": "false",
            "LABDISPATCH_KAFKA_BOOTSTRAP": bootstrap,
            "LABDISPATCH_KAFKA_TOPIC_PREFIX": prefix,
            "LABDISPATCH_REPLICATION_FACTOR": str(copies),
            "LABDISPATCH_MIN_INSYNC_REPLICAS": str(min(2, copies)),
            "LABDISPATCH_PARTITIONS": str(partitions),
            "LABDISPATCH_RELAY_BATCH_EVENTS": "40",
            "LABDISPATCH_METRICS_PORT": "0",
        }
        self._pool: Pool | None = None
        self._vault = Vault(FolderKeyStore(folder / "keys"), SystemClock())

    # ------------------------------------------------------------------ the station

    async def make(self) -> None:
        """Make the instance in its database, as an operator does."""
        command, environment = read_unit(MIGRATE)
        done = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment, **self.env}
        )
        assert await done.wait() == 0
        self._pool = await open_pool(self._connect, "dispatch", max_size=2)

    def start(self, role: str = "relay", **extra: str) -> subprocess.Popen[bytes]:
        """Start a relay; several may run, of which the last one started is the one. Or the API."""
        command, environment = read_unit(STATIONS[role])
        with (self._folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment, **self.env, **extra},
                stdout=log,
                stderr=log,
            )
        self._running.append(process)
        return process

    async def ended(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a relay; return its exit code (negative: the signal)."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while process.poll() is None:
                await asyncio.sleep(0.02)
        code = process.returncode
        assert code is not None
        return code

    async def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a relay in order."""
        process.terminate()
        assert await self.ended(process) == 0, self.log

    async def close(self) -> None:
        """End what still runs."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._pool is not None:
            await self._pool.close()

    @property
    def begun(self) -> int:
        """How often a relay of a stream has found out where it stands, and begun to publish."""
        log = self._folder / "relay.log"
        return log.read_text(errors="replace").count("relay_started") if log.exists() else 0

    @property
    def log(self) -> str:
        """The end of what the relays said."""
        return (self._folder / "relay.log").read_text(errors="replace")[-3_000:]

    # ------------------------------------------------------------------ the outbox

    async def fill(self, count: int) -> None:
        """Commit events, of all streams and partitions, one transaction after the other."""
        left = count
        while left:
            some = min(left, self._random.randint(1, 30))
            left -= some
            async with self.pool.acquire() as connection, connection.transaction():
                await outbox.write(
                    connection, [self._event() for _ in range(some)], self._seal, datetime.now(UTC)
                )

    def _event(self) -> PendingEvent:
        stream, report_id = self._random.choice(STREAMS), uuid4()
        return PendingEvent(
            stream=stream,
            partition=self._random.randrange(self.partitions),
            event_id=event_id_of(stream, report_id, 1),
            report_id=report_id,
            event_version=1,
            kind=EventKind.PUBLISHED,
            reason="new",
            realm=Realm.TEST,
            rule="r",
            rule_version="1",
            person_version=1,
            message_id=uuid4(),
            body=b'{"n":"%s"}' % (b"x" * self._random.randint(1, 2_000)),
        )

    def _seal(self, body: bytes, associated: bytes) -> bytes:
        return self._vault.seal(SealClass.STREAM, body, associated)

    @property
    def pool(self) -> Pool:
        """Connections to its database."""
        assert self._pool is not None, "make() comes first"
        return self._pool

    async def outbox(self, stream: Stream) -> list[Place]:
        """Return what the outbox holds of a stream, in order."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch(
                "SELECT partition, seq, event_id FROM stream_event WHERE stream = $1"
                " ORDER BY partition, seq",
                stream.value,
            )
        return [(row["partition"], row["seq"], str(row["event_id"])) for row in rows]

    # ------------------------------------------------------------------ the topic

    async def topic(self, stream: Stream) -> list[Place]:
        """Return what a reader of committed records finds, in the order of each partition."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",
        )
        await consumer.start()
        try:
            places = [TopicPartition(f"{self.prefix}{stream}", p) for p in range(self.partitions)]
            ends = await consumer.end_offsets(places)
            begins = await consumer.beginning_offsets(places)
            consumer.assign(places)
            for place in places:
                consumer.seek(place, begins[place])
            found: list[Place] = []
            # A position passes marks and aborted records, of which no record tells.
            while any([await consumer.position(place) < ends[place] for place in places]):
                batches = await consumer.getmany(*places, timeout_ms=100)
                for record in (each for batch in batches.values() for each in batch):
                    event = json.loads(record.value)
                    assert (event["partition"], event["stream"]) == (record.partition, stream)
                    assert dict(record.headers)["seq"] == str(event["seq"]).encode()
                    found.append((record.partition, event["seq"], event["event_id"]))
            return sorted(found, key=lambda place: place[0])
        finally:
            await consumer.stop()

    async def caught_up(self, streams: Sequence[Stream] = STREAMS) -> None:
        """Wait until every event of the outbox is in its topic: once, and in order.

        Raises:
            AssertionError: One is there twice, at another place, or not in time.
        """
        for stream in streams:
            wanted = await self.outbox(stream)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(found := await self.topic(stream)) < len(wanted):
                    await asyncio.sleep(0.1)
            assert found == wanted, f"{stream}\n{self.log}"
