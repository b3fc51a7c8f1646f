"""The SQL of extractions: making one, and reading what they published."""

from __future__ import annotations

from typing import Final

LAST: Final = """
SELECT number, at, batch, events, lag, policy, tables FROM indicator_extraction
ORDER BY number DESC LIMIT 1
"""

# The newest at or before a moment.
AS_OF: Final = """
SELECT number, at, batch, events, lag, policy, tables FROM indicator_extraction
WHERE at <= $1 ORDER BY at DESC, number DESC LIMIT 1
"""

FIRST: Final = """
SELECT number, at FROM indicator_extraction ORDER BY number LIMIT 1
"""

LIST: Final = """
SELECT number, at, batch, events, lag, policy, tables FROM indicator_extraction
WHERE number < $1 ORDER BY number DESC LIMIT $2
"""

# One process makes extractions at a time. Of the session, not of a transaction: making one takes
# minutes.
ALONE: Final = "SELECT pg_try_advisory_lock(20261, 44)"
ALONE_NO_MORE: Final = "SELECT pg_advisory_unlock(20261, 44)"

# What an extraction wrote that was never finished.
DROP_UNFINISHED_TABLES: Final = "DELETE FROM indicator_table WHERE extraction > $1"
DROP_UNFINISHED_SHOWN: Final = "DELETE FROM indicator_shown WHERE extraction > $1"
DROP_UNFINISHED_COMPLETENESS: Final = "DELETE FROM indicator_completeness WHERE extraction > $1"

# Which process makes one: another may have written under the same number meanwhile.
TAKE: Final = """
UPDATE indicator_progress SET made_by = $1 WHERE made_by IS DISTINCT FROM $1 RETURNING batch
"""
# What is written already of one that is not finished.
BLOCKS_WRITTEN: Final = "SELECT condition, block FROM indicator_shown WHERE extraction = $1"
DROP_BLOCK_SHOWN: Final = """
DELETE FROM indicator_shown WHERE condition = $1 AND block = $2 AND extraction = $3
"""
DROP_BLOCK_TABLES: Final = """
DELETE FROM indicator_table
WHERE condition = $1 AND extraction = $2 AND (period = 'month') = $3 AND day BETWEEN $4 AND $5
"""
TABLES_WRITTEN: Final = "SELECT count(*) FROM indicator_table WHERE extraction = $1"

# The counts of some days as they were told last.
TOLD: Final = """
SELECT DISTINCT ON (day) day, extraction, revised, packed FROM indicator_told
WHERE condition = $1 AND period = $2 AND day BETWEEN $3 AND $4 AND extraction <= $5
ORDER BY day, extraction DESC
"""
# The same, without the counts.
TOLD_DAYS: Final = """
SELECT DISTINCT ON (day) day, extraction, revised FROM indicator_told
WHERE condition = $1 AND period = $2 AND day BETWEEN $3 AND $4
ORDER BY day, extraction DESC
"""
KEEP_TOLD: Final = """
INSERT INTO indicator_told (condition, period, day, extraction, revised, revise_on, packed)
SELECT $1, $2, new.day, $3, $4, $5, new.packed
FROM unnest($6::integer[], $7::bytea[]) AS new (day, packed)
"""
DROP_BLOCK_TOLD: Final = """
DELETE FROM indicator_told
WHERE condition = $1 AND extraction = $2 AND (period = 'month') = $3 AND day BETWEEN $4 AND $5
"""
DROP_UNFINISHED_TOLD: Final = "DELETE FROM indicator_told WHERE extraction > $1"
# Only the last is needed; nobody can ask for it.
FORGET_TOLD: Final = """
DELETE FROM indicator_told t
WHERE t.extraction < $1 AND EXISTS (
    SELECT 1 FROM indicator_told n
    WHERE n.condition = t.condition AND n.period = t.period AND n.day = t.day
      AND n.extraction > t.extraction AND n.extraction <= $1
)
"""
# What a revision is due of.
REVISED: Final = """
SELECT t.condition, t.period, t.day, 0::bigint AS batch FROM indicator_told t
WHERE t.revise_on <= $1 AND NOT EXISTS (
    SELECT 1 FROM indicator_told n
    WHERE n.condition = t.condition AND n.period = t.period AND n.day = t.day
      AND n.extraction > t.extraction
)
"""

# What has changed up to a day, and what has not but may be told now that some days have passed. A
# month is kept under its first day, and settles after its last.
DUE: Final = """
SELECT condition, period, day, batch FROM indicator_due WHERE day <= $1
UNION
SELECT condition, period, day, 0 FROM indicator_cell WHERE day BETWEEN $2 AND $1
UNION
SELECT condition, period, day, 0 FROM indicator_cell
WHERE period = 'month' AND day BETWEEN $2 - 31 AND $1
"""

# Everything: after another policy, or another population.
ALL_TIMES: Final = """
SELECT condition, period, day, batch FROM indicator_due WHERE day <= $1
UNION
SELECT condition, period, day, 0 FROM indicator_cell WHERE day <= $1
"""

CELLS_OF_DAYS: Final = """
SELECT day, department, packed FROM indicator_cell
WHERE condition = $1 AND period = $2 AND day BETWEEN $3 AND $4
ORDER BY day, department
"""

CONDITIONS: Final = """
SELECT DISTINCT condition FROM indicator_cell WHERE period = 'day' AND day BETWEEN $1 AND $2
ORDER BY condition
"""

# What was decided last of a block.
SHOWN: Final = """
SELECT source, packed, extraction FROM indicator_shown
WHERE condition = $1 AND block = $2 AND extraction <= $3
ORDER BY extraction DESC LIMIT 1
"""

KEEP_SHOWN: Final = """
INSERT INTO indicator_shown (condition, block, extraction, source, packed)
VALUES ($1, $2, $3, $4, $5)
"""

# Writes a table, unless it is what was published last.
KEEP_TABLES: Final = """
INSERT INTO indicator_table (condition, period, day, level, extraction, figures)
SELECT new.condition, new.period, new.day, new.level, $1, new.figures
FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::bytea[])
  AS new (condition, period, day, level, figures)
WHERE NOT EXISTS (
    SELECT 1 FROM (
        SELECT t.figures FROM indicator_table t
        WHERE t.condition = new.condition AND t.period = new.period AND t.level = new.level
          AND t.day = new.day
        ORDER BY t.extraction DESC LIMIT 1
    ) AS last WHERE last.figures = new.figures
)
"""

KEEP_COMPLETENESS: Final = """
INSERT INTO indicator_completeness (extraction, condition, packed, areas) VALUES ($1, $2, $3, $4)
"""

# A clock that was ahead once does not stop later ones: times only ever grow.
FINISH: Final = """
INSERT INTO indicator_extraction (number, at, batch, events, lag, policy, tables)
SELECT $1, greatest($2, last.at + interval '1 microsecond'), batch, events, $3, $4, $5
FROM indicator_progress
LEFT JOIN (SELECT max(at) AS at FROM indicator_extraction) AS last ON true
RETURNING at
"""
EXISTS: Final = "SELECT EXISTS (SELECT FROM indicator_extraction WHERE number = $1)"
EXTRACTED: Final = """
UPDATE indicator_progress SET extracted_at = $1, wanted_at = NULL, is_catching_up = false
"""

# What is due no more: published as it is, and no window that is still to come needs it.
DONE: Final = """
DELETE FROM indicator_due
WHERE batch <= $1 AND day <= $2 AND (period = 'month' OR day <= $3)
"""

# Extractions that can be asked for no more: all but the newest $1.
ELDEST_KEPT: Final = """
SELECT number FROM indicator_extraction ORDER BY number DESC OFFSET $1 LIMIT 1
"""
FORGET_TABLES: Final = """
DELETE FROM indicator_table t
WHERE t.extraction < $1 AND EXISTS (
    SELECT 1 FROM indicator_table n
    WHERE n.condition = t.condition AND n.period = t.period AND n.level = t.level
      AND n.day = t.day AND n.extraction > t.extraction AND n.extraction <= $1
)
"""
FORGET_SHOWN: Final = """
DELETE FROM indicator_shown s
WHERE s.extraction < $1 AND EXISTS (
    SELECT 1 FROM indicator_shown n
    WHERE n.condition = s.condition AND n.block = s.block AND n.extraction > s.extraction
      AND n.extraction <= $1
)
"""
FORGET_COMPLETENESS: Final = "DELETE FROM indicator_completeness WHERE extraction < $1"
FORGET: Final = "DELETE FROM indicator_extraction WHERE number < $1"

# The times of a condition that were published, up to an extraction.
TIMES: Final = """
SELECT DISTINCT day FROM indicator_table
WHERE condition = $1 AND period = $2 AND level = $3 AND day BETWEEN $4 AND $5
  AND extraction <= $6
ORDER BY day LIMIT $7
"""

TABLES: Final = """
SELECT asked.day, held.extraction, held.figures
FROM unnest($4::integer[]) AS asked (day)
CROSS JOIN LATERAL (
    SELECT t.extraction, t.figures FROM indicator_table t
    WHERE t.condition = $1 AND t.period = $2 AND t.level = $3 AND t.day = asked.day
      AND t.extraction <= $5
    ORDER BY t.extraction DESC LIMIT 1
) AS held
ORDER BY asked.day
"""

COMPLETENESS: Final = """
SELECT packed, areas FROM indicator_completeness WHERE extraction = $1 AND condition = $2
"""

# The states of the tables of some times behind ($4, $7), and when each was published.
REVISIONS: Final = """
SELECT t.day, t.extraction, e.at, t.figures
FROM indicator_table t JOIN indicator_extraction e ON e.number = t.extraction
WHERE t.condition = $1 AND t.period = $2 AND t.level = $3 AND t.day <= $5
  AND (t.day, t.extraction) > ($4, $7) AND t.extraction <= $6
ORDER BY t.day, t.extraction LIMIT $8
"""

# What is published: conditions, periods, and from when to when.
CONTENTS: Final = """
SELECT condition, period, min(day) AS first, max(day) AS last
FROM indicator_table WHERE level = 'france' AND extraction <= $1
GROUP BY condition, period ORDER BY condition, period
"""
