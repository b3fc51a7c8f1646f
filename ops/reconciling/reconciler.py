"""Begins a new history of a stream, and tells in it all that the database holds.

Consumers go by one rule: of a part of a report the highest version wins. So versions go on above
all that anybody can hold of what was lost, numbers go on behind it, everything held is told again,
and what only the topic knows is withdrawn. Every step may be cut short and done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.register.labs import audit
from ops.runtime.postgres import Connection, Pool, lent, translated
from routing.case import HIDDEN
from routing.emitted import PendingEvent, event_id_of
from routing.outbox import Seal, write
from routing.outbox_reader import Opener
from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.events import EventHeader, EventKind
from schemas.topics import Stream

from . import queries

JUMP: Final = 1_000_000
"""Numbers left out: more than any reader can be ahead by."""
VERSIONS_LEFT_OUT: Final = 1_000
_PAGE: Final = 500
_FIRST: Final = (UUID(int=0), "")

Part = tuple[UUID, str]


class Ahead(msgspec.Struct, kw_only=True):
    """What the topic bears."""

    last: dict[int, EventHeader] = msgspec.field(default_factory=dict)
    """By partition; absent where it is empty."""
    unknown: dict[Part, EventHeader] = msgspec.field(default_factory=dict)
    """The newest of each part whose events the outbox does not have."""


class Told(msgspec.Struct, kw_only=True):
    """What was done, or would be."""

    stream: str
    held: int = 0
    told: int = 0
    expired: int = 0
    """Their keys are gone: past retention, they are told no more."""
    unknown: int = 0
    withdrawn: int = 0


class Reconciler:
    """Reconciles streams.

    Args:
        pool: Connections.
        opener: Opens payloads.
        seals: What seals a stream's payloads.
        realm: Of the instance.
        now: The moment, for what is written.
    """

    def __init__(
        self,
        pool: Pool,
        opener: Opener,
        seals: Mapping[Stream, Seal],
        realm: Realm,
        now: datetime,
    ) -> None:
        self._pool = pool
        self._opener = opener
        self._seals = seals
        self._realm = realm
        self._now = now

    async def look(self, stream: Stream, ahead: Ahead) -> Told:
        """Return what would be done; changes nothing."""
        async with lent(self._pool) as connection:
            held = await connection.fetchval(queries.COUNT, stream.value)
        return Told(stream=stream.value, held=held, unknown=len(ahead.unknown))

    async def compare(self, stream: Stream, events: Sequence[EventHeader], ahead: Ahead) -> None:
        """Add to `ahead` which of the topic's events the outbox does not have."""
        async with lent(self._pool) as connection:
            rows = await connection.fetch(
                queries.KNOWN,
                stream.value,
                [each.partition for each in events],
                [each.seq for each in events],
                [each.event_id for each in events],
            )
        known = {row["number"] for row in rows}
        for number, event in enumerate(events, start=1):
            ahead.last[event.partition] = event
            part = (event.report_id, event.part)
            if number not in known:
                ahead.unknown[part] = event

    async def reconcile(self, stream: Stream, ahead: Ahead, asker: Asker) -> Told:
        """Do it, or the rest of it.

        Raises:
            TransientError: The database is away: give the command again.
        """
        told = Told(stream=stream.value, unknown=len(ahead.unknown))
        if not await self._begun(stream):
            await self._raise_versions(stream, ahead)
            await self._begin(stream, ahead, asker)
        await self._tell(stream, told)
        await self._withdraw(stream, ahead, told)
        with translated():
            async with self._pool.acquire() as connection:
                await connection.execute(queries.END, stream.value)
        return told

    async def _begun(self, stream: Stream) -> bool:
        """Say whether a history was begun and not ended."""
        async with lent(self._pool) as connection:
            return bool(await connection.fetchval(queries.UNTOLD, stream.value))

    async def _raise_versions(self, stream: Stream, ahead: Ahead) -> None:
        after = _FIRST
        while True:
            async with lent(self._pool) as connection:
                rows = await connection.fetch(
                    queries.RAISE, stream.value, *after, _PAGE, VERSIONS_LEFT_OUT
                )
            if not rows:
                break
            after = rows[-1]["report_id"], rows[-1]["part"]
        for page in _pages(ahead.unknown.items()):
            async with lent(self._pool) as connection:
                await connection.fetch(
                    queries.RAISE_TO,
                    stream.value,
                    [part[0] for part, _ in page],
                    [part[1] for part, _ in page],
                    [event.event_version for _, event in page],
                )

    async def _begin(self, stream: Stream, ahead: Ahead, asker: Asker) -> None:
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                heads = await connection.fetch(queries.HEADS, stream.value)
                lasts = [ahead.last.get(row["partition"]) for row in heads]
                begins = [
                    max(row["last_seq"], 0 if last is None else last.seq) + JUMP + 1
                    for row, last in zip(heads, lasts, strict=True)
                ]
                await connection.execute(
                    queries.BEGIN,
                    stream.value,
                    [row["partition"] for row in heads],
                    begins,
                    [at - 1 - row["last_seq"] for at, row in zip(begins, heads, strict=True)],
                    [None if last is None else last.seq for last in lasts],
                    [None if last is None else last.event_id for last in lasts],
                    self._now,
                )
                await connection.execute(queries.MOVE_RECEIVERS, stream.value)
                if stream is Stream.PUBLIC_HEALTH:
                    await connection.execute(queries.MOVE_FIGURES, stream.value)
                await connection.execute(queries.MAKE_TABLES)
                await audit(
                    connection, asker.actor, "stream_reconciled", stream.value, asker.reason
                )

    async def _tell(self, stream: Stream, told: Told) -> None:
        after = _FIRST
        while True:
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    rows = await connection.fetch(queries.HELD, stream.value, *after, _PAGE)
                    if not rows:
                        return
                    await self._tell_page(connection, stream, rows, told)
            after = rows[-1]["report_id"], rows[-1]["part"]

    async def _tell_page(
        self, connection: Connection, stream: Stream, rows: Sequence[Any], told: Told
    ) -> None:
        newest = await connection.fetch(
            queries.NEWEST,
            stream.value,
            [row["told_as"] or row["report_id"] for row in rows],
            [row["part"] for row in rows],
        )
        events, versions = [], []
        for event in newest:
            row = rows[event["number"] - 1]
            if event["seq"] >= event["begins"]:
                continue  # told before, or new since
            told.held += 1
            version = row["event_version"] + 1
            try:
                body = self._body(event) if row["published"] else None
            except PermanentError:
                told.expired += 1
                continue
            events.append(self._again(stream, event, version, body, row))
            versions.append((row["report_id"], row["part"], version))
        await connection.execute(
            queries.TOLD,
            stream.value,
            [each[0] for each in versions],
            [each[1] for each in versions],
            [each[2] for each in versions],
        )
        await self._write(connection, stream, events)
        told.told += len(events)

    def _body(self, event: Any) -> bytes | None:
        payload = event["payload"]
        return None if payload is None else self._opener.open(payload, event["event_id"].bytes)

    def _again(
        self, stream: Stream, event: Any, version: int, body: bytes | None, row: Any
    ) -> PendingEvent:
        return PendingEvent(
            stream=stream,
            partition=event["partition"],
            event_id=event_id_of(stream, event["report_id"], version, event["part"]),
            report_id=event["report_id"],
            event_version=version,
            kind=EventKind.WITHDRAWN if body is None else EventKind.REVISED,
            reason="no_longer_due" if body is None else "replayed",
            realm=Realm(event["realm"]),
            rule=event["rule"],
            rule_version=event["rule_version"],
            person_version=event["person_version"],
            message_id=event["message_id"],
            part=event["part"],
            body=body,
            is_hidden=row["pseudonym_periods"] == HIDDEN,
        )

    async def _withdraw(self, stream: Stream, ahead: Ahead, told: Told) -> None:
        """Withdraw what only the topic knows."""
        for page in _pages(ahead.unknown.items()):
            with translated():
                async with self._pool.acquire() as connection, connection.transaction():
                    ids = [part[0] for part, _ in page], [part[1] for part, _ in page]
                    rows = await connection.fetch(queries.NEWEST, stream.value, *ids)
                    known = {row["number"] for row in rows}
                    lost = [e for n, (_, e) in enumerate(page, start=1) if n not in known]
                    await connection.execute(
                        queries.LOST,
                        stream.value,
                        [each.report_id for each in lost],
                        [each.part for each in lost],
                        [each.event_version + 1 for each in lost],
                    )
                    await self._write(connection, stream, [self._gone(e) for e in lost])
            told.withdrawn += len(lost)

    def _gone(self, event: EventHeader) -> PendingEvent:
        version = event.event_version + 1
        return PendingEvent(
            stream=event.stream,
            partition=event.partition,
            event_id=event_id_of(event.stream, event.report_id, version, event.part),
            report_id=event.report_id,
            event_version=version,
            kind=EventKind.WITHDRAWN,
            reason="no_longer_due",
            realm=self._realm,
            rule=event.rule,
            rule_version=event.rule_version,
            person_version=event.person_version,
            message_id=event.event_id,
            part=event.part,
        )

    async def _write(
        self, connection: Connection, stream: Stream, events: Sequence[PendingEvent]
    ) -> None:
        await write(connection, events, self._seals[stream], self._now)


def _pages(
    items: Iterable[tuple[Part, EventHeader]],
) -> Iterable[list[tuple[Part, EventHeader]]]:
    ordered = sorted(items, key=lambda item: item[0])
    for begin in range(0, len(ordered), _PAGE):
        yield ordered[begin : begin + _PAGE]
