"""Which keys of days a restored database lacks, and how that is told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from ops.backup.lacking import Lacking, lacking, told
from ops.runtime.vault import DayKey, SealClass

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(6)]
LAST = datetime(2026, 3, 6, 23, 59, tzinfo=UTC)


def names(*without: tuple[SealClass, date]) -> set[str]:
    every = {DayKey(each, day) for each in SealClass for day in DAYS}
    return {key.name for key in every - {DayKey(*each) for each in without}}


def test_nothing_is_missing_where_every_day_has_its_keys() -> None:
    days = [f"{day}" for day in DAYS]
    assert lacking(names(), days, [], LAST) == []
    assert told([], none_given=False) == ""
    assert lacking(set(), [], [], None) == [], "a database without a day needs none"


def test_each_class_has_its_days_and_says_what_they_mean() -> None:
    gone = names((SealClass.INTAKE, DAYS[1]), (SealClass.INTAKE, DAYS[5]), (SealClass.CODES, FIRST))
    found = lacking(gone, [f"{day}" for day in DAYS[:5]], [], LAST)
    assert [(each.sealed, each.days) for each in found] == [
        ("intake", [DAYS[1], DAYS[5]]),
        ("codes", [FIRST]),
    ], "the last day is not in the account yet"
    said = told(found, none_given=False)
    assert "intake         2026-03-02, 2026-03-06: messages as they came" in said
    assert "BEFORE the first start" in said


def test_what_a_purge_has_destroyed_is_not_missing() -> None:
    days = [f"{day}" for day in DAYS]
    there = names(*((SealClass.STREAM, day) for day in DAYS[:3]))
    assert lacking(there, days, ["names 2026-03-04"], LAST) == []
    (found,) = lacking(there, days, ["names 2026-03-03", "intake 2026-03-06"], LAST)
    assert (found.sealed, found.days) == ("stream", [DAYS[2]])


def test_days_in_a_row_are_told_as_one() -> None:
    found = Lacking(sealed="intake", days=[*DAYS[:3], DAYS[4]], means="m")
    said = told([found], none_given=True)
    assert "2026-03-01..2026-03-03, 2026-03-05: m" in said
    assert "MISSING" not in said, "nobody has named any yet"
