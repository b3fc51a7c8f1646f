"""Lets the rows of old days go: what was counted of them stays, and changes no more.

A day is closed once it is older than rows are kept. Its cells are counted from rows of that day and
the six before, so those are kept for six days longer: every day that is not closed is counted from
all of its rows, also when one of them is corrected. Counting leaves the cells of closed days alone.
"""

from __future__ import annotations

import time
from datetime import date
from typing import Final

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, translated
from routing.indicator_rows import WINDOW_DAYS
from routing.pseudonym import period_of

# By the earlier of two clocks, for what goes does not come back. It never opens a day again.
CLOSE: Final = """
UPDATE indicator_progress
SET closed_before = greatest(
    closed_before, least($1::integer, current_date - date '0001-01-01' + 1) - $2::integer
)
RETURNING closed_before
"""
FORGET_ROWS: Final = """
DELETE FROM indicator_row r
USING (SELECT report_id, part FROM indicator_row WHERE day < $1 LIMIT $2) AS gone
WHERE r.report_id = gone.report_id AND r.part = gone.part
"""
# Half-years that end before; written so that they sort as text.
FORGET_ALIASES: Final = "DELETE FROM indicator_alias WHERE period < $1"
_LOOK_SECONDS: Final = 3_600.0


class RowCloser:
    """Closes days, and lets their rows go in pages.

    Args:
        pool: Connections of the role that counts.
        days: For how many days rows are kept.
        page: The most rows of one transaction: counting waits for it.
        look_seconds: How long it rests when all that is old is gone.
    """

    def __init__(
        self, pool: Pool, days: int, *, page: int = 10_000, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._pool = pool
        self._days = days
        self._page = page
        self._look_seconds = look_seconds
        self._next = 0.0

    async def close(self, today: date) -> None:
        """Let one page of old rows go, if it is time; the next call goes on where some are left.

        Raises:
            TransientError: The database is away.
        """
        if time.monotonic() < self._next:
            return
        with translated():
            async with self._pool.acquire() as connection, connection.transaction():
                # Holds off counting, as its fence does.
                closed = await connection.fetchval(CLOSE, today.toordinal(), self._days)
                first = max(1, closed - (WINDOW_DAYS - 1))
                gone = await connection.execute(FORGET_ROWS, first, self._page)
                await connection.execute(FORGET_ALIASES, period_of(date.fromordinal(first)))
        count = int(gone.rpartition(" ")[2])
        METRICS.indicator_rows_gone.inc(count)
        if count < self._page:
            self._next = time.monotonic() + self._look_seconds
