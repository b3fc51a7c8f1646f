"""SI-DEP's own files: the layouts that tools written for its open data read. Pure.

Text with `;`, a header, one line for an area, time and age class; UTF-8. A class holds a `;`, so it
is in quotes. What is withheld or not known is empty, never zero. P and T are SI-DEP's: new cases,
and the persons who count by the 60-day rule; by sex, `_f` and `_h`. Persons of unknown sex are in P
and T alone, so P != P_f + P_h.
Sources: french-profile 4 (headers of `sp-pos-quot-dep`, `sp-pos-quot-fra`, of incidence by region
and of variants); the other layouts follow their pattern (docs/sidep-files.md says which).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from schemas.areas import code_of, is_department, is_region
from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, ALL_AGES, FRANCE, VARIANT_MARKS, Figure, Period

_AGES: Final = {age: at for at, age in enumerate((ALL_AGES, *AGE_CLASSES))}
_PERIODS: Final = {"jour": Period.DAY, "semaine": Period.WEEK, "jour_7j": Period.SEVEN_DAYS}
_LEVELS: Final[Mapping[str, Callable[[str], bool]]] = {
    "dep": is_department,
    "reg": is_region,
    "fra": lambda area: area == FRANCE,
}
BySex = Mapping[str, Figure]
"""The figures of one line: of all, of women (`F`), of men (`M`)."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """A file: what it is called, and its columns in their order."""

    name: str
    """`sp-pos-quot-dep`."""
    level: str
    """`dep`, `reg` or `fra`: the first column."""
    columns: tuple[str, ...]
    ages: bool = True
    """False: only the lines of all ages."""

    @property
    def period(self) -> Period:
        """Return the period that its lines are of."""
        return next(_PERIODS[column] for column in self.columns if column in _PERIODS)

    def holds(self, figure: Figure) -> bool:
        """Say whether a figure belongs in the file."""
        return (
            figure.period == self.period
            and _LEVELS[self.level](figure.area)
            and (self.ages or figure.age_class == ALL_AGES)
        )


def _layouts() -> Iterator[Layout]:
    by_sex: tuple[str, ...] = ("P_f", "P_h", "P", "T_f", "T_h", "T", "cl_age90", "pop")
    incidence: tuple[str, ...] = ("P_f", "P_h", "P", "pop_f", "pop_h", "cl_age90", "pop")
    marks = ("nb_A0", "nb_A1", "nb_B0", "nb_B1", "nb_C0", "nb_C1", "tx_A1", "tx_B1", "tx_C1")
    for level in _LEVELS:
        for time, often in (("jour", "quot"), ("semaine", "hebdo"), ("jour_7j", "7j")):
            columns = ("P", "T", "cl_age90") if level == "dep" else by_sex
            yield Layout(
                name=f"sp-pos-{often}-{level}", level=level, columns=(level, time, *columns)
            )
            columns = ("P", "cl_age90", "pop") if level == "dep" else incidence
            yield Layout(
                name=f"sp-pe-tb-{often}-{level}", level=level, columns=(level, time, *columns)
            )
        variants = ("semaine", "cl_age90", "nb_pos", "nb_crib", "tx_crib", *marks)
        yield Layout(name=f"sp-variants-hebdo-{level}", level=level, columns=(level, *variants))
        yield Layout(
            name=f"sp-classes-hebdo-{level}",
            level=level,
            columns=(level, "semaine", "cl_age90", "ti_classe", "tp_classe", "td_classe"),
        )


LAYOUTS: Final = {layout.name: layout for layout in _layouts()}


def layout_of(name: str) -> Layout:
    """Return the layout of a name.

    Raises:
        PermanentError: `unknown_layout`, with the names there are.
    """
    layout = LAYOUTS.get(name)
    if layout is None:
        raise PermanentError("unknown_layout", f"one of {', '.join(sorted(LAYOUTS))}")
    return layout


def file_name(layout: Layout, at: datetime) -> str:
    """Return the name of a file of an extraction: `sp-pos-quot-dep-2026-03-09-19h15.csv`.

    By the clock of `at`; SI-DEP's is that of Paris.
    """
    return f"{layout.name}-{at:%Y-%m-%d-%Hh%M}.csv"


def lines_of(layout: Layout, tables: Iterable[Iterable[Figure]]) -> Iterator[str]:
    """Give the lines of a file, each with its end; the header first, though nothing follows.

    Args:
        layout: Which file.
        tables: Figures as they are published, one table a time, in the order of the file. Of each
            table those that belong are taken, and put in order of area and age class. No more than
            one table is held.
    """
    yield line_of(header_of(layout.columns))
    for table in tables:
        for by_sex in rows_of(layout, table):
            yield line_of(value_of(column, by_sex) for column in layout.columns)


def rows_of(layout: Layout, table: Iterable[Figure]) -> Iterator[BySex]:
    """Give the figures of each line of a file, in its order, of the figures of one time."""
    rows: dict[tuple[str, str, int], dict[str, Figure]] = {}
    for figure in table:
        if layout.holds(figure):
            key = (figure.label, code_of(figure.area), _AGES[figure.age_class])
            rows.setdefault(key, {})[figure.sex] = figure
    return (by_sex for _, by_sex in sorted(rows.items()) if "" in by_sex)


def value_of(column: str, by_sex: BySex) -> str:
    """Return what stands in a column of a line."""
    return _VALUES[column](by_sex)


def header_of(columns: Iterable[str]) -> Iterator[str]:
    """Give the names of columns as files have them."""
    return ("jour" if column == "jour_7j" else column for column in columns)


def line_of(values: Iterable[str]) -> str:
    """Return values as a line."""
    quoted = (f'"{value}"' if ";" in value else value for value in values)  # RFC 4180
    return ";".join(quoted) + "\n"


def _whole(sex: str, field: str) -> Callable[[BySex], str]:
    def value(by_sex: BySex) -> str:
        figure = by_sex.get(sex)
        count = None if figure is None else getattr(figure, field)
        return "" if count is None else str(count)

    return value


def _percent(part: int | None, whole: int | None) -> str:
    return "" if part is None or not whole else f"{100 * part / whole:.1f}"


def _mark(mark: str) -> Callable[[BySex], str]:
    at = VARIANT_MARKS.index(mark)

    def value(by_sex: BySex) -> str:
        count = _count(by_sex[""], at)
        return "" if count is None else str(count)

    return value


def _share(present: str, absent: str) -> Callable[[BySex], str]:
    """Return what gives the share of a mutation among those that were screened for it."""
    there, away = VARIANT_MARKS.index(present), VARIANT_MARKS.index(absent)

    def value(by_sex: BySex) -> str:
        found, missing = _count(by_sex[""], there), _count(by_sex[""], away)
        if found is None or missing is None:
            return ""
        return _percent(found, found + missing)

    return value


def _count(figure: Figure, at: int) -> int | None:
    if figure.variants:
        return figure.variants[at]
    return None if figure.screened is None else 0


_VALUES: Final[Mapping[str, Callable[[BySex], str]]] = {
    **{level: lambda by_sex: code_of(by_sex[""].area) for level in _LEVELS},
    **{time: lambda by_sex: by_sex[""].label for time in _PERIODS},
    "cl_age90": lambda by_sex: by_sex[""].age_class,
    "P": _whole("", "cases"),
    "P_f": _whole("F", "cases"),
    "P_h": _whole("M", "cases"),
    "T": _whole("", "eligible_persons"),
    "T_f": _whole("F", "eligible_persons"),
    "T_h": _whole("M", "eligible_persons"),
    "pop": _whole("", "population"),
    "pop_f": _whole("F", "population"),
    "pop_h": _whole("M", "population"),
    "nb_pos": _whole("", "positive_tests"),
    "nb_crib": _whole("", "screened"),
    "tx_crib": lambda by_sex: _percent(by_sex[""].screened, by_sex[""].positive_tests),
    **{f"nb_{mark}": _mark(mark) for mark in VARIANT_MARKS},
    **{f"tx_{letter}1": _share(f"{letter}1", f"{letter}0") for letter in "ABC"},
    "ti_classe": lambda by_sex: by_sex[""].incidence_class,
    "tp_classe": lambda by_sex: by_sex[""].positivity_class,
    "td_classe": lambda by_sex: by_sex[""].screening_class,
}
