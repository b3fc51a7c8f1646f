"""A laboratory that writes to an inbound topic, and the register that knows its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ingest.header import Header, read_header
from ingest.inbound_proof import LABORATORY, SIGNATURE, sign
from ops.runtime.kafka_appending import AppendProducer
from ops.runtime.kafka_client import KafkaSettings
from ops.runtime.kafka_reading import PartitionReader, RawRecord


def registry_id_of(raw: bytes) -> str:
    """The registry id of a message's sending facility."""
    header = read_header(raw)
    assert isinstance(header, Header)
    return header.registry_id


def headers_of(laboratory: str, signature: str) -> list[tuple[str, bytes]]:
    """The two headers of a record."""
    return [(LABORATORY, laboratory.encode()), (SIGNATURE, signature.encode())]


class Writer:
    """Writes signed records; leave the block to let go of the connections.

    Args:
        bootstrap: Where the brokers are.
        topic: Written to, and signed.
        keys: Registry id -> signing key.
    """

    def __init__(self, bootstrap: str, topic: str, keys: dict[str, bytes]) -> None:
        self.settings = KafkaSettings(
            bootstrap=bootstrap, client_id="laboratory", deadline_seconds=20
        )
        self.topic = topic
        self.keys = keys
        self._producer = AppendProducer(self.settings)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.close()

    async def write(
        self,
        *raws: bytes,
        partition: int = 0,
        laboratory: str | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> list[int]:
        """Write messages in order, each of its own laboratory unless told otherwise."""
        records: list[Any] = []
        for raw in raws:
            name = laboratory or registry_id_of(raw)
            made = headers
            if made is None:
                signature = sign(self.keys[name], self.topic, name.encode(), raw)
                made = headers_of(name, signature)
            records.append((name.encode(), raw, list(made)))
        return await self._producer.append_batch(self.topic, partition, records)


async def read_all(settings: KafkaSettings, topic: str, count: int) -> list[RawRecord]:
    """Read a topic from its begin until there are so many records."""
    reader = PartitionReader(settings, topic)
    await reader.start()
    try:
        positions = await reader.begin_offsets()
        found: list[RawRecord] = []
        while len(found) < count:
            for record in await reader.read(positions, 1_000, 1.0):
                positions[record.partition] = record.offset + 1
                found.append(record)
        return found
    finally:
        await reader.close()
