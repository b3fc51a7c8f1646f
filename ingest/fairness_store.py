"""What the doors have in common about a laboratory's day: the table `lab_day`."""

from __future__ import annotations

import time
from typing import Final

from ops.runtime.clock import Clock
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Pool, lent
from schemas.errors import HubError

from .fairness import Fairness

# Rows in the order of the key: two doors that add at once never wait for each other in a circle.
ADD: Final = """
INSERT INTO lab_day (lab_id, day, messages)
SELECT t.lab_id, t.day, t.n
FROM unnest($1::integer[], $2::date[], $3::bigint[]) AS t (lab_id, day, n)
ORDER BY t.day, t.lab_id
ON CONFLICT (day, lab_id) DO UPDATE SET messages = lab_day.messages + EXCLUDED.messages
"""
TOTALS: Final = "SELECT lab_id, messages FROM lab_day WHERE day = $1"
# Yesterday stays: a door may still have to add to it.
FORGET: Final = "DELETE FROM lab_day WHERE day < $1::date - 1"


async def share_counts(fairness: Fairness, pool: Pool, clock: Clock) -> None:
    """Tell the other doors what this one took, and learn what they took; never raises.

    While the database is away each process counts alone: what the laboratories send then is
    bounded by each process on its own, and added when the database is back.
    """
    day = clock.now().date()
    counts = fairness.take_counts()
    try:
        async with lent(pool) as connection:
            if counts:
                await connection.execute(
                    ADD,
                    [lab_id for lab_id, _, _ in counts],
                    [at for _, at, _ in counts],
                    [n for _, _, n in counts],
                )
            if fairness.day != day:
                await connection.execute(FORGET, day)
            rows = await connection.fetch(TOTALS, day)
    except HubError as error:
        fairness.give_back(counts)
        METRICS.errors.labels("lab_day", error.reason).inc()
    else:
        totals = {row["lab_id"]: row["messages"] for row in rows}
        fairness.learn(day, totals, counts, time.monotonic())
    METRICS.over_quota.set(fairness.over_quota(day))
