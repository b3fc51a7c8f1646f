"""An outbox in memory, for what reads streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from routing import stream_queries
from routing.emitted import event_id_of
from schemas.errors import PermanentError, TransientError
from schemas.topics import Stream

STREAM = Stream.PUBLIC_HEALTH
DESTROYED = b"destroyed"


class FakeOutbox:
    """An outbox in memory that answers the reader's own queries."""

    def __init__(self, partitions: int) -> None:
        self.lanes: list[list[dict[str, Any]]] = [[] for _ in range(partitions)]
        self.dropped = [0] * partitions
        self.is_away = False

    def add(self, partition: int, count: int = 1, payload: bytes | None = b"{}") -> None:
        """Add reports of one version each."""
        for _ in range(count):
            seq = self.dropped[partition] + len(self.lanes[partition]) + 1
            self.put(partition, UUID(int=partition * 1_000_000 + seq), 1, payload)

    def put(
        self, partition: int, report_id: UUID, version: int, payload: bytes | None, part: str = ""
    ) -> None:
        """Add a version of a part of a report."""
        seq = self.dropped[partition] + len(self.lanes[partition]) + 1
        row = {
            "stream": STREAM.value,
            "partition": partition,
            "seq": seq,
            "event_id": event_id_of(STREAM, report_id, version, part),
            "report_id": report_id,
            "event_version": version,
            "kind": _kind(version, payload),
            "reason": "new",
            "realm": "test",
            "rule": "r",
            "rule_version": "1",
            "person_version": 1,
            "message_id": UUID(int=1 << 120 | seq),
            "emitted_at": datetime(2026, 3, 6, tzinfo=UTC),
            "payload": payload,
            "part": part,
        }
        self.lanes[partition].append(row)

    def drop(self, partition: int, count: int) -> None:
        del self.lanes[partition][:count]
        self.dropped[partition] += count

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[FakeOutbox]:
        if self.is_away:
            raise TransientError("database_away")
        yield self

    async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
        if query == stream_queries.LANES:
            return [
                {
                    "partition": partition,
                    "last_seq": self.dropped[partition] + len(rows),
                    "begins": self.dropped[partition] + 1,
                }
                for partition, rows in enumerate(self.lanes)
            ]
        if query == stream_queries.EARLIER[STREAM]:
            wanted = set(zip(*args, strict=True))
            return [row for row in self._rows() if _version(row) in wanted]
        if query == stream_queries.SUPERSEDED[STREAM]:
            return [
                {"number": number}
                for number, (report_id, part, version, until) in enumerate(
                    zip(*args, strict=True), start=1
                )
                if any(
                    (row["report_id"], row["part"]) == (report_id, part)
                    and row["event_version"] > version
                    and row["seq"] <= until
                    for row in self._rows()
                )
            ]
        assert query == stream_queries.AFTER
        return [
            row
            for partition, after, share in zip(*args[1:], strict=True)
            for row in self.lanes[partition]
            if after < row["seq"] <= after + share
        ]

    def _rows(self) -> list[dict[str, Any]]:
        return [row for rows in self.lanes for row in rows]

    async def fetchval(self, query: str, *args: Any) -> UUID | None:
        assert query == stream_queries.AT
        found = [row["event_id"] for row in self.lanes[args[1]] if row["seq"] == args[2]]
        return found[0] if found else None


class PlainOpener:
    def open(self, sealed: bytes, associated: bytes) -> bytes:
        assert len(associated) == 16
        if sealed == DESTROYED:
            raise PermanentError("key_destroyed")
        return sealed


def _kind(version: int, payload: bytes | None) -> str:
    if payload is None:
        return "withdrawn"
    return "published" if version == 1 else "revised"


def _version(row: dict[str, Any]) -> tuple[UUID, str, int]:
    return row["report_id"], row["part"], row["event_version"]
