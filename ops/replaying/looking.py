"""Holds messages against today: each is done again in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ops.dispatch import Dispatcher
from ops.outcomes import OutcomeRow
from ops.replay import Replayable
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from routing.emitted import PendingEvent
from schemas.envelope import StoredRecord
from schemas.errors import PermanentError
from schemas.outcome import Parked, ParkReason

from .difference import Differences, ending_of, held_ending


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
            outcomes, events = await self._dispatcher.rehearse(records)
        except PermanentError:
            return False
        return not events and all(
            _before(places[each.place]) == ending_of(each.outcome) for each in outcomes
        )

    async def _differs(self, record: StoredRecord, row: Any) -> bool:
        try:
            outcomes, events = await self._dispatcher.rehearse([record])
        except PermanentError:
            self._differences.found.failed += 1
            return False
        if _is_gone(outcomes):
            self._differences.found.gone += 1
            return False
        return self._note(record, row, outcomes, events)

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
