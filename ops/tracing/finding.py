"""From what a person has in hand to the places of messages in the log: by indexes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Final
from uuid import UUID

import msgspec

from dedup.results import key_of_order
from ops.bootstrap import Hub
from ops.runtime.postgres import Connection
from schemas.codes import TRACKED_CODES
from schemas.envelope import StoredRecord, control_key_of
from schemas.errors import PermanentError
from schemas.topics import STREAMS

from . import queries

Place = tuple[int, int]

_MATCHES: Final = 20_000
_WAITING_A_PARTITION: Final = 20_000
"""So many of the records that wait in a partition are looked through for a message."""
_WAITING_OF_BROKERS: Final = 20_000
_EVENTS: Final = 100
"""So many events are looked for by their ids at a time."""
_EVENTS_IN_ALL: Final = 2_000
_OWN_CODES: Final = 10_000
_OCCURRENCES: Final = 4
"""So many groups with the same number and code are looked for in one message."""
_SEQ: Final = re.compile(r"([a-z-]+)/(\d{1,4})/(\d{1,18})")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody has in hand."""

    ids: tuple[str, ...]
    """Message ids, control ids, report ids, event ids, or `STREAM/PARTITION/SEQ` of events."""
    laboratory: str = ""
    """Registry id: control ids of this laboratory alone, and its order numbers."""
    codes: tuple[str, ...] = ()
    """Of orders: what was ordered (OBR-4), where no table of the hub knows the code."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is."""

    places: list[Place]
    """Of records that dispatch has handled."""
    waiting: list[StoredRecord]
    """Records that it has not."""
    asked: dict[int, str]
    """Digest -> control id as asked for."""


async def find(hub: Hub, connection: Connection, wanted: Wanted) -> Found:
    """Return where all of it is.

    Raises:
        PermanentError: No such laboratory, or more than can be looked for in one go.
        TransientError: The database or the log is away.
    """
    uuids = list(filter(None, map(_as_uuid, wanted.ids)))
    asked = {control_key_of(text): text for text in wanted.ids}
    lab_id = await _laboratory(connection, wanted.laboratory)
    # Progress first: what is handled meanwhile is found twice rather than not at all.
    progress = {r["partition"]: r["next_offset"] for r in await connection.fetch(queries.PROGRESS)}
    waiting = await _waiting(hub, connection, progress, uuids, list(asked))
    rows = await _all_of(connection, queries.BY_CONTROL, list(asked), lab_id)
    if uuids:
        rows += await _all_of(connection, queries.BY_MESSAGE, uuids)
        rows += await _all_of(connection, queries.BY_REPORT, uuids)
    known = {row["known"] for row in rows} | {each.message_id for each in waiting}
    # Events go by summaries: asked for what is nothing else, one of a hundred ids as a rule.
    rest = [each for each in uuids if each not in known]
    reports, messages = await _by_events(connection, rest, wanted.ids)
    if lab_id is not None:
        reports += await _by_order(hub, connection, lab_id, wanted)
    if messages:
        rows += await _all_of(connection, queries.BY_MESSAGE, messages)
    if reports:
        rows += await _all_of(connection, queries.BY_REPORT, reports)
    places = {(row["partition"], row["offset"]) for row in rows}
    held = [each for each in waiting if each.offset_place not in places]
    if lab_id is not None:
        held = [each for each in held if each.lab_id == lab_id or each.message_id in set(uuids)]
    return Found(places=sorted(places), waiting=held, asked=asked)


async def _all_of(connection: Connection, query: str, *wanted: object) -> list[Any]:
    """Return the rows of a query whose last argument bounds them.

    Raises:
        PermanentError: There are more: what is left out would read as lost.
    """
    rows = await connection.fetch(query, *wanted, _MATCHES + 1)
    if len(rows) > _MATCHES:
        raise PermanentError(
            "too_many", f"more than {_MATCHES} records fit: name fewer ids, or the laboratory"
        )
    return list(rows)


async def _by_events(
    connection: Connection, uuids: Sequence[UUID], ids: Iterable[str]
) -> tuple[list[UUID], list[UUID]]:
    """Return the reports and the messages that events, by id or by place, are of."""
    seqs = [
        (match[1], int(match[2]), int(match[3]))
        for match in filter(None, map(_SEQ.fullmatch, ids))
        if match[1] in set(STREAMS)
    ]
    rows: list[Any] = []
    if seqs:
        rows += await connection.fetch(queries.BY_SEQ, *map(list, zip(*seqs, strict=True)))
    if len(uuids) > _EVENTS_IN_ALL:
        raise PermanentError(
            "too_many", f"more than {_EVENTS_IN_ALL} ids may be of events: name fewer at a time"
        )
    for begin in range(0, len(uuids), _EVENTS):
        async with connection.transaction():
            await connection.execute(queries.SUMMARIES_ONLY)
            rows += await connection.fetch(queries.BY_EVENT, list(uuids[begin : begin + _EVENTS]))
    reports = [row["report_id"] for row in rows]
    called = [*uuids, *reports]
    if called:
        reports += [r["report_id"] for r in await connection.fetch(queries.TOLD_AS, called)]
    return reports, [row["message_id"] for row in rows]


async def _by_order(hub: Hub, connection: Connection, lab_id: int, wanted: Wanted) -> list[UUID]:
    """Return the reports of orders of a laboratory.

    A report's key is a digest of laboratory, number and code: all codes that the hub knows are
    tried, which costs no index of its own. Each key is a random page of it: so the first group of
    each name is looked for, and further ones only of names that are there; of all where none is,
    for retention may have taken a first one before a second.
    """
    own = await connection.fetch(queries.OWN_CODES, lab_id, _OWN_CODES)
    codes = {*TRACKED_CODES, *wanted.codes, *(row["local"] for row in own)}
    secret = hub.vault.secret("report")
    names = list(product(("filler", "placer"), wanted.ids, codes))
    found: list[UUID] = []
    for occurrences in (range(1), range(1, _OCCURRENCES)):
        keys = {
            key_of_order(secret, lab_id, *name, occurrence): name
            for name in names
            for occurrence in occurrences
        }
        rows = await _all_of(connection, queries.BY_KEY, list(keys))
        found += [row["report_id"] for row in rows]
        names = [keys[row["report_key"]] for row in rows] or names
    return found


async def _laboratory(connection: Connection, registry_id: str) -> int | None:
    if not registry_id:
        return None
    lab_id: int | None = await connection.fetchval(queries.LABORATORY, registry_id)
    if lab_id is None:
        raise PermanentError(
            "no_such_laboratory", "`labdispatch labs list` shows those that are registered"
        )
    return lab_id


async def _waiting(
    hub: Hub,
    connection: Connection,
    progress: dict[int, int],
    uuids: list[UUID],
    control_keys: list[int],
) -> list[StoredRecord]:
    """Return records that dispatch has not handled yet."""
    if hub.is_cluster:
        tail = await hub.log.read(progress, _WAITING_OF_BROKERS)
        return [
            record
            for record in tail.records
            if record.message_id in set(uuids) or record.control_key in set(control_keys)
        ]
    rows = await connection.fetch(
        queries.WAITING,
        list(progress),
        list(progress.values()),
        _WAITING_A_PARTITION,
        uuids,
        control_keys,
    )
    found = [await hub.log.fetch(row["partition"], row["offset"]) for row in rows]
    return [record for record in found if record is not None]


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
