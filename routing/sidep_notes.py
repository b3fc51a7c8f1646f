"""What SI-DEP's layouts have no column for: notes beside each of its files. Pure.

Tools read those files by their columns and by the beginning of their names, so neither may change.
What a reader must know of a number (it is of an earlier telling, it is withheld and not merely
unknown) stands in a file of its own: the same keys, and which columns of that line it is said of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from schemas.figures import VARIANT_MARKS, Figure, Flag

from .disclosure_cells import FIELDS
from .disclosure_revising import HELD
from .sidep_files import BySex, Layout, file_name, header_of, line_of, rows_of, value_of

PREFIX: Final = "notes-"
"""Before the name, and not behind: whoever reads `sp-pos-quot-dep-*.csv` must not find it."""
NOTES: Final = ("held", "withheld", "flags")
_FLAG_OF: Final = {field: HELD[group] for group, fields in FIELDS.items() for field in fields}
_COUNTS: Final = {
    "P": ("", "cases"),
    "P_f": ("F", "cases"),
    "P_h": ("M", "cases"),
    "T": ("", "eligible_persons"),
    "T_f": ("F", "eligible_persons"),
    "T_h": ("M", "eligible_persons"),
    "nb_pos": ("", "positive_tests"),
    "nb_crib": ("", "screened"),
    "tx_crib": ("", "positive_tests", "screened"),
    **{f"nb_{mark}": ("", "screened") for mark in VARIANT_MARKS},
    **{f"tx_{letter}1": ("", "screened") for letter in "ABC"},
}
"""Of a column: the sex whose figure it is of, and the counts that it is made of."""
_CLASSES: Final = {
    "ti_classe": "incidence_class",
    "tp_classe": "positivity_class",
    "td_classe": "screening_class",
}
_OF_INHABITANTS: Final = {"pop", "pop_f", "pop_h", *_CLASSES}
_ABOUT_INHABITANTS: Final = {Flag.SYNTHETIC_POPULATION.value, Flag.NO_POPULATION.value}
_SAID_BY_COLUMN: Final = {*HELD.values(), Flag.SUPPRESSED.value}


def notes_name(layout: Layout, at: datetime) -> str:
    """Return the name of the notes beside a file of an extraction."""
    return PREFIX + file_name(layout, at)


def note_lines(layout: Layout, tables: Iterable[Iterable[Figure]]) -> Iterator[str]:
    """Give the lines of the notes, the header first: a line for each of the file that needs one.

    `held`: columns whose number is of an earlier telling. `withheld`: columns that are empty
    because they may not be told. `flags`: what else a reader must know.

    Args:
        layout: Of the file that they stand beside.
        tables: As for the file.
    """
    keys = (*layout.columns[:2], "cl_age90")
    yield line_of(header_of((*keys, *NOTES)))
    for table in tables:
        for by_sex in rows_of(layout, table):
            notes = _notes(layout, by_sex)
            if any(notes):
                yield line_of((*(value_of(key, by_sex) for key in keys), *map(" ".join, notes)))


def _notes(layout: Layout, by_sex: BySex) -> tuple[list[str], list[str], list[str]]:
    held: list[str] = []
    withheld: list[str] = []
    shown = {""}
    for column in layout.columns:
        sex, *fields = _COUNTS.get(column, ("",))
        figure = by_sex.get(sex)
        if figure is None:
            continue
        shown.add(sex)
        if _is_withheld(column, fields, figure):
            withheld.append(column)
        elif any(_FLAG_OF[field] in figure.flags for field in fields):
            held.append(column)
    flags = {flag for sex in shown for flag in by_sex[sex].flags} - _SAID_BY_COLUMN
    if not _OF_INHABITANTS.intersection(layout.columns):
        flags -= _ABOUT_INHABITANTS
    return held, withheld, sorted(flags)


def _is_withheld(column: str, fields: Iterable[str], figure: Figure) -> bool:
    if column in _CLASSES:
        # Only small areas have classes: elsewhere an empty one withholds nothing.
        is_classed = {Flag.CLASSED, Flag.SUPPRESSED} <= set(figure.flags)
        return is_classed and not getattr(figure, _CLASSES[column])
    may_be = Flag.SUPPRESSED in figure.flags or Flag.CLASSED in figure.flags
    return may_be and any(getattr(figure, field) is None for field in fields)
