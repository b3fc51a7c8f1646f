"""Published figures: what the indicators say of one place, time, age class and sex. Pure.

Neutral to how they are kept, protected or written: engine, disclosure control, files, HTTP and
plots speak in these. Sources: docs/indicators.md; french-profile 4 (names, age classes, rates).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

FRANCE: Final = "france"
ALL_AGES: Final = "0"
AGE_CLASSES: Final = ("09", "19", "29", "39", "49", "59", "69", "79", "89", "90")
"""cl_age90, without `0`, which is all of them and the persons of unknown age."""
SEXES: Final = ("F", "M")
VARIANT_MARKS: Final = ("A0", "A1", "B0", "B1", "C0", "C1")
"""In the order of `Figure.variants`."""


COUNTS: Final = (
    "tests", "positive_tests", "persons", "positive_persons", "eligible_persons", "cases",
    "screened",
)  # fmt: skip
"""Fields of a figure that count results or persons, besides `variants`: what is protected."""
RATES: Final = ("incidence", "positivity", "screening")


class Period(StrEnum):
    """What time a figure is of."""

    DAY = "day"
    """One day of sampling; the label is that day: `2026-03-06`."""
    SEVEN_DAYS = "7days"
    """The seven days that end on a day; the label is that last day."""
    WEEK = "week"
    """An ISO week, Monday to Sunday; the label is `2026-S10`."""
    MONTH = "month"
    """Of conditions that are declared anonymously, whose days are told to nobody: `2026-03`."""


class Flag(StrEnum):
    """What a reader must know beside a figure."""

    SUPPRESSED = "suppressed"
    """Counts are withheld: they are few, or would tell others that are."""
    CLASSED = "classed"
    """The area is small: rates are given as classes."""
    ROUNDED = "rounded"
    TESTS_HELD = "tests_held"
    """Tests and persons are as they were told before: what came since is few, or would tell of
    others."""
    POSITIVES_HELD = "positives_held"
    """The same of positives and cases."""
    VARIANTS_HELD = "variants_held"
    """The same of the screened, and of the variants."""
    SYNTHETIC_POPULATION = "synthetic_population"
    """The population by age is the synthetic default: rates are for trying out, not for use."""
    NO_POPULATION = "no_population"
    INCOMPLETE = "incomplete"
    """Results of these days are still to come: read `completeness` before you read a decline."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and rates of a condition, for an area, a time, an age class and a sex.

    None is *withheld or not known*, never zero. Unknown ages and sexes are in the totals alone, so
    the classes of a total need not add up to it.
    """

    condition: str
    """What was tested for."""
    area: str
    """`france`, `region:84`, `department:75`; by residence."""
    period: str
    """What kind of time it is of."""
    label: str
    """Which time: 2026-03-06 (of `7days` the last day), 2026-S10, 2026-03."""
    age_class: str = ALL_AGES
    """cl_age90, named by its last year; `0` is all, with those of unknown age."""
    sex: str = ""
    """`F`, `M`; empty for all, with those whose sex is unknown."""
    tests: int | None = None
    """Results of first lines."""
    positive_tests: int | None = None
    """Of the tests those that were positive."""
    persons: int | None = None
    """Distinct persons tested in the time."""
    positive_persons: int | None = None
    """Of the persons those who had a positive one."""
    eligible_persons: int | None = None
    """Of the persons those who had not been positive in the 60 days before: the rule's denominator,
    the T of SI-DEP's files."""
    cases: int | None = None
    """New cases: persons positive, and not in the 60 days before; the P of SI-DEP's files."""
    population: int | None = None
    """Inhabitants of the area, of the age class and sex."""
    screened: int | None = None
    """Positives that were screened for variants."""
    variants: tuple[int | None, ...] = ()
    """Of the screened, how many had each mark, in the order of A0, A1, B0, B1, C0, C1."""
    incidence: float | None = None
    """New cases per 100,000 inhabitants; of `day` too, where nobody should read much into it."""
    positivity: float | None = None
    """New cases as percent of the eligible persons."""
    screening: float | None = None
    """Eligible persons per 100,000 inhabitants."""
    incidence_class: str = ""
    """In place of the rate where the area is small."""
    positivity_class: str = ""
    """In place of the rate where the area is small."""
    screening_class: str = ""
    """In place of the rate where the area is small."""
    completeness: float | None = None
    """Estimated share of the day's results that have come; null where it is not estimated."""
    completeness_low: float | None = None
    """Lower end of its 95 % interval."""
    completeness_high: float | None = None
    """Upper end of its 95 % interval."""
    flags: tuple[str, ...] = ()
    """What a reader must know beside it."""


class DelayClass(msgspec.Struct, frozen=True, kw_only=True):
    """How many tests came after some days."""

    first: int | None
    """From so many days after sampling; null where only those are in it of whom no day of sampling
    is known."""
    last: int | None
    """To so many days; null: and later."""
    unknown: bool
    """Tests whose day of sampling is not known are in it."""
    tests: int
    """How many tests."""


class DelayFigure(msgspec.Struct, frozen=True, kw_only=True):
    """How long the tests of an area and a time took from sampling to the hub.

    Told once, when the whole week is 22 days old; what comes later changes it no more. None is
    withheld or not known, never zero. A test whose day of sampling is not known counts as longer
    than any, in shares, median and p90 too.
    """

    condition: str
    """What was tested for."""
    area: str
    """`france`, `region:84`, `department:75`; by residence."""
    period: str
    """`week`; of France `day` too."""
    label: str
    """Which time, of sampling: 2026-S10, 2026-03-06."""
    tests: int | None = None
    """Results of first lines: the sum of the classes."""
    classes: tuple[DelayClass, ...] = ()
    """By days from sampling to the first reception, as finely as may be told: day by day up to 21,
    or several in one. Empty where they are withheld."""
    within_1: float | None = None
    """Share of the tests that came within 1 day."""
    within_2: float | None = None
    """Share of the tests that came within 2 days."""
    within_3: float | None = None
    """Share of the tests that came within 3 days."""
    median_days: int | None = None
    """Days within which half of them had come; null where its class is of several days."""
    p90_days: int | None = None
    """Days within which nine of ten had come; null where its class is of several days."""
    by_reception_tests: int | None = None
    """Tests that count on their day of reception: no day of sampling is known, or it was still to
    come."""
    imputed_tests: int | None = None
    """Tests whose residence is guessed from the postcode."""
    flags: tuple[str, ...] = ()
    """`suppressed`: something is withheld. `classed`: the area is small. `rounded`."""


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The moment whose state some figures show. Numbers run from 1; every answer names its own."""

    number: int
    at: datetime


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """How an extraction changed a published figure of an earlier one."""

    extraction: Extraction
    before: Figure | None
    """None where it was published for the first time."""
    after: Figure
