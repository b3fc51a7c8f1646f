"""What each laboratory sends, added up by the hour in memory and written together.

Figures, not the account: a process that is killed takes what it has not written yet with it, and a
write that nobody knows to have been committed is not made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from schemas.envelope import IntakeRecord, RecordKind
from schemas.errors import HubError

from .metrics import METRICS
from .postgres import Pool, is_unknown_commit, lent

COLUMNS: Final = (
    "received", "turned_away", "dispatched", "duplicate", "refused", "parked", "flagged"
)  # fmt: skip
_RECEIVED: Final = 0
_TURNED_AWAY: Final = 1
_FLAGGED: Final = 6
_ENDINGS: Final = {"dispatched": 2, "duplicate": 3, "refused": 4, "parked": 5}
_LAST: Final = len(COLUMNS)
_HOUR: Final = 3_600
MOST_HOURS: Final = 100_000
"""Hours of laboratories that wait to be written: a night of 4,500 while the database is away."""

# Rows in the order of the key: two processes that add at once never wait in a circle.
ADD: Final = """
INSERT INTO lab_hour AS held (lab_id, hour, received, turned_away, dispatched, duplicate, refused,
                              parked, flagged, last_at)
SELECT t.l, to_timestamp(t.h * 3600.0), t.r, t.t, t.d, t.u, t.e, t.p, t.f,
       CASE WHEN t.z > 0 THEN to_timestamp(t.z) END
FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::float8[])
     AS t (l, h, r, t, d, u, e, p, f, z)
JOIN lab ON lab.lab_id = t.l
ORDER BY t.l, t.h
ON CONFLICT (lab_id, hour) DO UPDATE
SET received = held.received + EXCLUDED.received,
    turned_away = held.turned_away + EXCLUDED.turned_away,
    dispatched = held.dispatched + EXCLUDED.dispatched,
    duplicate = held.duplicate + EXCLUDED.duplicate, refused = held.refused + EXCLUDED.refused,
    parked = held.parked + EXCLUDED.parked, flagged = held.flagged + EXCLUDED.flagged,
    last_at = greatest(held.last_at, EXCLUDED.last_at)
"""


class LabHours:
    """Adds up, and gives what has come together; never raises, never grows beyond its bound."""

    def __init__(self) -> None:
        self._hours: dict[tuple[int, int], list[float]] = {}

    def received(self, records: Iterable[IntakeRecord]) -> None:
        """Count what has become durable in the log."""
        for record in records:
            if record.kind is RecordKind.REPLAY:
                continue
            at = record.received_at.timestamp()
            row = self._row(record.lab_id, at)
            row[_RECEIVED] += 1
            row[_LAST] = max(row[_LAST], at)

    def turned_away(self, lab_id: int, at: datetime) -> None:
        """Count an AR to a laboratory that is known."""
        self._row(lab_id, at.timestamp())[_TURNED_AWAY] += 1

    def ended(self, lab_id: int, received_at: datetime, ending: str, *, flagged: bool) -> None:
        """Count how a message ended, in the hour in which it was received."""
        place = _ENDINGS.get(ending)
        if place is not None:  # a replay ends what was counted
            row = self._row(lab_id, received_at.timestamp())
            row[place] += 1
            row[_FLAGGED] += flagged

    def take(self) -> dict[tuple[int, int], list[float]]:
        """Return what has come together by laboratory and hour, and begin again at nothing."""
        taken, self._hours = self._hours, {}
        return taken

    def give_back(self, taken: dict[tuple[int, int], list[float]]) -> None:
        """Add again what could not be written."""
        for (lab_id, hour), counts in taken.items():
            row = self._row(lab_id, float(hour * _HOUR))
            for place, n in enumerate(counts[:_LAST]):
                row[place] += n
            row[_LAST] = max(row[_LAST], counts[_LAST])

    def _row(self, lab_id: int, at: float) -> list[float]:
        key = (lab_id, int(at) // _HOUR)
        row = self._hours.get(key)
        if row is None:
            row = [0] * (_LAST + 1)
            if len(self._hours) < MOST_HOURS:
                self._hours[key] = row
            else:
                METRICS.limit_hits.labels("figures_waiting").inc()
        return row


LAB_HOURS: Final = LabHours()
"""Of this process."""


async def keep_writing(pool: Pool, seconds: float, hours: LabHours = LAB_HOURS) -> None:
    """Write for ever what comes together, every so often."""
    while True:
        await asyncio.sleep(seconds)
        await write(pool, hours)


async def write(pool: Pool, hours: LabHours = LAB_HOURS) -> None:
    """Write what has come together; what was surely not written is kept. Never raises ours.

    What may have been committed all the same is given up: too little is told rather than twice.
    """
    taken = hours.take()
    if not taken:
        return
    surely_not = True
    try:
        async with lent(pool) as connection:
            try:
                await connection.execute(ADD, *_columns(taken))
            except Exception as error:  # boundary: sorted into surely-not and nobody-knows
                surely_not = not is_unknown_commit(error)
                raise
    except HubError as error:
        if surely_not:
            hours.give_back(taken)
        METRICS.errors.labels("lab_hours", error.reason).inc()


def hour_of(at: datetime) -> datetime:
    """Return when the hour of a moment began, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _columns(taken: dict[tuple[int, int], list[float]]) -> list[Sequence[float]]:
    keys = sorted(taken)
    counts = [[int(taken[key][place]) for key in keys] for place in range(_LAST)]
    last = [float(taken[key][_LAST]) for key in keys]
    return [[lab_id for lab_id, _ in keys], [hour for _, hour in keys], *counts, last]
