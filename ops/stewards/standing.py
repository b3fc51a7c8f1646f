"""What dispatch asks and notes about persons in its own transaction, and between its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dedup.resolver import Resolution
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.errors import TransientError

from . import queries
from .reemitting import NOTHING_YET

if TYPE_CHECKING:
    from .acts import Stewards


async def note_and_ask(
    connection: Connection, resolutions: Sequence[Resolution], at: datetime
) -> set[int]:
    """Note whose waiting reports can go, and return who opposes the dossier; under their locks.

    A person that has an INS since this batch may have reports on hold: they are held against the
    streams again in a transaction of their own, which this row stands for.
    """
    if not resolutions:
        return set()
    gained = sorted({each.person_id for each in resolutions if each.gained_ins})
    if gained:
        await connection.execute(queries.REMAINS, gained, "ins_gained", NOTHING_YET, at)
    persons = sorted({each.person_id for each in resolutions})
    rows = await connection.fetch(queries.STANDING_OPPOSITIONS, persons)
    return {row["standing_id"] for row in rows}


async def keep_emitting(stewards: Stewards, pause_seconds: float) -> None:
    """Go on for ever with what is to be emitted again; many workers may do so at once."""
    while True:
        try:
            if await stewards.reemit_due():
                continue
        except TransientError as error:
            METRICS.errors.labels("reemission", error.reason).inc()
        await asyncio.sleep(pause_seconds)
