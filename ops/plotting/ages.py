"""The age heat map: a row for each age class, a column for each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from schemas.errors import PermanentError
from schemas.figures import AGE_CLASSES, Figure

from .about import (
    NOTHING,
    WORDS,
    About,
    age_named,
    check_times,
    footer_of,
    is_incomplete,
    known_of,
    subtitle_of,
    title_of,
    value_of,
)
from .drawing import (
    WITHHELD,
    Sheet,
    class_names,
    class_of,
    classes,
    key,
    shades,
    tile,
    write_on,
)

INCHES: Final = (9.0, 4.2)
_TICKS: Final = 10


def draw_ages(sheet: Sheet, figures: Sequence[Figure], about: About) -> None:
    """Draw the figures of one area by age class and time.

    What is withheld is hatched, what does not exist is left white. Times of which results are
    still to come are marked below: their colours will get darker.
    """
    by_age = [figure for figure in figures if figure.age_class in AGE_CLASSES]
    if not by_age:
        raise PermanentError("nothing_to_draw", remedy=NOTHING)
    labels = sorted({figure.label for figure in by_age})
    check_times(labels)
    if len({(figure.label, figure.age_class) for figure in by_age}) < len(by_age):
        raise PermanentError("too_many_areas", remedy="A heat map is of one area and one sex.")
    column = {label: number for number, label in enumerate(labels)}
    bounds = classes(known_of(by_age, about.measure))
    colours = shades(len(bounds))
    axes = sheet.add_axes((0.08, 0.17, 0.72, 0.64))
    by_age.sort(key=lambda figure: (figure.label, figure.age_class))
    write_on(
        sheet,
        f"{title_of(by_age[0], about)}, by age",
        subtitle_of(by_age, by_age=True),
        footer_of(by_age, about),
    )
    is_any_withheld = False
    for figure in by_age:
        x, y = column[figure.label], AGE_CLASSES.index(figure.age_class)
        value = value_of(figure, about.measure)
        if value is None:
            is_any_withheld = True
            tile(axes, x, y, "white", hatch=WITHHELD)
        else:
            tile(axes, x, y, colours[class_of(value, bounds)])
    incomplete = sorted({column[figure.label] for figure in by_age if is_incomplete(figure)})
    for x in incomplete:
        tile(axes, x, -0.45, "#8a8a8a", height=0.3)
    axes.set_xlim(0, len(labels))
    axes.set_ylim(-0.5, len(AGE_CLASSES))
    axes.set_yticks(
        [number + 0.5 for number in range(len(AGE_CLASSES))],
        [age_named(age_class) for age_class in AGE_CLASSES],
    )
    step = -(-len(labels) // _TICKS)
    axes.set_xticks([number + 0.5 for number in range(0, len(labels), step)], list(labels[::step]))
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    keys = [key(colour, name) for colour, name in zip(colours, class_names(bounds), strict=True)][
        ::-1
    ]
    if is_any_withheld:
        keys.append(key("white", "withheld", WITHHELD))
    if incomplete:
        keys.append(key("#8a8a8a", "results still to come"))
    axes.legend(
        handles=keys,
        title=WORDS[about.measure],
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
    )
