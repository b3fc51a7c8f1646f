"""Holds messages against today: each is done again in a transaction that is rolled back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Final

from ops.dispatch import Dispatcher
from ops.outcomes import OutcomeRow
from ops.replay import Replayable
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from routing.emitted import PendingEvent
from schemas.envelope import StoredRecord
from schemas.errors import PermanentError, TransientError
from schemas.outcome import Parked, ParkReason

from .difference import Differences, ending_of, held_ending

_TRIES: Final = 6
_FIRST_WAIT_SECONDS: Final = 0.2
"""Before the second try; each wait after it is twice as long."""


class Looking:
    """Says which messages differ.

    Args:
        pool: The database.
        dispatcher: That of today, or with the rules and the model that are tried.
        differences: Takes what would change.
    """

    def __init__(self, pool: Pool, dispatcher: Dispatcher, differences: Differences) -> None:
        self._pool = pool
        self._dispatcher = dispatcher
        self._differences = differences

    async def look(self, partition: int, rows: Sequence[Any]) -> list[Replayable]:
        """Hold some messages of a partition against today; return those that differ, in order.

        All at once first: where that tells no stream anything and ends nothing otherwise, none
        differs. Else each alone, so that it is known which.
        """
        if not rows:
            return []
        places = {(partition, row["offset"]): row for row in rows}
        async with lent(self._pool) as connection:
            found = await self._dispatcher.stewards.sources.records(connection, places)
        self._differences.found.gone += len(rows) - len(found)
        records = [found[place] for place in sorted(found)]
        METRICS.replay_looked.inc(len(rows))
        if await self._all_stay(records, places):
            for record in records:
                self._differences.add(record.message_id, "", "", ())
            return []
        differing = []
        for record in records:
            row = places[record.offset_place]
            if await self._differs(record, row):
                differing.append(
                    Replayable(
                        partition=partition,
                        offset=record.offset,
                        lab_id=record.lab_id,
                        message_id=record.message_id,
                        control_key=record.control_key,
                    )
                )
        return differing

    async def _all_stay(
        self, records: Sequence[StoredRecord], places: dict[tuple[int, int], Any]
    ) -> bool:
        try:
            outcomes, events = await self._rehearse(records)
        except PermanentError:
            return False
        return not events and all(
            _before(places[each.place]) == ending_of(each.outcome) for each in outcomes
        )

    async def _differs(self, record: StoredRecord, row: Any) -> bool:
        try:
            outcomes, events = await self._rehearse([record])
        except PermanentError:
            self._differences.found.failed += 1
            return False
        if _is_gone(outcomes):
            self._differences.found.gone += 1
            return False
        return self._note(record, row, outcomes, events)

    async def _rehearse(
        self, records: Sequence[StoredRecord]
    ) -> tuple[list[OutcomeRow], list[PendingEvent]]:
        """Rehearse; a collision with what is dispatched beside it does not end a run of hours.

        Raises:
            PermanentError: One of them fails by its content.
            TransientError: Still after some tries: the world is away, the run can be resumed.
        """
        wait = _FIRST_WAIT_SECONDS
        for _ in range(_TRIES - 1):
            try:
                return await self._dispatcher.rehearse(records)
            except TransientError as error:
                METRICS.errors.labels("replay", error.reason).inc()
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait *= 2
        return await self._dispatcher.rehearse(records)

    def _note(
        self,
        record: StoredRecord,
        row: Any,
        outcomes: Sequence[OutcomeRow],
        events: Sequence[PendingEvent],
    ) -> bool:
        (outcome,) = outcomes
        before, after = _before(row), ending_of(outcome.outcome)
        return self._differences.add(record.message_id, before, after, events)


def _before(row: Any) -> str:
    return held_ending(row["ending"], row["reason"])


def _is_gone(outcomes: Sequence[OutcomeRow]) -> bool:
    """Say whether a record can be read no more: a replay would only park it for that."""
    return any(
        isinstance(each.outcome, Parked) and each.outcome.reason is ParkReason.UNREADABLE_PAYLOAD
        for each in outcomes
    )
