"""What is still to be emitted again, some persons a transaction; dispatch does it by and by.

An acquired INS brings a person's earlier reports into the dossier: of every hundred messages some
do that, so a transaction for each person would cost dispatch as much as the messages themselves.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec

from ops.asking import Asker
from ops.runtime.logs import get_logger
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import translated
from schemas.errors import PermanentError

from . import queries
from .reemitting import IDENTITY_CHANGED
from .script import Act, Script

_log = get_logger(__name__)

MACHINE: Final = Asker(actor="hub")
PUT_OFF: Final = timedelta(hours=1)
"""How long whoever cannot be emitted again waits, unless there is a new cause before."""


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    """Persons for the same reason, of whom the same is done already: one transaction takes all."""

    persons: list[int]
    reason: str
    after_report: UUID


async def reemit_due(script: Script, most: int) -> int:
    """Go on with persons whose reports are still to be emitted again; say with how many.

    Called by dispatch beside its batches. A crash leaves the rows, and so the work. Who cannot go
    waits for an hour, and says that nothing is to be done at once: no fault makes dispatch spin.

    Args:
        script: Makes the transaction.
        most: The most persons of one transaction.
    """
    with translated():
        async with script.pool.acquire() as connection:
            rows = await connection.fetch(queries.NEXT_DUE, most, script.clock.now())
    if not rows:
        return 0
    first = rows[0]
    alike = (first["reason"], first["after_report"])
    persons = [row["person_id"] for row in rows if (row["reason"], row["after_report"]) == alike]
    due = _Due(persons=persons, reason=alike[0], after_report=alike[1])
    try:
        await _reemit(script, due)
    except PermanentError as error:
        if len(persons) == 1:
            await _put_off(script, persons[0], error)
            return 0
        # One person's reports that cannot be routed must not stand in the way of all others, nor
        # may too many in all: whose turn it is goes alone.
        alone = msgspec.structs.replace(due, persons=persons[:1])
        try:
            await _reemit(script, alone)
        except PermanentError as own:
            await _put_off(script, persons[0], own)
            return 0
        return most  # there is more to do at once
    return len(persons)


async def _reemit(script: Script, due: _Due) -> None:
    async def work(act: Act) -> None:
        rows = await act.connection.fetch(queries.DUE_OF, due.persons)
        # Who is missing was done by another worker; whose row has changed has its turn later.
        still = [
            row["person_id"]
            for row in rows
            if (row["reason"], row["after_report"]) == (due.reason, due.after_report)
        ]
        if not still:
            return
        await act.connection.execute(queries.DONE, still)
        await script.reemit(
            act,
            {act.held.pointers.end_of(person) for person in still},
            reason=IDENTITY_CHANGED if due.reason == "ins_gained" else due.reason,
            after=due.after_report,
            remains_as=due.reason,
        )

    await script.run(due.persons, MACHINE, "", work)


async def _put_off(script: Script, person: int, error: PermanentError) -> None:
    METRICS.errors.labels("reemission", error.reason).inc()
    _log.error("reemission_put_off", reason=error.reason, remedy=error.remedy)
    with translated():
        async with script.pool.acquire() as connection:
            await connection.execute(queries.PUT_OFF, person, script.clock.now() + PUT_OFF)
