"""The department map: each department in the colour of its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

from schemas.errors import PermanentError
from schemas.figures import Figure

from .about import (
    NOTHING,
    WORDS,
    About,
    footer_of,
    is_incomplete,
    known_of,
    subtitle_of,
    title_of,
    value_of,
)
from .drawing import (
    WITHHELD,
    Axes,
    Sheet,
    class_names,
    class_of,
    classes,
    key,
    outline,
    shades,
    write_on,
)

INCHES: Final = (7.6, 6.6)
_PREFIX: Final = "department:"
_UNTOLD: Final = "#f4f4f4"
_PARIS: Final = ("75", "92", "93", "94")
"""Drawn a second time, larger: on the map they are too small to see."""


class Geometry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outlines of the departments: for maps, never for reckoning. Source: DATA.md."""

    boxes: Mapping[str, tuple[float, float, float, float]]
    """Of each drawing left, top, right, bottom: `mainland`, and each overseas department."""
    departments: Mapping[str, Sequence[Sequence[float]]]
    """Rings as x, y, x, y ...; y goes downwards."""

    def rings(self, department: str) -> list[list[tuple[float, float]]]:
        """Return the rings of a department, y upwards."""
        return [
            [(x, -y) for x, y in zip(ring[::2], ring[1::2], strict=True)]
            for ring in self.departments[department]
        ]


@cache
def geometry() -> Geometry:
    """Return the vendored outlines."""
    text = files("ops.plotting").joinpath("departments.json").read_bytes()
    return msgspec.json.decode(text, type=Geometry)


def draw_departments(sheet: Sheet, figures: Sequence[Figure], about: About) -> None:
    """Draw the figures of one time by department.

    What is withheld is hatched, departments without a figure are pale grey.
    """
    found = {
        figure.area.removeprefix(_PREFIX): figure
        for figure in figures
        if figure.area.startswith(_PREFIX)
    }
    if not found:
        raise PermanentError("nothing_to_draw", remedy=NOTHING)
    if len({(figure.label, figure.age_class, figure.sex) for figure in found.values()}) > 1:
        raise PermanentError("too_many_times", remedy="A map is of one day, window or week.")
    shown = [found[code] for code in sorted(found)]
    bounds = classes(known_of(shown, about.measure))
    colours = shades(len(bounds))
    subtitle = subtitle_of(shown[:1], "France by department of residence")
    if any(is_incomplete(figure) for figure in shown):
        subtitle += ", results still to come"
    write_on(sheet, title_of(shown[0], about), subtitle, footer_of(shown, about))
    fills = {code: _fill(figure, about, bounds, colours) for code, figure in found.items()}
    shapes = geometry()
    _draw_frame(sheet, (0.02, 0.15, 0.76, 0.75), "mainland", fills)
    overseas = [code for code in shapes.boxes if code != "mainland"]
    for number, code in enumerate(overseas):
        _draw_frame(sheet, (0.05 + 0.13 * number, 0.065, 0.10, 0.10), code, fills)
    axes = _draw_paris(sheet, (0.80, 0.66, 0.17, 0.17), fills)
    keys = [key(colour, name) for colour, name in zip(colours, class_names(bounds), strict=True)][
        ::-1
    ]
    if any(hatch for _, hatch in fills.values()):
        keys.append(key("white", "withheld", WITHHELD))
    if set(shapes.departments) - set(found):
        keys.append(key(_UNTOLD, "no figure"))
    axes.legend(
        handles=keys,
        title=WORDS[about.measure],
        loc="upper left",
        bbox_to_anchor=(-0.1, -0.12),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
    )


def _fill(
    figure: Figure, about: About, bounds: Sequence[float], colours: Sequence[str]
) -> tuple[str, str]:
    value = value_of(figure, about.measure)
    return ("white", WITHHELD) if value is None else (colours[class_of(value, bounds)], "")


def _draw_frame(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    name: str,
    fills: Mapping[str, tuple[str, str]],
) -> None:
    shapes = geometry()
    left, top, right, bottom = shapes.boxes[name]
    axes = _blank(sheet, place)
    for code in sorted(shapes.departments):
        is_here = code == name if code in shapes.boxes else name == "mainland"
        if is_here:
            outline(axes, shapes.rings(code), *fills.get(code, (_UNTOLD, "")))
    room = (right - left) * 0.01
    axes.set_xlim(left - room, right + room)
    axes.set_ylim(-bottom - room, room - top)
    if name != "mainland":
        axes.set_title(name, fontsize=7, pad=2)


def _draw_paris(
    sheet: Sheet,
    place: tuple[float, float, float, float],
    fills: Mapping[str, tuple[str, str]],
) -> Axes:
    shapes = geometry()
    axes = _blank(sheet, place)
    points = []
    for code in _PARIS:
        rings = shapes.rings(code)
        points += [point for ring in rings for point in ring]
        outline(axes, rings, *fills.get(code, (_UNTOLD, "")))
    axes.set_xlim(min(x for x, _ in points), max(x for x, _ in points))
    axes.set_ylim(min(y for _, y in points), max(y for _, y in points))
    axes.set_title("75, 92, 93, 94", fontsize=7, pad=2)
    return axes


def _blank(sheet: Sheet, place: tuple[float, float, float, float]) -> Axes:
    axes = sheet.add_axes(place)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return axes
