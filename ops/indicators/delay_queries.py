"""The SQL of delays: telling them once, and reading what was told."""

from __future__ import annotations

from typing import Final

# Weeks whose tests are published, that are old enough, and were not told by this policy; the newest
# first.
DUE: Final = """
SELECT weeks.condition, weeks.day, last.shown FROM (
    SELECT DISTINCT condition, day FROM indicator_table
    WHERE period = 'week' AND level = 'france' AND day <= $1
) AS weeks
LEFT JOIN LATERAL (
    SELECT d.policy, d.shown FROM indicator_delay d
    WHERE d.condition = weeks.condition AND d.day = weeks.day
    ORDER BY d.extraction DESC LIMIT 1
) AS last ON true
WHERE last.policy IS DISTINCT FROM $2
ORDER BY weeks.day DESC, weeks.condition LIMIT $3
"""

KEEP: Final = """
INSERT INTO indicator_delay (condition, day, extraction, policy, shown, figures)
SELECT new.condition, new.day, $1, $2, new.shown, new.figures
FROM unnest($3::text[], $4::integer[], $5::bytea[], $6::bytea[])
  AS new (condition, day, shown, figures)
"""

# What was told of some weeks, as of an extraction.
TOLD: Final = """
SELECT DISTINCT ON (day) day, extraction, figures FROM indicator_delay
WHERE condition = $1 AND day BETWEEN $2 AND $3 AND extraction <= $4
ORDER BY day, extraction DESC LIMIT $5
"""

# The last told weeks of a condition.
LATEST: Final = """
SELECT DISTINCT ON (day) day, extraction, figures FROM indicator_delay
WHERE condition = $1 AND day BETWEEN $2 AND $3
ORDER BY day DESC, extraction DESC LIMIT $4
"""

FORGET: Final = """
DELETE FROM indicator_delay t
WHERE t.extraction < $1 AND EXISTS (
    SELECT 1 FROM indicator_delay n
    WHERE n.condition = t.condition AND n.day = t.day AND n.extraction > t.extraction
      AND n.extraction <= $1
)
"""
