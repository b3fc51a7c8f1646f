"""What dispatch asks and notes about persons in its own transaction, and between its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from dedup.identity import InsKey, PersonKeys
from dedup.resolver import Resolution
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.errors import TransientError

from . import queries
from .reemitting import NOTHING_YET

if TYPE_CHECKING:
    from .acts import Stewards


async def note_and_ask(
    connection: Connection,
    resolutions: Sequence[Resolution],
    keys: Sequence[PersonKeys],
    at: datetime,
) -> set[int]:
    """Note whose waiting reports can go, and return who opposes the dossier; under their locks.

    An opposition that was said before anybody was known by the INS becomes the person's here.

    A person that has an INS since this batch may have reports on hold: they are held against the
    streams again in a transaction of their own, which this row stands for.
    """
    if not resolutions:
        return set()
    gained = sorted({each.person_id for each in resolutions if each.gained_ins})
    if gained:
        await connection.execute(queries.REMAINS, gained, "ins_gained", NOTHING_YET, at)
    persons = sorted({each.person_id for each in resolutions})
    bearers = {
        ins.digest: resolution.person_id
        for resolution, held in zip(resolutions, keys, strict=True)
        for ins in _borne(resolution, held)
    }
    rows = await connection.fetch(queries.OPPOSED, persons, list(bearers))
    opposed = {row["standing_id"] for row in rows if row["standing_id"] is not None}
    for row in rows:
        if row["ins_digest"] is not None:
            person = bearers[row["ins_digest"]]
            await _oppose(connection, person, row["began_at"], row["actor"], at)
            opposed.add(person)
    return opposed


def _borne(resolution: Resolution, keys: PersonKeys) -> tuple[InsKey, ...]:
    """Return the INS of a record that are its person's; somebody else's card gives none."""
    own, held = keys.ins, resolution.qualified_ins
    if own is None or held is None:
        return ()
    is_own = (own.ins.matricule, own.ins.oid) == (held.matricule, held.oid)
    return (own, *keys.former_ins) if is_own else ()


async def _oppose(
    connection: Connection, person: int, began_at: datetime, actor: str, at: datetime
) -> None:
    """Keep an opposition that was said ahead; what the dossier holds of the person is gone over."""
    made = await connection.fetchval(queries.OPPOSE, person, person, began_at)
    if made is None:
        return  # the person opposes already
    told = msgspec.json.encode({"oppositions": [made]}).decode()
    event = await connection.fetchval(
        queries.WRITE_EVENT, at, "oppose", person, None, "opposition", "", told, actor
    )
    await connection.execute(queries.WRITE_STEWARD_EVENT, [person], event)
    await connection.execute(queries.REMAINS, [person], "opposition", NOTHING_YET, at)


async def keep_emitting(stewards: Stewards, pause_seconds: float) -> None:
    """Go on for ever with what is to be emitted again; many workers may do so at once.

    Between two transactions that take all there is, more may come together.
    """
    while True:
        try:
            if await stewards.reemit_due() >= stewards.most_due:
                continue
        except TransientError as error:
            METRICS.errors.labels("reemission", error.reason).inc()
        await asyncio.sleep(pause_seconds)
