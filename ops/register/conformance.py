"""How well a laboratory's software writes its messages: counts, score, findings, trend.

The score is 100 for a message without error or warning, 50 for one with warnings only, 0 for one
that was refused, could not be mapped or has an error; and the mean of these over all messages.
An info never counts. What was counted, and what was not: `ops/register/tally.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from ops.printing import table_of
from ops.runtime.postgres import Connection

from .labs import find_lab

DAYS: Final = 30
"""How far back a report looks where nothing is said."""
_DAILY: Final = 35
"""The most days that a trend shows one by one; longer ones go by week."""
_WARNED_WEIGHT: Final = 50.0

COUNTS: Final = """
SELECT l.registry_id, s.application, s.vendor, s.product, s.version, d.day, d.messages, d.refused,
       d.failed, d.warned, d.clean
FROM conformance_day d
JOIN lab l ON l.lab_id = d.lab_id
JOIN lab_software s ON s.software_id = d.software_id
WHERE ($1::integer IS NULL OR d.lab_id = $1) AND d.day >= $2
  AND ($3 = '' OR $3 IN (lower(s.application), lower(s.vendor), lower(s.product)))
ORDER BY l.registry_id, s.software_id, d.day
"""

FINDINGS: Final = """
SELECT l.registry_id, s.application, s.vendor, s.product, s.version, f.code, f.level,
       sum(f.messages)::bigint AS messages, sum(f.times)::bigint AS times,
       min(f.first_seen_at) AS first_seen_at, max(f.last_seen_at) AS last_seen_at
FROM conformance_finding f
JOIN lab l ON l.lab_id = f.lab_id
JOIN lab_software s ON s.software_id = f.software_id
WHERE ($1::integer IS NULL OR f.lab_id = $1) AND f.day >= $2
  AND ($3 = '' OR $3 IN (lower(s.application), lower(s.vendor), lower(s.product)))
GROUP BY l.registry_id, s.software_id, s.application, s.vendor, s.product, s.version, f.code,
         f.level
"""


class Counted(msgspec.Struct, kw_only=True):
    """Messages by how they stood; `failed` holds the refused ones too."""

    messages: int = 0
    refused: int = 0
    failed: int = 0
    warned: int = 0
    clean: int = 0

    def add(self, other: Counted) -> None:
        """Add the counts of another."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def score(self) -> float | None:
        """0 to 100, one decimal; None without a message."""
        return score_of(messages=self.messages, warned=self.warned, clean=self.clean)


class FindingCount(msgspec.Struct, frozen=True, kw_only=True):
    """A finding over the period."""

    code: str
    level: str
    messages: int
    times: int
    first_seen_at: datetime
    last_seen_at: datetime


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a trend: a day, or the week that begins with it."""

    begins_on: date
    messages: int
    score: float | None


class Conformance(msgspec.Struct, frozen=True, kw_only=True):
    """The report of one laboratory and one of its programs."""

    laboratory: str
    application: str
    vendor: str
    product: str
    version: str
    messages: int
    refused: int
    failed: int
    warned: int
    clean: int
    score: float | None
    findings: list[FindingCount]
    trend_by: str
    trend: list[Period]


class ConformanceReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report since a day (UTC): the whole, and each laboratory's programs, the worst first."""

    since: date
    messages: int
    score: float | None
    reports: list[Conformance]


def score_of(*, messages: int, warned: int, clean: int) -> float | None:
    """Return the score: the mean of 100 (clean), 50 (warnings only) and 0 over the messages."""
    if not messages:
        return None
    return round((100.0 * clean + _WARNED_WEIGHT * warned) / messages, 1)


def trend_of(
    days: Iterable[tuple[date, Counted]], since: date, until: date
) -> tuple[str, list[Period]]:
    """Return the steps of a trend and what a step is: days, or from 36 days on ISO weeks. Pure."""
    by = "day" if (until - since).days < _DAILY else "week"
    steps: dict[date, Counted] = {}
    for day, counted in days:
        begin = day if by == "day" else day - timedelta(days=day.weekday())
        steps.setdefault(begin, Counted()).add(counted)
    return by, [
        Period(begins_on=begin, messages=step.messages, score=step.score)
        for begin, step in sorted(steps.items())
    ]


async def report_conformance(
    connection: Connection,
    *,
    registry_id: str | None,
    vendor: str,
    since: date | None,
    today: date,
) -> ConformanceReport:
    """Draw up the report.

    Args:
        connection: To read with.
        registry_id: Of one laboratory, or None for all.
        vendor: Only programs whose MSH-3, SFT-1 or SFT-3 is this name (case does not matter);
            empty for all.
        since: The first day (UTC); None for the last 30 days.
        today: The last day, by which a trend goes by day or by week.

    Raises:
        PermanentError: No such laboratory.
    """
    lab_id = None
    if registry_id is not None:
        lab_id = (await find_lab(connection, registry_id)).lab_id
    first = since or today - timedelta(days=DAYS - 1)
    asked = (lab_id, first, vendor.strip().lower())
    days = await connection.fetch(COUNTS, *asked)
    findings = await connection.fetch(FINDINGS, *asked)
    return draw(days, findings, since=first, today=today)


def draw(
    days: Sequence[Any], findings: Sequence[Any], *, since: date, today: date
) -> ConformanceReport:
    """Draw the report up from what was counted; pure."""
    by_program: dict[tuple[str, ...], list[tuple[date, Counted]]] = {}
    for row in days:
        counted = Counted(**{name: row[name] for name in Counted.__struct_fields__})
        by_program.setdefault(_program(row), []).append((row["day"], counted))
    found: dict[tuple[str, ...], list[FindingCount]] = {}
    for row in findings:
        one = FindingCount(**{name: row[name] for name in FindingCount.__struct_fields__})
        found.setdefault(_program(row), []).append(one)
    whole = Counted()
    reports = []
    for program, counts in by_program.items():
        total = Counted()
        for _, counted in counts:
            total.add(counted)
        whole.add(total)
        by, trend = trend_of(counts, since, today)
        laboratory, application, vendor, product, version = program
        reports.append(
            Conformance(
                laboratory=laboratory,
                application=application,
                vendor=vendor,
                product=product,
                version=version,
                **msgspec.structs.asdict(total),
                score=total.score,
                findings=sorted(found.get(program, []), key=_weight),
                trend_by=by,
                trend=trend,
            )
        )
    reports.sort(key=lambda r: (r.score if r.score is not None else 101, -r.messages, r.laboratory))
    return ConformanceReport(
        since=since, messages=whole.messages, score=whole.score, reports=reports
    )


def as_text(report: ConformanceReport) -> str:
    """Write the report for a person: a table, then each program's findings and trend."""
    if not report.reports:
        return f"no message was counted since {report.since}\n"
    out = [f"since {report.since}: {report.messages:,} messages, score {report.score}\n\n"]
    head = ("laboratory", "software", "messages", "refused", "failed", "warned", "clean", "score")
    out.append(
        table_of(
            head,
            [
                (r.laboratory, _name(r), r.messages, r.refused, r.failed, r.warned, r.clean,
                 str(r.score))
                for r in report.reports
            ],
        )
    )  # fmt: skip
    for one in report.reports:
        out.append(f"\n{one.laboratory}  {_name(one)}\n")
        if one.findings:
            rows = [
                (f.code, f.level, f.messages, f.times, f"{f.first_seen_at:%Y-%m-%d %H:%M}",
                 f"{f.last_seen_at:%Y-%m-%d %H:%M}")
                for f in one.findings
            ]  # fmt: skip
            out.append(table_of(("finding", "level", "messages", "times", "first", "last"), rows))
        steps = ", ".join(f"{p.begins_on} {p.score} ({p.messages:,})" for p in one.trend)
        out.append(f"score by {one.trend_by}: {steps}\n")
    return "".join(out)


def _name(one: Conformance) -> str:
    parts = [one.application, " ".join(filter(None, (one.vendor, one.product, one.version)))]
    return " / ".join(filter(None, parts)) or "(no name)"


def _program(row: Any) -> tuple[str, ...]:
    return (row["registry_id"], row["application"], row["vendor"], row["product"], row["version"])


_LEVELS: Final = {"error": 0, "warning": 1, "info": 2}


def _weight(finding: FindingCount) -> tuple[int, int, str]:
    return _LEVELS.get(finding.level, 3), -finding.messages, finding.code
