"""A hub on a scratch database, driven without sockets: records in, streams and account out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from ingest.accept import inbox_key
from ops.account import Account, take_account
from ops.behind_the_door import dispatcher_of
from ops.bootstrap import Hub, reader_of
from ops.dispatch import Dispatcher
from ops.runtime.clock import SystemClock
from ops.runtime.ids import new_message_id
from ops.runtime.intake_postgres import PostgresIntakeLog
from ops.runtime.migrate import Instance
from ops.runtime.postgres import open_pool
from ops.runtime.settings import load_settings
from ops.runtime.vault import FolderKeyStore, SealClass, Vault
from schemas.envelope import (
    MAPPING_VERSION,
    AcceptedMessage,
    IntakeRecord,
    RecordKind,
    ReplayInstruction,
    control_key_of,
)
from schemas.finding import Finding
from schemas.report import MappedMessage
from schemas.topics import STREAMS, Stream
from tests.support.postgres import Database

PARTITIONS = 4


@asynccontextmanager
async def scratch_hub(
    database: Database,
    tmp_path: Path,
    *,
    connections: int = 10,
    engine: str = "embedded",
    partitions: int = PARTITIONS,
) -> AsyncIterator[Hub]:
    """Open a hub on a database that holds the schema; a laboratory for each partition."""
    pool = await open_pool(database.connect_kwargs, "dispatch", max_size=connections)
    clock = SystemClock()
    instance_id = uuid4()
    async with pool.acquire() as connection:
        await connection.fetchval(
            "SELECT instance_init($1, 'test', $2, $3)", instance_id, engine, partitions
        )
        for number in range(1, partitions + 1):
            await connection.execute("INSERT INTO lab (registry_id) VALUES ($1)", f"LAB{number}")
    try:
        yield Hub(
            settings=load_settings(data_dir=tmp_path),
            instance=Instance(
                instance_id=instance_id, realm="test", engine=engine, partitions=partitions
            ),
            pool=pool,
            log=PostgresIntakeLog(pool),
            vault=Vault(FolderKeyStore(tmp_path / "keys"), clock),
            clock=clock,
        )
    finally:
        await pool.close()


class Road:
    """Puts messages into the log of a hub and lets dispatch handle them."""

    def __init__(self, hub: Hub, dispatcher: Dispatcher | None = None) -> None:
        self.hub = hub
        self.dispatcher = dispatcher or dispatcher_of(hub)

    async def put(
        self,
        *messages: MappedMessage | Finding,
        partition: int = 0,
        raws: Sequence[bytes] = (),
    ) -> list[int]:
        """Append messages as the door would; return their offsets."""
        records = [
            self.record(each, partition=partition, raw=raws[n] if raws else None)
            for n, each in enumerate(messages)
        ]
        return await self.hub.log.append(records)

    def record(
        self, content: MappedMessage | Finding, *, partition: int = 0, raw: bytes | None = None
    ) -> IntakeRecord:
        """Make the record of a message; without `raw` no other has the same bytes."""
        bytes_ = uuid4().bytes if raw is None else raw
        control_id = content.control_id if isinstance(content, MappedMessage) else "C-1"
        held = AcceptedMessage(
            raw=bytes_,
            control_id=control_id,
            mapping_version=MAPPING_VERSION,
            profile_version=1,
            answer="AA",
            mapped=content if isinstance(content, MappedMessage) else None,
            unmappable=content if isinstance(content, Finding) else None,
        )
        message_id = new_message_id()
        return IntakeRecord(
            partition=partition,
            message_id=message_id,
            lab_id=partition + 1,
            kind=RecordKind.MESSAGE,
            received_at=self.hub.clock.now(),
            inbox_key=inbox_key(b"k" * 32, partition + 1, control_id, bytes_),
            control_key=control_key_of(control_id),
            payload=self.hub.vault.seal(SealClass.INTAKE, held.to_bytes(), message_id.bytes),
        )

    async def put_replay(self, offset: int, *, partition: int = 0) -> int:
        """Append a replay of a record."""
        message_id = new_message_id()
        instruction = ReplayInstruction(
            partition=partition, offset=offset, reason="test", actor="tester"
        )
        record = IntakeRecord(
            partition=partition,
            message_id=message_id,
            lab_id=partition + 1,
            kind=RecordKind.REPLAY,
            received_at=self.hub.clock.now(),
            inbox_key=message_id,
            control_key=0,
            payload=self.hub.vault.seal(
                SealClass.INTAKE, msgspec.msgpack.encode(instruction), message_id.bytes
            ),
        )
        (at,) = await self.hub.log.append([record])
        return at

    async def positions(self) -> dict[int, int]:
        """Where progress stands."""
        rows = await self.rows("SELECT partition, next_offset FROM intake_progress")
        return {row["partition"]: row["next_offset"] for row in rows}

    async def dispatch(self, limit: int = 100) -> int:
        """Handle all there is, in batches; return how many records that were."""
        handled = 0
        while True:
            positions = await self.positions()
            batch = await self.hub.log.read(positions, limit)
            if not batch.records:
                return handled
            await self.dispatcher.handle(positions, batch.records, batch.next_offsets)
            handled += len(batch.records)

    async def rows(self, query: str, *args: object) -> list[Any]:
        """Ask the database."""
        async with self.hub.pool.acquire() as connection:
            return await connection.fetch(query, *args)

    async def endings(self) -> list[tuple[str, str]]:
        """Ending and reason of every record, by partition and offset."""
        rows = await self.rows('SELECT ending, reason FROM outcome ORDER BY partition, "offset"')
        return [(row["ending"], row["reason"]) for row in rows]

    async def events(self, stream: Stream) -> list[dict[str, Any]]:
        """The whole of a stream, as a consumer reads it."""
        reader = reader_of(self.hub)
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while (page := await reader.read_page(stream, cursor, 100)).events:
            found += [msgspec.to_builtins(_opened(event)) for event in page.events]
            cursor = page.cursor
        return found

    async def kinds(self) -> dict[str, list[str]]:
        """Kind of every event, by stream."""
        return {
            stream.value: [event["kind"] for event in await self.events(stream)]
            for stream in STREAMS
        }

    async def account(self) -> Account:
        """The account of the hub."""
        return await take_account(self.hub.pool, self.hub.log, self.hub.instance.engine)


def _opened(event: Any) -> Mapping[str, Any]:
    fields = msgspec.structs.asdict(event)
    body = fields["body"]
    return {**fields, "body": None if body is None else msgspec.json.decode(body)}


def persons_of(rows: Sequence[Mapping[str, Any]]) -> set[int | UUID]:
    """The persons of some outcome rows."""
    return {row["person_id"] for row in rows}
