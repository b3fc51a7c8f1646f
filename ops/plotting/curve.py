"""The epidemic curve: a bar for each day or week, and what is still to come of the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from schemas.figures import Figure, Period

from .about import (
    WORDS,
    About,
    Measure,
    expected_of,
    footer_of,
    is_incomplete,
    ordered,
    ordinal_of,
    subtitle_of,
    title_of,
    value_of,
)
from .drawing import (
    BLUE,
    GROUND,
    INK,
    ORANGE,
    PALE,
    WITHHELD,
    Axes,
    Handle,
    Sheet,
    key,
    line_key,
    write_on,
)

INCHES: Final = (9.0, 4.4)
_WIDTHS: Final = {Period.WEEK: 7.0, Period.MONTH: 28.0}
_TICKS: Final = 10
_LINE: Final = 7
"""Days of the line through the bars."""


class Bar(NamedTuple):
    """One time of the curve."""

    label: str
    at: float
    """Its middle, as an ordinal day."""
    value: float | None
    expected: tuple[float, float, float] | None
    """In the end, with bounds; of times that are incomplete alone."""
    is_incomplete: bool

    @property
    def in_the_end(self) -> float | None:
        """What it is expected to be: None where nothing can be said."""
        if self.is_incomplete:
            return None if self.expected is None else self.expected[0]
        return self.value


def draw_curve(sheet: Sheet, figures: Sequence[Figure], about: About) -> None:
    """Draw the figures of one area by time.

    Bars are what has come. Where results are still to come the ground is shaded, and a pale bar
    with a 95 % interval goes up to what is expected. What is withheld is hatched.
    """
    figures = ordered(figures)
    width = _WIDTHS.get(Period(figures[0].period), 1.0)
    bars = [_bar(figure, about.measure, width) for figure in figures]
    top = 1.12 * max(1e-9, *(max(bar.value or 0.0, bar.in_the_end or 0.0) for bar in bars))
    axes = sheet.add_axes((0.08, 0.15, 0.90, 0.64))
    write_on(
        sheet,
        title_of(figures[0], about),
        subtitle_of(figures),
        footer_of(figures, about),
    )
    keys = [*_draw_bars(axes, bars, width, top, WORDS[about.measure])]
    if figures[0].period == Period.DAY and about.measure is not Measure.POSITIVITY:
        keys += _draw_line(axes, bars)
    axes.set_xlim(bars[0].at - width * 0.7, bars[-1].at + width * 0.7)
    axes.set_ylim(0, top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    marked = ticks_of(bars)
    axes.set_xticks([bar.at for bar in marked], [bar.label for bar in marked])
    axes.legend(
        handles=keys,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=5,
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        columnspacing=1.2,
    )


def _bar(figure: Figure, measure: Measure, width: float) -> Bar:
    return Bar(
        figure.label,
        ordinal_of(figure.label) + (width - 1) / 2,
        value_of(figure, measure),
        expected_of(figure, measure) if is_incomplete(figure) else None,
        is_incomplete(figure),
    )


def ticks_of(bars: Sequence[Bar]) -> list[Bar]:
    """Return the times that are named below: Mondays or firsts of months where there are many."""
    steps = [
        [bar for bar in bars if int(bar.at) % 7 == 1],  # ordinal 1 was a Monday
        [bar for bar in bars if bar.label.endswith("-01")],
    ]
    if len(bars) > _TICKS and all("-S" not in bar.label for bar in bars[:1]):
        for some in steps:
            if 1 < len(some) <= _TICKS:
                return some
    step = -(-len(bars) // _TICKS)
    return list(bars[::step])


def _draw_bars(
    axes: Axes, bars: Sequence[Bar], width: float, top: float, words: str
) -> Iterator[Handle]:
    axes.bar(
        [bar.at for bar in bars],
        [bar.value or 0.0 for bar in bars],
        width * 0.84,
        color=BLUE,
        zorder=2,
    )
    yield key(BLUE, words)
    incomplete = [bar for bar in bars if bar.is_incomplete]
    for bar in incomplete:
        axes.axvspan(bar.at - width / 2, bar.at + width / 2, color=GROUND, zorder=0, linewidth=0)
    if incomplete:
        yield key(GROUND, "results still to come")
    rising = [(bar.at, bar.value or 0.0, bar.expected) for bar in incomplete if bar.expected]
    if rising:
        axes.bar(
            [at for at, _, _ in rising],
            [expected[0] - value for _, value, expected in rising],
            width * 0.84,
            bottom=[value for _, value, _ in rising],
            color=PALE,
            zorder=2,
        )
        axes.vlines(
            [at for at, _, _ in rising],
            [expected[1] for _, _, expected in rising],
            [min(expected[2], top) for _, _, expected in rising],
            color=INK,
            linewidth=0.9,
            zorder=4,
        )
        yield key(PALE, "expected in the end, 95 % interval")
    withheld = [bar.at for bar in bars if bar.value is None]
    if withheld:
        axes.bar(withheld, [top] * len(withheld), width, color="white", hatch=WITHHELD, zorder=1)
        yield key("white", "withheld", WITHHELD)


def _draw_line(axes: Axes, bars: Sequence[Bar]) -> Iterator[Handle]:
    """Draw the mean of seven days: whole where all have come, dashed on what is expected."""
    whole: list[tuple[float, float]] = []
    dashed: list[tuple[float, float]] = []
    for last in range(_LINE - 1, len(bars)):
        week = bars[last - _LINE + 1 : last + 1]
        values = [bar.in_the_end for bar in week if bar.in_the_end is not None]
        if len(values) < _LINE or week[-1].at - week[0].at != _LINE - 1:
            continue
        point = (week[_LINE // 2].at, sum(values) / _LINE)
        (dashed if any(bar.is_incomplete for bar in week) else whole).append(point)
    if dashed:
        before = whole[-1:] if whole and dashed[0][0] - whole[-1][0] <= 1 else []
        axes.plot(*zip(*before, *dashed, strict=True), color=ORANGE, dashes=(2, 1), zorder=3)
    for run in _runs(whole):
        axes.plot(*zip(*run, strict=True), color=ORANGE, linewidth=1.6, zorder=3)
    if whole or dashed:
        yield line_key(ORANGE, "mean of 7 days")


def _runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return the points in runs of days that follow each other."""
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= 1:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs
