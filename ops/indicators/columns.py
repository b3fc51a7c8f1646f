"""Figures, delays and revisions as rows of columns: what CSV and Parquet both hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from schemas.figures import VARIANT_MARKS, DelayFigure, Extraction, Figure, Revision

_PLAIN: Final = tuple(
    name for name in Figure.__struct_fields__ if name not in {"variants", "flags"}
)
FIGURE_COLUMNS: Final = (*_PLAIN, *VARIANT_MARKS, "flags", "extraction", "extracted_at")
"""`age_class` 0 is all, an empty `sex` is all."""
_WHOLE: Final = tuple(
    name for name in DelayFigure.__struct_fields__ if name not in {"classes", "flags"}
)
DELAY_COLUMNS: Final = (
    *_WHOLE, "first", "last", "unknown", "tests_of_class", "flags", "extraction", "extracted_at",
)  # fmt: skip
"""A row a class: what is of the whole figure stands in each of its rows."""
_VALUES: Final = (
    "tests",
    "positive_tests",
    "persons",
    "positive_persons",
    "eligible_persons",
    "cases",
)
REVISION_COLUMNS: Final = (
    "extraction", "extracted_at", "label", "area", "age_class", "sex",
    *(f"{name}_{when}" for name in (*_VALUES, "flags") for when in ("before", "after")),
)  # fmt: skip
"""Of each count what was told before, and what after; of the flags too."""


class Rows(NamedTuple):
    """Rows under the names of their columns; None where a value is withheld or not known."""

    columns: Sequence[str]
    values: Iterable[Sequence[Any]]


def figure_rows(figures: Iterable[Figure], extraction: Extraction) -> Rows:
    """Return figures, a row each."""
    return Rows(FIGURE_COLUMNS, (_figure(each, extraction) for each in figures))


def delay_rows(figures: Iterable[DelayFigure], extraction: Extraction) -> Rows:
    """Return delays, a row a class; one, without a class, where none is told."""
    return Rows(DELAY_COLUMNS, (row for each in figures for row in _classes(each, extraction)))


def revision_rows(revisions: Iterable[Revision]) -> Rows:
    """Return revisions, a row each."""
    return Rows(REVISION_COLUMNS, (_revision(each) for each in revisions))


def flags_text(figure: Figure | DelayFigure) -> str:
    """Return flags as one text."""
    return " ".join(figure.flags)


def _figure(figure: Figure, extraction: Extraction) -> list[Any]:
    variants = figure.variants or (None,) * len(VARIANT_MARKS)
    plain = (getattr(figure, name) for name in _PLAIN)
    return [*plain, *variants, flags_text(figure), *_of(extraction)]


def _classes(figure: DelayFigure, extraction: Extraction) -> Iterator[list[Any]]:
    whole = [getattr(figure, name) for name in _WHOLE]
    told = [flags_text(figure), *_of(extraction)]
    classes = [[each.first, each.last, each.unknown, each.tests] for each in figure.classes]
    for each in classes or [[None] * 4]:
        yield [*whole, *each, *told]


def _revision(revision: Revision) -> list[Any]:
    after, before = revision.after, revision.before
    values = [
        value for name in _VALUES for value in (getattr(before, name, None), getattr(after, name))
    ]
    flags = [None if before is None else flags_text(before), flags_text(after)]
    place = [after.label, after.area, after.age_class, after.sex]
    return [*_of(revision.extraction), *place, *values, *flags]


def _of(extraction: Extraction) -> list[Any]:
    return [extraction.number, extraction.at.isoformat()]
