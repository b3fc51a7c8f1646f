"""Events of public-health out of a seed: a few people around the end of a half-year, and bad days.

Rows say what they please of cases and windows: indicators count what rows say, and nothing is
assumed of rows that dispatch would not send.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec

from routing.indicator_rows import Heard, RowKey, hear
from routing.pseudonym import next_period_of, period_of
from schemas.events import EventKind, PseudonymReplaced, PublicHealthRow

CONDITIONS: Final = ("sars-cov-2", "influenza-a", "hiv")
MONTHLY: Final = "hiv"
"""Declared anonymously: its rows say no more than the month."""
PERIODS: Final = ("2026-H1", "2026-H2")


class Told(msgspec.Struct, frozen=True):
    """One event."""

    report_id: UUID
    part: str
    version: int
    body: PublicHealthRow | PseudonymReplaced | None
    """None: withdrawn."""

    @property
    def kind(self) -> EventKind:
        """As its header says."""
        return EventKind.WITHDRAWN if self.body is None else EventKind.REVISED

    def heard(self) -> Heard:
        """Return it as indicators hear it, through its bytes."""
        body = None if self.body is None else msgspec.json.encode(self.body)
        return hear(self.report_id, self.part, self.version, body)

    @property
    def key(self) -> RowKey:
        """What it is a version of."""
        return RowKey(self.report_id, self.part)


def public_health_row(**changes: Any) -> PublicHealthRow:
    """Return a row: a woman's positive test of 6 March 2026 in Paris, unless told otherwise."""
    values: dict[str, Any] = {
        "pseudonym": "ab" * 16,
        "pseudonym_period": "2026-H1",
        "age": 33,
        "age_class": "39",
        "sex": "F",
        "residence_commune": "75056",
        "residence_department": "75",
        "residence_imputed": False,
        "laboratory_finess": "750000018",
        "condition": "sars-cov-2",
        "case_id": "c" * 32,
        "line": "first",
        "test_code": "94500-6",
        "method": "rna",
        "result": "positive",
        "second_line_result": "",
        "status": "F",
        "sampled_on": "2026-03-06",
        "reported_on": "2026-03-06",
        "received_on": "2026-03-06",
        "new_case": True,
        "recent_positive": False,
    }
    values |= changes
    day = date.fromisoformat(values["sampled_on"])
    values.setdefault("pseudonym_next_period", next_period_of(day))
    return PublicHealthRow(**values)


def events_of(random: Random, reports: int, people: int, days: int) -> list[Told]:
    """Return events of reports with all their versions, in the order of their partition.

    Args:
        random: Decides all.
        reports: How many, each with one to four versions.
        people: How many they are about; of some, two pseudonyms are joined, and some parted again.
        days: Before and after the end of June on which they were sampled.
    """
    told = [each for number in range(reports) for each in _report(random, number, people, days)]
    for number in range(random.randrange(1 + people // 2)):
        told += _alias(random, number, people)
    return told


def newest_first_reception(told: Sequence[Told]) -> list[Told]:
    """Return what a consumer holds at the end: of each key the newest version, and no other."""
    newest: dict[RowKey, Told] = {}
    for each in told:
        if each.key not in newest or newest[each.key].version < each.version:
            newest[each.key] = each
    return list(newest.values())


def cut(random: Random, told: Sequence[Told], pieces: int) -> Iterator[Sequence[Told]]:
    """Cut events into batches."""
    places = sorted(random.randrange(len(told) + 1) for _ in range(pieces - 1))
    for begin, end in zip((0, *places), (*places, len(told)), strict=True):
        yield told[begin:end]


def heard(told: Iterable[Told]) -> list[Heard]:
    """Return events as indicators hear them."""
    return [each.heard() for each in told]


def pseudonym(person: int, period: str) -> str:
    """Return a pseudonym of a person in a half-year."""
    return f"{person:08x}{period.encode().hex():0>24}"


def _report(random: Random, number: int, people: int, days: int) -> Iterator[Told]:
    condition = random.choice(CONDITIONS)
    person, report_id = random.randrange(people), UUID(int=number + 1)
    sampled = date(2026, 7, 1) + timedelta(days=random.randrange(-days, days))
    for version in range(1, 1 + random.choice((1, 1, 1, 2, 3, 4))):
        if version > 1 and random.random() < 0.25:
            yield Told(report_id, condition, version, None)
            continue
        if random.random() < 0.1:  # it is about somebody else, or of another day
            person = random.randrange(people)
            sampled += timedelta(days=random.randrange(-3, 4))
        yield Told(report_id, condition, version, _row(random, condition, person, sampled))


def _row(random: Random, condition: str, person: int, sampled: date) -> PublicHealthRow:
    delay = random.choice((-1, 0, 0, 1, 1, 2, 3, 30))
    received = sampled + timedelta(days=delay)
    line = random.choice(("first",) * 6 + ("second", ""))
    result = random.choice(("positive", "positive", "negative", "indeterminate", "unusable"))
    period, following = period_of(sampled), next_period_of(sampled)
    is_known = random.random() < 0.95
    if condition == MONTHLY:
        sampled, received = sampled.replace(day=1), received.replace(day=1)
    is_first, is_positive = line == "first", result == "positive"
    return public_health_row(
        pseudonym=pseudonym(person, period) if is_known else "",
        pseudonym_period=period,
        pseudonym_next=pseudonym(person, following) if following and is_known else "",
        pseudonym_next_period=following,
        age_class=random.choice(("09", "39", "90", "")),
        sex=random.choice("FMU"),
        residence_department=random.choice(("75", "2A", "")),
        residence_imputed=random.random() < 0.2,
        condition=condition,
        line=line,
        result="" if line == "second" else result,
        second_line_result=result if line == "second" else "",
        sampled_on=sampled.isoformat(),
        received_on=received.isoformat(),
        sampled_on_imputed=random.random() < 0.1,
        new_case=random.random() < 0.5 if is_first and is_positive else None,
        recent_positive=random.random() < 0.3 if is_first else None,
        variant=random.choice(("", "A0B1", "C1", "BA.2.86")) if is_first and is_positive else "",
        dates="month" if condition == MONTHLY else "day",
    )


def _alias(random: Random, number: int, people: int) -> Iterator[Told]:
    period = random.choice(PERIODS)
    old, new = random.randrange(people), random.randrange(people)
    report_id = UUID(int=(1 << 100) + number)
    body = PseudonymReplaced(old=pseudonym(old, period), new=pseudonym(new, period), period=period)
    yield Told(report_id, "", 1, body)
    if random.random() < 0.5:
        yield Told(report_id, "", 2, None)
        if random.random() < 0.3:
            yield Told(report_id, "", 3, body)
