"""Figures as CSV (RFC 4180): a header, a line a figure, empty where a value is withheld. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from schemas.figures import VARIANT_MARKS, DelayFigure, Extraction, Figure, Revision

_PLAIN: Final = tuple(
    name for name in Figure.__struct_fields__ if name not in {"variants", "flags"}
)
COLUMNS: Final = (*_PLAIN, *VARIANT_MARKS, "flags", "extraction", "extracted_at")
"""`age_class` 0 is all, an empty `sex` is all."""
DELAY_COLUMNS: Final = (
    *(name for name in DelayFigure.__struct_fields__ if name not in {"classes", "flags"}),
    "first", "last", "unknown", "tests_of_class", "flags", "extraction", "extracted_at",
)  # fmt: skip
"""A line a class: what is of the whole figure stands in each of its lines."""
_REVISED: Final = ("extraction", "extracted_at", "label", "area", "age_class", "sex")
_VALUES: Final = (
    "tests",
    "positive_tests",
    "persons",
    "positive_persons",
    "eligible_persons",
    "cases",
)


def row_of(figure: Figure, extraction: Extraction) -> list[Any]:
    """Return the values of a figure by `COLUMNS`; None where one is withheld or not known."""
    variants = figure.variants or (None,) * len(VARIANT_MARKS)
    return [
        *(getattr(figure, name) for name in _PLAIN),
        *variants,
        " ".join(figure.flags),
        extraction.number,
        extraction.at.isoformat(),
    ]


def figures_as_csv(figures: Iterable[Figure], extraction: Extraction, *, head: bool = True) -> str:
    """Return the figures as CSV; without a head what follows on a page before."""
    return _csv(COLUMNS if head else (), (row_of(each, extraction) for each in figures))


def revisions_as_csv(revisions: Iterable[Revision], *, head: bool = True) -> str:
    """Return revisions as CSV: of each count what was told before, and what after."""
    heads = [f"{name}_{when}" for name in _VALUES for when in ("before", "after")]
    return _csv((*_REVISED, *heads) if head else (), (_revision_row(each) for each in revisions))


def delay_rows(figure: DelayFigure, extraction: Extraction) -> list[list[Any]]:
    """Return the lines of a figure by `DELAY_COLUMNS`; one, without a class, where none is told."""
    whole = [
        getattr(figure, name)
        for name in DelayFigure.__struct_fields__
        if name not in {"classes", "flags"}
    ]
    told = [" ".join(figure.flags), extraction.number, extraction.at.isoformat()]
    classes = [[each.first, each.last, each.unknown, each.tests] for each in figure.classes]
    return [[*whole, *each, *told] for each in classes or [[None] * 4]]


def delays_as_csv(
    figures: Iterable[DelayFigure], extraction: Extraction, *, head: bool = True
) -> str:
    """Return delays as CSV, a line a class."""
    rows = (row for each in figures for row in delay_rows(each, extraction))
    return _csv(DELAY_COLUMNS if head else (), rows)


def _revision_row(revision: Revision) -> list[Any]:
    after, before = revision.after, revision.before
    told = [revision.extraction.number, revision.extraction.at.isoformat()]
    values = [
        value for name in _VALUES for value in (getattr(before, name, None), getattr(after, name))
    ]
    return [*told, after.label, after.area, after.age_class, after.sex, *values]


def _csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    if heads:
        writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()
