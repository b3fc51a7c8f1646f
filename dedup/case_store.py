"""The table `case_report`, spoken to in arrays: one statement a batch each way.

Whoever reads or writes the rows of a person holds the person's row (`lock_persons`): that is what
keeps two laboratories' results of one person from making two cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.days import counted_day
from schemas.decision import Line, Standing

from .case_reports import CaseReport, Key, Numbers

# The newest reports of each person: of a person with more, the elder stay where they are.
LOAD: Final = """
SELECT found.person_id, found.condition, found.report_id, found.mark, found.precedence, found.line,
       found.waits, found.sampled_on, found.sampled_at, found.specimen_key, found.filler_key,
       found.placer_key, found.tie, found.first_at, found.case_id, found.received_on, found.variant,
       found.again, found.case_variant
FROM unnest($1::bigint[]) AS asked (person_id)
CROSS JOIN LATERAL (
    SELECT c.person_id, c.condition, c.report_id, c.mark, c.precedence, c.line, c.waits,
           c.sampled_on, c.sampled_at, c.specimen_key, c.filler_key, c.placer_key, c.tie,
           c.first_at, c.case_id, c.received_on, c.variant, c.again, c.case_variant
    FROM case_report c WHERE c.person_id = asked.person_id
    ORDER BY c.first_at DESC, c.report_id LIMIT $2
) AS found
"""
# Of whom that is not all: what the elder cases are known by. A case is named by its eldest first
# line and told by its leading one (`cases.py`). Were they not looked at, what stands beside them
# would become another case with each report that comes, and be told once more by all streams.
ANCHORS: Final = """
SELECT found.person_id, found.condition, found.report_id, found.mark, found.precedence, found.line,
       found.waits, found.sampled_on, found.sampled_at, found.specimen_key, found.filler_key,
       found.placer_key, found.tie, found.first_at, found.case_id, found.received_on, found.variant,
       found.again, found.case_variant
FROM unnest($1::bigint[]) AS asked (person_id)
CROSS JOIN LATERAL (
    SELECT c.* FROM (
        SELECT r.*, row_number() OVER (PARTITION BY r.condition, r.case_id
                                       ORDER BY r.first_at, r.report_id) AS place
        FROM case_report r WHERE r.person_id = asked.person_id AND r.mark <> 2
    ) AS c
    WHERE (c.place = 1 OR (c.line = 1 AND c.precedence >= 0))
      AND NOT EXISTS (SELECT 1 FROM unnest($3::uuid[], $4::text[]) AS known (report_id, condition)
                      WHERE known.report_id = c.report_id AND known.condition = c.condition)
    ORDER BY c.first_at DESC, c.report_id LIMIT $2
) AS found
"""
STANDINGS: Final = """
SELECT c.report_id, c.condition, c.case_id, c.line, c.waits, c.again, c.case_variant, c.sampled_on,
       c.received_on, c.first_at
FROM case_report c
WHERE c.person_id = ANY ($1::bigint[]) AND c.report_id = ANY ($2::uuid[])
"""
WRITE: Final = """
INSERT INTO case_report (person_id, condition, report_id, mark, precedence, line, waits, sampled_on,
                         sampled_at, specimen_key, filler_key, placer_key, tie, first_at, case_id,
                         received_on, variant, again, case_variant)
SELECT w.p, w.c, w.r, w.m, w.v, w.l, w.w, w.d, w.s, w.k, w.f, w.o, w.t, w.a, w.i, w.e, w.n, w.g, w.h
FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[],
            $7::boolean[], $8::date[], $9::timestamptz[], $10::bigint[], $11::bigint[],
            $12::bigint[], $13::bigint[], $14::timestamptz[], $15::uuid[], $16::date[],
            $17::text[], $18::boolean[], $19::text[])
     AS w (p, c, r, m, v, l, w, d, s, k, f, o, t, a, i, e, n, g, h)
ON CONFLICT (person_id, condition, report_id) DO UPDATE
SET mark = EXCLUDED.mark, precedence = EXCLUDED.precedence, line = EXCLUDED.line,
    waits = EXCLUDED.waits, sampled_on = EXCLUDED.sampled_on, sampled_at = EXCLUDED.sampled_at,
    specimen_key = EXCLUDED.specimen_key, filler_key = EXCLUDED.filler_key,
    placer_key = EXCLUDED.placer_key, tie = EXCLUDED.tie, first_at = EXCLUDED.first_at,
    case_id = EXCLUDED.case_id, received_on = EXCLUDED.received_on, variant = EXCLUDED.variant,
    again = EXCLUDED.again, case_variant = EXCLUDED.case_variant
"""
DELETE: Final = """
DELETE FROM case_report AS c
USING unnest($1::bigint[], $2::text[], $3::uuid[]) AS gone (p, c, r)
WHERE c.person_id = gone.p AND c.condition = gone.c AND c.report_id = gone.r
"""
# Whose each report is now: of its person, or of whom that one was merged into.
OWNERS: Final = """
WITH RECURSIVE way AS (
    SELECT p.person_id AS start, p.person_id, p.merged_into
    FROM person p
    WHERE p.person_id IN (SELECT r.person_id FROM report r WHERE r.report_id = ANY ($1::uuid[]))
    UNION ALL
    SELECT way.start, p.person_id, p.merged_into
    FROM way JOIN person p ON p.person_id = way.merged_into
)
SELECT r.report_id, way.person_id
FROM report r JOIN way ON way.start = r.person_id AND way.merged_into IS NULL
WHERE r.report_id = ANY ($1::uuid[])
"""

_MARKS: Final[Mapping[Line | None, int]] = {None: 0, Line.FIRST: 1, Line.SECOND: 2}
_LINES: Final[Mapping[int, Line | None]] = {number: line for line, number in _MARKS.items()}


class CaseStore:
    """Reads and writes cases, always on the connection of the batch's transaction.

    Args:
        most: The most reports of one person that are looked at; cut look-ups are counted.
    """

    def __init__(self, most: int) -> None:
        self._most = most

    async def load(self, connection: Connection, persons: Iterable[int]) -> list[CaseReport]:
        """Return the rows of these persons, who must be locked.

        Of a person with more than is looked at: the newest, and of the elder ones the first and the
        leading one of each case, as many again at most.
        """
        asked = sorted(set(persons))
        if not asked:
            return []
        found = [_row(row) for row in await connection.fetch(LOAD, asked, self._most)]
        if len(found) >= self._most:
            counts: dict[int, int] = {}
            for row in found:
                counts[row.person_id] = counts.get(row.person_id, 0) + 1
            capped = [person for person, n in counts.items() if n >= self._most]
            METRICS.capped_cases.inc(len(capped))
            if capped:
                known = [row for row in found if counts[row.person_id] >= self._most]
                rows = await connection.fetch(
                    ANCHORS,
                    capped,
                    self._most,
                    [row.report_id for row in known],
                    [row.condition for row in known],
                )
                found += [_row(row) for row in rows]
        return found

    async def standings(
        self, connection: Connection, persons: Collection[int], reports: Collection[UUID]
    ) -> dict[UUID, dict[str, Standing]]:
        """Return report -> condition -> where it stands."""
        found: dict[UUID, dict[str, Standing]] = {}
        for row in await connection.fetch(STANDINGS, list(persons), list(reports)):
            found.setdefault(row["report_id"], {})[row["condition"]] = _standing(row)
        return found

    async def owners(self, connection: Connection, reports: Collection[UUID]) -> dict[UUID, int]:
        """Return whose each report is, behind all merges."""
        rows = await connection.fetch(OWNERS, list(reports))
        return {row["report_id"]: row["person_id"] for row in rows}

    async def write(
        self, connection: Connection, changed: Sequence[CaseReport], gone: Sequence[Key]
    ) -> None:
        """Write rows, and delete those whose report is another person's now."""
        if gone:
            await connection.execute(
                DELETE, [k[0] for k in gone], [k[1] for k in gone], [k[2] for k in gone]
            )
        if not changed:
            return
        standings = [_stands(row) for row in changed]
        await connection.execute(
            WRITE,
            [r.person_id for r in changed],
            [r.condition for r in changed],
            [r.report_id for r in changed],
            [_MARKS[r.mark] for r in changed],
            [r.precedence for r in changed],
            [_MARKS[s.line] for s in standings],
            [s.waits for s in standings],
            [r.sampled_on for r in changed],
            [r.sampled_at for r in changed],
            [r.numbers.specimen for r in changed],
            [r.numbers.filler for r in changed],
            [r.numbers.placer for r in changed],
            [r.tie for r in changed],
            [r.first_at for r in changed],
            [s.case_id for s in standings],
            [r.received_on for r in changed],
            [r.variant for r in changed],
            [s.again for s in standings],
            [s.variant for s in standings],
        )


def _stands(row: CaseReport) -> Standing:
    assert row.standing is not None, "what is written was grouped"
    return row.standing


def _standing(row: Any) -> Standing:
    line = _LINES[row["line"]]
    assert line is not None, "a row stands somewhere"
    return Standing(
        row["case_id"],
        line,
        row["waits"],
        row["again"],
        row["case_variant"],
        counted_day(row["sampled_on"], _received(row)),
    )


def _received(row: Any) -> date:
    """Return the day of reception; of a row of before it was kept, that of its first handling."""
    day: date = row["received_on"] or row["first_at"].date()
    return day


def _row(row: Any) -> CaseReport:
    return CaseReport(
        person_id=row["person_id"],
        condition=row["condition"],
        report_id=row["report_id"],
        mark=_LINES[row["mark"]],
        precedence=row["precedence"],
        sampled_on=row["sampled_on"],
        sampled_at=row["sampled_at"],
        numbers=Numbers(
            specimen=row["specimen_key"], filler=row["filler_key"], placer=row["placer_key"]
        ),
        tie=row["tie"],
        first_at=row["first_at"],
        received_on=_received(row),
        variant=row["variant"],
        standing=_standing(row),
    )
