"""The account: every record of the log has exactly one recorded ending, and it shows.

`received` is counted in the log, the endings are counted outcome rows, and `in_flight` is counted
from the log's end and the recorded progress; none of the three is computed from the other two.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ops.runtime.intake_log import IntakeLog
from ops.runtime.postgres import Pool, translated

# One statement is one snapshot: what it counts belongs to one moment. Of more than a million
# persons the database's own estimate is told.
_BESIDE: Final = """
UNION ALL SELECT 'progress', '', '', coalesce(sum(next_offset), 0)::bigint FROM intake_progress
UNION ALL SELECT 'persons', '', '', CASE
    WHEN (SELECT reltuples FROM pg_class WHERE oid = 'person'::regclass) > 1000000
    THEN (SELECT reltuples::bigint FROM pg_class WHERE oid = 'person'::regclass)
    ELSE (SELECT count(*) FROM person WHERE merged_into IS NULL) END
UNION ALL SELECT 'events', stream, '', (sum(last_seq) - (SELECT coalesce(sum(s.skipped), 0)
    FROM stream_history s WHERE s.stream = h.stream))::bigint FROM stream_head h GROUP BY stream
UNION ALL SELECT 'holds', stream, reason, count(*) FROM hold GROUP BY stream, reason
UNION ALL SELECT 'inbound', coalesce(resolution, 'parked'), reason, sum(records)::bigint
    FROM inbound_parked GROUP BY resolution, reason
UNION ALL SELECT 'door', answer, reason, sum(n)::bigint FROM door_count GROUP BY answer, reason
"""
COUNT_STATE: Final = """
SELECT 'ending' AS what, ending AS name, reason, count(*) AS n
FROM outcome GROUP BY ending, reason
"""

# The same moment must see the log too where the log is in the same database. What retention took of
# it was counted when it went, in that transaction.
_IN_FLIGHT: Final = """
UNION ALL SELECT 'in_flight', '', '', count(*) FROM intake_progress p CROSS JOIN LATERAL (
    SELECT FROM intake WHERE partition = p.partition AND "offset" >= p.next_offset OFFSET 0) AS i
"""
COUNT_LOG: Final = """
UNION ALL SELECT 'received', '', '', count(*) FROM intake
UNION ALL SELECT 'received', '', 'purged', coalesce(sum(t.rows), 0)::bigint
    FROM purge_part t WHERE t.family = 'intake'
"""

# By the rows of days (`ops/accounting`), and from where they end by what there is: it costs what
# came since the last count. Records that nobody could name stand in `account_gap` alone.
KEPT_STATE: Final = """
SELECT 'ending' AS what, name, reason, sum(records)::bigint AS n FROM account_day
WHERE name NOT IN ('received', 'replay_asked') GROUP BY name, reason
UNION ALL SELECT 'ending', v.ending, v.reason, v.n FROM account_change c
    JOIN account_progress a ON a.partition = c.partition AND c."offset" < a.counted
    CROSS JOIN LATERAL (VALUES (c.before_ending, c.before_reason, -1),
        (c.after_ending, c.after_reason, 1)) AS v (ending, reason, n)
UNION ALL SELECT 'ending', o.ending, o.reason, count(*) FROM account_progress a
    CROSS JOIN LATERAL (SELECT ending, reason FROM outcome
        WHERE partition = a.partition AND "offset" >= a.counted OFFSET 0) AS o
    GROUP BY o.ending, o.reason
UNION ALL SELECT 'received', '', 'days', sum(records)::bigint FROM account_day
    WHERE name IN ('received', 'replay_asked') HAVING count(*) > 0
UNION ALL SELECT 'received', '', 'gone', sum(records)::bigint FROM account_gap
    WHERE lab_id = 0 HAVING count(*) > 0
UNION ALL SELECT 'counted', '', '', sum(counted)::bigint FROM account_progress
    HAVING count(*) > 0
"""
KEPT_LOG: Final = """
UNION ALL SELECT 'received', '', 'since', count(*) FROM account_progress a CROSS JOIN LATERAL (
    SELECT FROM intake WHERE partition = a.partition AND "offset" >= a.counted OFFSET 0) AS i
"""


DUPLICATE: Final = "duplicate"
"""The answer in `door_count` that stands for a message answered again at the door."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The sum that must close.

    received = dispatched + duplicate + refused + parked + replays + in_flight.

    `at_the_door` counts what was answered AR or could not be read, and `answered_again` what a
    laboratory sent in a loop and was answered without another record of the same bytes: they are
    not in the log, and their counts are flushed every second (a kill may lose the last second of
    them, never of the log). `inbound` counts what inbound topics held and the log never got
    (parked), and what was taken in the end (AA, AE): it has no part in the sum.
    """

    received: int
    dispatched: int
    duplicate: int
    duplicate_by_reason: dict[str, int]
    refused: int
    refused_by_reason: dict[str, int]
    parked: int
    parked_by_reason: dict[str, int]
    replays: int
    in_flight: int
    closes: bool
    difference: int
    at_the_door: dict[str, dict[str, int]]
    answered_again: int
    inbound: dict[str, dict[str, int]]
    holds: dict[str, dict[str, int]]
    persons: int
    events: dict[str, int]


class Counts(msgspec.Struct, kw_only=True):
    """What was counted, by section, name and reason."""

    rows: dict[tuple[str, str, str], int]

    def one(self, what: str, name: str = "") -> int:
        """Sum one name of a section over its reasons."""
        return sum(n for (w, m, _), n in self.rows.items() if w == what and m == name)

    def by_reason(self, what: str, name: str) -> dict[str, int]:
        """Split one name of a section by its reasons."""
        return {r: n for (w, m, r), n in sorted(self.rows.items()) if w == what and m == name}

    def nested(self, what: str) -> dict[str, dict[str, int]]:
        """Split a section by name, then by reason."""
        names = sorted({m for (w, m, _) in self.rows if w == what})
        return {name: self.by_reason(what, name) for name in names}


def draw(counts: Counts, *, received: int, in_flight: int) -> Account:
    """Draw the account up from what was counted; pure."""
    endings = {
        name: counts.one("ending", name)
        for name in ("dispatched", "duplicate", "refused", "parked", "replay")
    }
    difference = received - sum(endings.values()) - in_flight
    return Account(
        received=received,
        dispatched=endings["dispatched"],
        duplicate=endings["duplicate"],
        duplicate_by_reason=counts.by_reason("ending", "duplicate"),
        refused=endings["refused"],
        refused_by_reason=counts.by_reason("ending", "refused"),
        parked=endings["parked"],
        parked_by_reason=counts.by_reason("ending", "parked"),
        replays=endings["replay"],
        in_flight=in_flight,
        closes=difference == 0,
        difference=difference,
        at_the_door={
            answer: split for answer, split in counts.nested("door").items() if answer != DUPLICATE
        },
        answered_again=counts.one("door", DUPLICATE),
        inbound=counts.nested("inbound"),
        holds=counts.nested("holds"),
        persons=counts.one("persons"),
        events={name: counts.one("events", name) for name in counts.nested("events")},
    )


async def take_account(
    pool: Pool, log: IntakeLog, engine: str, *, from_scratch: bool = True
) -> Account:
    """Count and draw up the account of an instance.

    Args:
        pool: The database.
        log: Asked for its ends on the cluster.
        engine: Which engine lies below.
        from_scratch: Whether each record and ending is counted, which is the full proof and costs
            what there is of both; else what was counted by day is summed up, and only what came
            since is counted. It is counted from scratch, too, where nothing was counted by day.

    Raises:
        TransientError: The database or the log is away.
    """
    here = engine == "embedded"
    if not from_scratch:
        kept = await _count(pool, KEPT_STATE, _BESIDE, *([KEPT_LOG, _IN_FLIGHT] if here else []))
        if kept.by_reason("counted", ""):
            return await _draw_kept(kept, log, engine)
    counts = await _count(pool, COUNT_STATE, _BESIDE, *([COUNT_LOG, _IN_FLIGHT] if here else []))
    if here:
        return draw(counts, received=counts.one("received"), in_flight=counts.one("in_flight"))
    # The log is asked after the snapshot, so that its end is never behind the progress. Only
    # idempotent, never transactional producers write the intake topic: its offsets are gapless
    # from 0, and its end is how many records it was given.
    received = sum((await log.end_offsets()).values())
    return draw(counts, received=received, in_flight=received - counts.one("progress"))


async def _count(pool: Pool, *parts: str) -> Counts:
    with translated():
        async with pool.acquire() as connection:
            rows = await connection.fetch("".join(parts))
    found: dict[tuple[str, str, str], int] = {}
    for row in rows:
        name = row["what"], row["name"], row["reason"]
        found[name] = found.get(name, 0) + row["n"]
    return Counts(rows={name: n for name, n in found.items() if n or name[0] == "counted"})


async def _draw_kept(counts: Counts, log: IntakeLog, engine: str) -> Account:
    received = counts.one("received")
    if engine == "embedded":
        return draw(counts, received=received, in_flight=counts.one("in_flight"))
    end = sum((await log.end_offsets()).values())
    since = end - counts.one("counted")
    return draw(counts, received=received + since, in_flight=end - counts.one("progress"))


def as_text(account: Account) -> str:
    """Write the account for a person."""
    lines = [f"received    {account.received:>10,}   records in the intake log"]
    for name, n, split in (
        ("dispatched", account.dispatched, {}),
        ("duplicate", account.duplicate, account.duplicate_by_reason),
        ("refused", account.refused, account.refused_by_reason),
        ("parked", account.parked, account.parked_by_reason),
        ("replays", account.replays, {}),
        ("in flight", account.in_flight, {}),
    ):
        shown = ", ".join(f"{reason} {count:,}" for reason, count in split.items())
        lines.append(f"{name:<11} {n:>10,}   {shown}".rstrip())
    lines.append(
        "the account closes"
        if account.closes
        else f"THE ACCOUNT DOES NOT CLOSE: {account.difference:+,} (see docs/runbooks/account.md)"
    )
    if account.answered_again:
        lines.append(f"answered again at the door {account.answered_again:,} (the same bytes)")
    lines.append(f"persons     {account.persons:>10,}")
    lines.extend(f"{name:<16} {n:>5,} events" for name, n in account.events.items())
    for title, table in (
        ("waiting", account.holds),
        ("at the door", account.at_the_door),
        ("inbound", account.inbound),
    ):
        lines.extend(
            f"{title}: {name} {reason} {n:,}"
            for name, split in table.items()
            for reason, n in split.items()
        )
    return "\n".join(lines)
