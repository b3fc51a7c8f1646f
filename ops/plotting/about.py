"""What a picture is of, and what is read of a figure to draw it. Pure.

Only published figures are drawn, as disclosure control left them: what is withheld is shown as
withheld, never as zero and never guessed from what stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from schemas.areas import code_of, departments, is_region, regions
from schemas.codes.conditions import CONDITIONS
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, Extraction, Figure, Flag, Period

MOST_TIMES: Final = 1_100
"""Days or weeks in one picture: three years of days. More cannot be told apart on it."""
COMPLETE: Final = 0.95
"""From this share on a time is drawn as complete."""


class Measure(StrEnum):
    """What is drawn of a figure: the name of its field."""

    CASES = "cases"
    TESTS = "tests"
    POSITIVE_TESTS = "positive_tests"
    PERSONS = "persons"
    POSITIVE_PERSONS = "positive_persons"
    INCIDENCE = "incidence"
    POSITIVITY = "positivity"
    SCREENING = "screening"


WORDS: Final = {
    Measure.CASES: "new cases",
    Measure.TESTS: "tests",
    Measure.POSITIVE_TESTS: "positive tests",
    Measure.PERSONS: "persons tested",
    Measure.POSITIVE_PERSONS: "persons positive",
    Measure.INCIDENCE: "new cases per 100,000",
    Measure.POSITIVITY: "positivity, %",
    Measure.SCREENING: "persons tested per 100,000",
}
PERIODS: Final = {
    Period.DAY: "by day of sampling",
    Period.SEVEN_DAYS: "7 days ending on the day",
    Period.WEEK: "by ISO week",
    Period.MONTH: "by month",
}


_SEXES: Final = {"F": "women", "M": "men"}


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What all figures of a picture have in common, and what must be said below it."""

    measure: Measure
    extraction: Extraction | None = None
    """The state that is shown; None of figures that are of no instance."""
    note: str = ""
    """What else a reader must know: that all of it is simulated, for one."""


def value_of(figure: Figure, measure: Measure) -> float | None:
    """Return what is drawn; None where it is withheld or not known."""
    value = getattr(figure, measure.value)
    return None if value is None else float(value)


def known_of(figures: Iterable[Figure], measure: Measure) -> list[float]:
    """Return the values that are neither withheld nor unknown."""
    values = (value_of(figure, measure) for figure in figures)
    return [value for value in values if value is not None]


def expected_of(figure: Figure, measure: Measure) -> tuple[float, float, float] | None:
    """Return what will stand there in the end, with its bounds; None where that is not estimated.

    Completeness is of tests. A count is taken to be as complete as the tests; the positivity is
    a share of what has come, and is not scaled.
    """
    value, share = value_of(figure, measure), figure.completeness
    if value is None or not share or measure is Measure.POSITIVITY:
        return None
    high = figure.completeness_high or share
    low = figure.completeness_low or share
    return value / share, value / max(high, share), value / min(low, share)


def is_incomplete(figure: Figure) -> bool:
    """Return whether results of its time are still to come."""
    if figure.completeness is None:
        return Flag.INCOMPLETE in figure.flags
    return figure.completeness < COMPLETE


def ordered(figures: Iterable[Figure]) -> list[Figure]:
    """Return the figures of one area, age class and sex by time.

    Raises:
        PermanentError: There are none, more than a picture shows, or two of one time.
    """
    found = sorted(figures, key=lambda figure: figure.label)
    if not found:
        raise PermanentError("nothing_to_draw", remedy=NOTHING)
    check_times(figure.label for figure in found)
    if len({figure.label for figure in found}) < len(found):
        raise PermanentError("too_many_areas", remedy="A curve is of one area, age class and sex.")
    return found


def check_times(labels: Iterable[str]) -> None:
    """Refuse more days or weeks than can be told apart."""
    if len(set(labels)) > MOST_TIMES:
        raise PermanentError(
            "too_many_times",
            remedy=f"A picture shows {MOST_TIMES} times at most: give from and to, or period=week.",
        )


NOTHING: Final = (
    "No figure fits: look with `labdispatch indicators show` what there is of this condition, "
    "area and time."
)


def ordinal_of(label: str) -> int:
    """Return the day of a label; of an ISO week its Monday, of a month its first day."""
    if "-S" in label:
        year, _, week = label.partition("-S")
        return date.fromisocalendar(int(year), int(week), 1).toordinal()
    return date.fromisoformat(label if len(label) > len("2026-03") else f"{label}-01").toordinal()


def title_of(figure: Figure, about: About) -> str:
    """Return the first line over a picture."""
    known = CONDITIONS.get(figure.condition)
    return f"{known.display if known else figure.condition}: {WORDS[about.measure]}"


def subtitle_of(figures: Sequence[Figure], place: str = "", *, by_age: bool = False) -> str:
    """Return the second line: where, of whom, and when."""
    age_class = figures[0].age_class
    ages = "" if by_age or age_class == ALL_AGES else f"aged {age_named(age_class)}"
    first, last, one = figures[0].label, figures[-1].label, figures[0]
    time = first if first == last else f"{first} to {last}"
    who = " ".join(part for part in (_SEXES.get(one.sex, ""), ages) if part)
    said = (place or area_named(one.area), who, time, PERIODS[Period(one.period)])
    return ", ".join(part for part in said if part)


def age_named(age_class: str) -> str:
    """Return the years of an age class: `09` is 0 to 9, `90` is 90 and older."""
    return "90 +" if age_class == AGE_CLASSES[-1] else f"{int(age_class) - 9} to {int(age_class)}"


def area_named(area: str) -> str:
    """Return an area's name for a reader."""
    code = code_of(area)
    known = regions().get(code) if is_region(area) else departments().get(code)
    if known is None:
        return "France" if area == FRANCE else area.replace(":", " ")
    return known.name if is_region(area) else f"{known.name} ({code})"


def footer_of(figures: Iterable[Figure], about: About) -> str:
    """Return what stands below: the extraction, and what must be known beside it."""
    said = []
    if about.extraction is not None:
        at = about.extraction.at.strftime("%Y-%m-%d %H:%M UTC")
        said.append(f"Extraction {about.extraction.number} of {at}.")
    flags = {flag for figure in figures for flag in figure.flags}
    if Flag.SYNTHETIC_POPULATION in flags and about.measure in _PER_INHABITANT:
        said.append("Population by age is synthetic: rates are for trying out.")
    if about.note:
        said.append(about.note)
    return " ".join(said)


_PER_INHABITANT: Final = frozenset({Measure.INCIDENCE, Measure.SCREENING})
