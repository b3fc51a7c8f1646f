"""The same indicators by SQL, written from docs/indicator-rules.md and not from the code.

It knows neither books nor deltas: DuckDB counts all from the raw events, each time anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import msgspec
import pyarrow as pa

from schemas.events import PseudonymReplaced, PublicHealthRow

from .indicator_events import Told

# The newest version of each key, with the day it was first received. What was withdrawn is gone.
NEWEST: Final = """
CREATE TEMP TABLE newest AS
WITH first AS (
    SELECT report_id, part, min(received_on) AS first_received FROM events
    WHERE record = 'result' GROUP BY ALL
)
SELECT e.*, f.first_received FROM events e LEFT JOIN first f USING (report_id, part)
QUALIFY row_number() OVER (PARTITION BY report_id, part ORDER BY event_version DESC) = 1
"""

# For each pseudonym that an alias names, the least one of all that stand for the same person.
SAME: Final = """
CREATE TEMP TABLE same AS
WITH RECURSIVE edge AS (
    SELECT period, old AS one, new AS other FROM newest WHERE record = 'pseudonym_replaced'
    UNION SELECT period, new, old FROM newest WHERE record = 'pseudonym_replaced'
), reach AS (
    SELECT period, one, other FROM edge
    UNION SELECT r.period, r.one, e.other FROM reach r JOIN edge e
      ON e.period = r.period AND e.one = r.other
)
SELECT period, one AS pseudonym, least(one, min(other)) AS person FROM reach GROUP BY period, one
"""

# Rows that count, each on its day. Half-years by their last day.
COUNTED: Final = """
CREATE TEMP TABLE counted AS
SELECT report_id, condition, residence_department AS department, age_class, sex,
       least(greatest(sampled_on, DATE '2000-01-01'), first_received) AS day,
       first_received, dates = 'month' AS monthly, residence_imputed, variant, line, result,
       sampled_on_imputed OR sampled_on > first_received AS by_reception,
       line = 'first' AND result IN ('positive', 'negative', 'indeterminate') AS is_test,
       coalesce(new_case, false) AS is_case, NOT coalesce(recent_positive, false) AS is_eligible,
       pseudonym_period AS half_year, pseudonym_next_period AS next_half_year,
       coalesce(own.person, nullif(n.pseudonym, ''), 'report ' || report_id) AS person,
       coalesce(soon.person, nullif(n.pseudonym_next, ''), 'report ' || report_id) AS next_person,
       CASE right(pseudonym_period, 1)
            WHEN '1' THEN make_date(left(pseudonym_period, 4)::int, 6, 30)
            ELSE make_date(left(pseudonym_period, 4)::int, 12, 31) END AS half_year_ends
FROM newest n
LEFT JOIN same own ON own.period = n.pseudonym_period AND own.pseudonym = n.pseudonym
LEFT JOIN same soon
       ON soon.period = n.pseudonym_next_period AND soon.pseudonym = n.pseudonym_next
WHERE record = 'result' AND line <> 'second'
"""

# Counts of rows.
OF_ROWS: Final = """
SELECT condition, CASE WHEN monthly THEN 'month' ELSE 'day' END AS period, day, department,
       age_class, sex,
       count(*) FILTER (is_test) AS TESTS,
       count(*) FILTER (is_test AND result = 'positive') AS POSITIVE_TESTS,
       count(*) FILTER (is_test AND result = 'indeterminate') AS INDETERMINATE_TESTS,
       count(*) FILTER (result = 'unusable') AS UNUSABLE,
       count(*) FILTER (is_test AND residence_imputed) AS IMPUTED_TESTS,
       count(*) FILTER (is_test AND by_reception) AS BY_RECEPTION_TESTS,
       count(*) FILTER (line = '' AND result <> 'unusable') AS OTHER_TESTS,
       count(*) FILTER (line = '' AND result = 'positive') AS OTHER_POSITIVE_TESTS,
       count(*) FILTER (is_test AND regexp_full_match(variant, '([A-D][01])+')) AS SCREENED,
       count(*) FILTER (is_test AND variant <> ''
                        AND NOT regexp_full_match(variant, '([A-D][01])+')) AS SEQUENCED,
       {letters}
FROM counted GROUP BY ALL
"""
LETTERS: Final = ",\n       ".join(
    "count(*) FILTER (is_test AND regexp_full_match(variant, '([A-D][01])+')"
    f" AND contains(variant, '{mark}')) AS {mark}"
    for mark in ("A0", "A1", "B0", "B1", "C0", "C1", "D0", "D1")
)

# Persons of a day or month: one row each, in the place of the test that weighs most.
OF_DAYS: Final = """
WITH persons AS (
    SELECT condition, monthly, half_year, person, day,
           arg_max(struct_pack(department, age_class, sex), struct_pack(
               c := is_case, p := result = 'positive', d := day, o := department,
               a := age_class, s := sex)) AS spot,
           bool_or(result = 'positive') AS positive, bool_or(is_eligible) AS eligible,
           bool_or(is_case) AS has_case
    FROM counted WHERE is_test GROUP BY ALL
)
SELECT condition, CASE WHEN monthly THEN 'month' ELSE 'day' END AS period, day, spot.department,
       spot.age_class, spot.sex, count(*) AS PERSONS,
       count(*) FILTER (positive) AS POSITIVE_PERSONS,
       count(*) FILTER (eligible) AS ELIGIBLE_PERSONS, count(*) FILTER (has_case) AS CASES
FROM persons GROUP BY ALL
"""

# Persons of a window; {ends}: on which days windows end that a row is in.
OF_WINDOWS: Final = """
WITH ended AS (
    SELECT *, unnest({ends})::date AS ends_on FROM counted WHERE is_test AND NOT monthly
), known AS (
    SELECT *, CASE WHEN ends_on <= half_year_ends THEN half_year ELSE next_half_year END AS span,
           CASE WHEN ends_on <= half_year_ends THEN person ELSE next_person END AS who
    FROM ended
), persons AS (
    SELECT condition, span, who, ends_on,
           arg_max(struct_pack(department, age_class, sex), struct_pack(
               c := is_case, p := result = 'positive', d := day, o := department,
               a := age_class, s := sex)) AS spot,
           bool_or(result = 'positive') AS positive, bool_or(is_eligible) AS eligible,
           bool_or(is_case) AS has_case
    FROM known GROUP BY ALL
)
SELECT condition, 'day' AS period, ends_on AS day, spot.department, spot.age_class, spot.sex,
       count(*) AS PERSONS_7, count(*) FILTER (positive) AS POSITIVE_PERSONS_7,
       count(*) FILTER (eligible) AS ELIGIBLE_PERSONS_7, count(*) FILTER (has_case) AS CASES_7
FROM persons GROUP BY ALL
"""
SEVEN_DAYS: Final = "generate_series(day, day + 6, INTERVAL 1 DAY)"
SUNDAY: Final = "[date_trunc('week', day)::date + 6]"

# Delays of tests that count on a known day of sampling.
OF_DELAYS: Final = """
SELECT condition, day, department, least(first_received - day, 22) AS delay, count(*) AS tests,
       count(*) FILTER (result = 'positive') AS positive_tests
FROM counted WHERE is_test AND NOT monthly AND NOT by_reception GROUP BY ALL
"""

_FIELDS: Final = (
    "record", "pseudonym", "pseudonym_period", "age_class", "sex", "residence_department",
    "residence_imputed", "condition", "line", "result", "sampled_on", "received_on",
    "sampled_on_imputed", "new_case", "recent_positive", "variant", "pseudonym_next",
    "pseudonym_next_period", "dates", "old", "new", "period",
)  # fmt: skip
_DATES: Final = frozenset({"sampled_on", "received_on"})
_FLAGS: Final = frozenset(
    {"residence_imputed", "sampled_on_imputed", "new_case", "recent_positive"}
)

# The events of an export. What is an empty text in the stream is null there; of what is withdrawn
# every column of the body is null.
OF_FILES: Final = """
CREATE TEMP TABLE events AS
SELECT report_id, coalesce(part, '') AS part, event_version,
       CASE WHEN kind <> 'withdrawn' THEN 'result' END AS record, {texts}, residence_imputed,
       sampled_on, received_on, sampled_on_imputed, new_case, recent_positive,
       NULL AS old, NULL AS new, NULL AS period
FROM read_parquet('{folder}/result/**/*.parquet')
UNION ALL BY NAME
SELECT report_id, coalesce(part, '') AS part, event_version,
       CASE WHEN kind <> 'withdrawn' THEN 'pseudonym_replaced' END AS record, old, new, period
FROM read_parquet('{folder}/pseudonym_replaced/**/*.parquet')
"""
TEXTS: Final = ", ".join(
    f"coalesce({field}, '') AS {field}"
    for field in _FIELDS
    if field not in _DATES | _FLAGS | {"record", "old", "new", "period"}
)

Cells = dict[tuple[Any, ...], dict[str, int]]


class Counted:
    """What SQL counts of events.

    Args:
        events: All of them, of all versions: a relation `events` is made of it.
    """

    def __init__(self, events: pa.Table | str) -> None:
        self._db = duckdb.connect(config={"threads": 1})
        if isinstance(events, str):
            self._db.execute(events)
        else:
            self._db.register("events", events)
        for statement in (NEWEST, SAME, COUNTED):
            self._db.execute(statement)

    @classmethod
    def of_events(cls, told: Sequence[Told]) -> Self:
        """Count events in memory."""
        return cls(_table(told))

    @classmethod
    def of_files(cls, folder: Path) -> Self:
        """Count what `labdispatch export public-health --state events` has written."""
        return cls(OF_FILES.format(folder=folder, texts=TEXTS))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def cells(self) -> Cells:
        """Return all cells that are not zero, by (condition, period, day, place, age, sex)."""
        found: Cells = {}
        for statement in (
            OF_ROWS.format(letters=LETTERS),
            OF_DAYS,
            OF_WINDOWS.format(ends=SEVEN_DAYS),
        ):
            self._into(found, statement)
        return {key: counts for key, counts in found.items() if counts}

    def weeks(self) -> Cells:
        """Return persons by ISO week, each under its Sunday."""
        found: Cells = {}
        self._into(found, OF_WINDOWS.format(ends=SUNDAY))
        return found

    def delays(self) -> dict[tuple[Any, ...], tuple[int, int]]:
        """Return tests and positive tests by (condition, day, place, delay)."""
        return {tuple(row[:4]): (row[4], row[5]) for row in self._db.execute(OF_DELAYS).fetchall()}

    def _into(self, found: Cells, statement: str) -> None:
        cursor = self._db.execute(statement)
        names = [each[0] for each in cursor.description][6:]
        for row in cursor.fetchall():
            counts = {name: count for name, count in zip(names, row[6:], strict=True) if count}
            found.setdefault(tuple(row[:6]), {}).update(counts)


def _table(told: Iterable[Told]) -> pa.Table:
    rows = list(told)
    bodies = [{} if each.body is None else msgspec.structs.asdict(each.body) for each in rows]
    columns = {
        "report_id": pa.array([each.report_id.hex for each in rows], pa.string()),
        "part": pa.array([each.part for each in rows], pa.string()),
        "event_version": pa.array([each.version for each in rows], pa.int32()),
    }
    for field in _FIELDS:
        values = [body.get(field) for body in bodies]
        if field in _DATES:
            days = [date.fromisoformat(value) if value else None for value in values]
            columns[field] = pa.array(days, pa.date32())
        else:
            columns[field] = pa.array(values, pa.bool_() if field in _FLAGS else pa.string())
    return pa.table(columns)


assert set(_FIELDS) <= set(PublicHealthRow.__struct_fields__) | set(
    PseudonymReplaced.__struct_fields__
), "SQL reads what bodies hold"
