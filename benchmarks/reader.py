"""A consumer of the dossier, as a process of its own: notes when it first has each report.

`python -m benchmarks.reader` takes a `Reading` as JSON on standard input, says `reading`, and reads
on until SIGTERM; then up to the present end, and writes what it saw. Embedded: the outbox through
`StreamReader`, asked again after 10 ms when it was empty. Cluster: the Kafka topic, committed
events only.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import uvloop

from ops.bootstrap import kafka_settings, open_hub, reader_of
from ops.runtime.kafka_reading import PartitionReader
from ops.runtime.settings import Engine, Settings, load_settings
from routing.streams import StreamReader
from schemas.topics import Stream, topic_of

_POLL_SECONDS: Final = 0.01
_PAGE: Final = 1_000
_STATUS: Final = {"preliminary": "P", "final": "F", "corrected": "C", "cancelled": "X"}


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and where to write a map of key -> monotonic time of first sight."""

    settings: dict[str, Any]
    seen: str
    poll_seconds: float = _POLL_SECONDS
    """How long it rests after a look at the outbox that did not fill a page."""


class _Coding(msgspec.Struct):
    code: str = ""


class _Type(msgspec.Struct):
    coding: list[_Coding] = []


class _Identifier(msgspec.Struct):
    value: str = ""
    type: _Type = msgspec.field(default_factory=_Type)


class _Resource(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's name
    status: str = ""
    identifier: Any = None


class _Entry(msgspec.Struct):
    resource: _Resource


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


class _Event(msgspec.Struct):
    body: _Bundle | None = None


class _Source(Protocol):
    async def next(self) -> Sequence[_Bundle | None]:
        """Return the next events' bodies; none at the present end."""
        ...


class Outbox:
    """The dossier in the outbox, asked again and again."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._cursor: str | None = None
        self._decoder = msgspec.json.Decoder(_Bundle)

    async def next(self) -> Sequence[_Bundle | None]:
        """Return the next events' bodies; none at the present end."""
        page = await self._reader.read_page(Stream.DOSSIER, self._cursor, _PAGE)
        self._cursor = page.cursor
        return [
            None if each.body is None else self._decoder.decode(each.body) for each in page.events
        ]


class _Topic:
    def __init__(self, reader: PartitionReader, positions: dict[int, int]) -> None:
        self._reader = reader
        self._positions = positions
        self._decoder = msgspec.json.Decoder(_Event)

    async def next(self) -> Sequence[_Bundle | None]:
        records = await self._reader.read(self._positions, _PAGE, _POLL_SECONDS)
        for record in records:
            self._positions[record.partition] = record.offset + 1
        return [self._decoder.decode(record.value).body for record in records]


def keys_of(bundle: _Bundle) -> list[str]:
    """Return `filler order number status` of the reports in a dossier."""
    keys = []
    for entry in bundle.entry:
        resource = entry.resource
        if resource.resourceType != "DiagnosticReport":
            continue
        status = _STATUS.get(resource.status, "?")
        keys += [
            f"{each.value} {status}"
            for each in msgspec.convert(resource.identifier or [], list[_Identifier])
            if any(coding.code == "FILL" for coding in each.type.coding)
        ]
    return keys


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Source]:
    if settings.engine is Engine.EMBEDDED:
        async with open_hub(settings, "looking", connections=2) as hub:
            yield Outbox(reader_of(hub))
        return
    topic = topic_of(Stream.DOSSIER, settings.kafka_topic_prefix)
    reader = PartitionReader(kafka_settings(settings, "reader"), topic, read_committed=True)
    await reader.start()
    try:
        yield _Topic(reader, await reader.end_offsets())
    finally:
        await reader.close()


async def _read(reading: Reading) -> dict[str, float]:
    """Read until told to stop, and on to the present end; return when each key was first seen."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    seen: dict[str, float] = {}
    settings = load_settings(**reading.settings)
    # A topic waits for records itself.
    enough = _PAGE if settings.engine is Engine.EMBEDDED else 1
    async with _opened(settings) as source:
        # What earlier runs left is not ours to time.
        while await source.next():
            pass
        sys.stdout.write("reading\n")
        sys.stdout.flush()
        while True:
            is_last = stopping.is_set()
            bodies = await source.next()
            now = time.monotonic()
            for body in bodies:
                if body is not None:
                    for key in keys_of(body):
                        seen.setdefault(key, now)
            if is_last and not bodies:
                break
            if len(bodies) < enough and not is_last:
                await asyncio.sleep(reading.poll_seconds)
    return seen


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Reading)
    Path(asked.seen).write_bytes(msgspec.msgpack.encode(uvloop.run(_read(asked))))
