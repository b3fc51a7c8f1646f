"""The parts of a micro-batch that need no database: cut, subjects, endings, figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from dedup.resolver import Resolution, Subject
from dedup.store import VersionRow
from ops.inbox import Passed
from ops.outcomes import OutcomeRow
from ops.placing import Placed
from ops.prepare import Prepared
from ops.publishing import Due, Published
from ops.runtime.lab_hours import LAB_HOURS
from ops.runtime.metrics import METRICS
from routing.case import PersonView
from schemas.finding import Finding, Level
from schemas.outcome import Dispatched, Duplicate, DuplicateReason, Outcome
from schemas.topics import Stream


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction handles: items, from where progress stands to where it will stand."""

    items: list[Prepared]
    positions: dict[int, int]
    next_offsets: dict[int, int]
    ends: Mapping[tuple[int, int], int]
    """Place of a partition's last record in the batch -> where the batch ends there, which may lie
    beyond the next offset (control records)."""


def by_keys(items: Sequence[Prepared], most: int) -> list[list[Prepared]]:
    """Cut a batch into runs of at most so many blocking keys, each with one message at least."""
    parts: list[list[Prepared]] = []
    keys = 0
    for item in items:
        more = len(item.keys.blocking) if item.keys is not None else 0
        if not parts or keys + more > most:
            parts.append([])
            keys = 0
        parts[-1].append(item)
        keys += more
    return parts


def unit_of(
    items: list[Prepared], stands: Mapping[int, int], ends: Mapping[tuple[int, int], int]
) -> Unit:
    """Return the unit of some items that follow each other in each partition."""
    lasts = {item.record.partition: item.record.offset for item in items}
    return Unit(
        items=items,
        positions={partition: stands[partition] for partition in lasts},
        next_offsets={p: ends.get((p, offset), offset + 1) for p, offset in lasts.items()},
        ends=ends,
    )


def subject_of(item: Prepared) -> Subject:
    """Return what the resolver is asked about a mapped record."""
    assert item.mapped is not None
    assert item.keys is not None
    return Subject(
        traits=item.mapped.traits,
        keys=item.keys,
        partition=item.record.partition,
        offset=item.record.offset,
    )


def versions_of(placed: Sequence[Sequence[Placed]]) -> list[VersionRow]:
    """Return the versions to write, in the order of the batch."""
    return [p.version for reports in placed for p in reports if p.version is not None]


def due_of(
    item: Prepared,
    resolution: Resolution,
    reports: Sequence[Placed],
    opposed: Collection[int],
) -> list[Due]:
    """Return the reports of a record whose streams must be looked at again."""
    assert item.mapped is not None
    person = PersonView(
        person_id=resolution.person_id,
        person_version=resolution.person_version,
        qualified_ins=resolution.qualified_ins,
        opposes_dossier=resolution.person_id in opposed,
    )
    return [
        Due(
            source=item.source,
            message=item.mapped,
            person=person,
            placed=placed,
            model_version=resolution.decision.model_version,
        )
        for placed in reports
        if placed.routes
    ]


def outcomes_of(
    passed: Passed,
    fresh: Sequence[Prepared],
    resolutions: Sequence[Resolution],
    placed: Sequence[Sequence[Placed]],
) -> list[OutcomeRow]:
    """Return the one ending of every record of a batch."""
    decided = {
        item.record.offset_place: (resolution, reports)
        for item, resolution, reports in zip(fresh, resolutions, placed, strict=True)
    }
    rows = []
    for item in passed.items:
        place = item.record.offset_place
        if place in passed.duplicates:
            original = passed.duplicates[place]
            same = Duplicate(reason=DuplicateReason.SAME_MESSAGE, original=original)
            rows.append(OutcomeRow(record=item.record, outcome=same, settles=item.settles))
        elif place in decided:
            rows.append(_decided(item, *decided[place]))
        else:
            assert item.outcome is not None
            rows.append(
                OutcomeRow(
                    record=item.record,
                    outcome=item.outcome,
                    findings=item.findings,
                    settles=item.settles,
                )
            )
    return rows


def _decided(item: Prepared, resolution: Resolution, reports: Sequence[Placed]) -> OutcomeRow:
    ids = tuple(placed.report_id for placed in reports)
    nothing_new = not any(placed.version or placed.routes for placed in reports)
    outcome: Outcome = Dispatched(report_ids=ids)
    if nothing_new and reports and item.settles is None:
        outcome = Duplicate(reason=DuplicateReason.SAME_CONTENT, report_ids=ids)
    more: tuple[Finding, ...] = tuple(p.finding for p in reports if p.finding is not None)
    return OutcomeRow(
        record=item.record,
        outcome=outcome,
        person_id=resolution.person_id,
        findings=item.findings + more,
        settles=item.settles,
    )


def count(rows: Sequence[OutcomeRow], published: Published, now: datetime, seconds: float) -> None:
    """Count a batch once it is committed."""
    METRICS.batch_messages.observe(len(rows))
    METRICS.batch_seconds.observe(seconds)
    ends: Counter[tuple[str, str]] = Counter()
    waits: list[float] = []
    for row in rows:
        kind = "replay" if row.settles is not None else type(row.outcome).__name__.lower()
        ends[kind, str(getattr(row.outcome, "reason", ""))] += 1
        if row.settles is None:
            flagged = any(finding.level is not Level.INFO for finding in row.findings)
            LAB_HOURS.ended(row.record.lab_id, row.record.received_at, kind, flagged=flagged)
        if isinstance(row.outcome, Dispatched) and row.settles is None:
            waits.append(max(0.0, (now - row.record.received_at).total_seconds()))
    METRICS.in_to_readable_seconds.observe_all(waits)
    METRICS.in_to_taken_seconds.observe_all([max(0.0, wait - seconds) for wait in waits])
    for (kind, reason), n in ends.items():
        METRICS.outcomes.labels(kind, reason).inc(n)
    _count_readable(rows, published, now)
    published.count()


def _count_readable(rows: Sequence[OutcomeRow], published: Published, now: datetime) -> None:
    """Say how long each event took from its message; what a correction moved besides is not new."""
    received = {
        report: row.record.received_at
        for row in rows
        if isinstance(row.outcome, Dispatched) and row.settles is None
        for report in row.outcome.report_ids
    }
    waited: dict[Stream, list[float]] = {}
    for event in published.events:
        at = received.get(event.report_id)
        if at is not None:
            waited.setdefault(event.stream, []).append(max(0.0, (now - at).total_seconds()))
    for stream, seconds in waited.items():
        METRICS.readable_seconds.labels(stream.value).observe_all(seconds)
