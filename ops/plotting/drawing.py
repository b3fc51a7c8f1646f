"""The one place that knows matplotlib: a figure that is drawn on, and its bytes.

The same figures give the same bytes: no clock, no chance, no settings of the user, the fonts that
come with the library. Another version of matplotlib may draw another picture.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from enum import StrEnum
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Sheet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path

__all__ = [
    "Axes",
    "Form",
    "Handle",
    "Sheet",
    "class_names",
    "class_of",
    "classes",
    "key",
    "line_key",
    "outline",
    "render",
    "shades",
    "tile",
    "write_on",
]

Handle = Patch | Line2D
"""An entry of a legend."""

INK: Final = "#222222"
FAINT: Final = "#8a8a8a"
GROUND: Final = "#ececec"
BLUE: Final = "#0072b2"
PALE: Final = "#a6cbe3"
ORANGE: Final = "#d55e00"
WITHHELD: Final = "////"
"""Hatching of what is withheld, everywhere."""
_DOTS_PER_INCH: Final = 144
_PATH_DATA: Final = re.compile(rb' d="[^"]*"')
_DECIMALS: Final = re.compile(rb"(\d\.\d\d)\d+")
"""Hundredths of a point are enough: half the bytes of a map are their further decimals."""
_LETTERS_AN_INCH: Final = 19
"""Of the smallest letters."""
_LEAST: Final = 1e-6
"""A largest value below this is as good as none: no class is made of it."""
_STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.4,
    "hatch.color": FAINT,
    "svg.hashsalt": "labdispatch",
    "svg.fonttype": "path",
    "path.simplify": False,
}


class Form(StrEnum):
    """Of the file."""

    SVG = "svg"
    PNG = "png"


def render(
    draw: Callable[[Sheet], None],
    form: Form,
    *,
    inches: tuple[float, float],
    title: str,
    description: str,
) -> bytes:
    """Return the bytes of a picture.

    Args:
        draw: Draws on the empty sheet.
        form: Of the bytes.
        inches: Width and height.
        title: What a reader that cannot see it is told first; also in the file.
        description: The same in a few sentences.
    """
    out = BytesIO()
    with style.context(["default", _STYLE]):
        sheet = Sheet(figsize=inches, dpi=_DOTS_PER_INCH, layout=None)
        if form is Form.SVG:
            FigureCanvasSVG(sheet)
            about = {"Title": title, "Description": description, "Date": None, "Creator": None}
        else:
            FigureCanvasAgg(sheet)
            about = {"Title": title, "Description": description, "Software": None}
        draw(sheet)
        sheet.savefig(out, format=form.value, metadata=about)
    content = out.getvalue()
    return _PATH_DATA.sub(_shortened, content) if form is Form.SVG else content


def _shortened(path: re.Match[bytes]) -> bytes:
    return _DECIMALS.sub(rb"\1", path.group())


def write_on(sheet: Sheet, title: str, subtitle: str, footer: str) -> None:
    """Write the two lines above and the line below."""
    height = sheet.get_figheight()
    sheet.text(0.02, 1 - 0.14 / height, title, fontsize=12, fontweight="bold", va="top")
    sheet.text(0.02, 1 - 0.40 / height, subtitle, color=FAINT, va="top")
    lines = textwrap.fill(footer, int(_LETTERS_AN_INCH * sheet.get_figwidth()))
    sheet.text(0.02, 0.09 / height, lines, color=FAINT, fontsize=7, va="bottom")


def shades(count: int) -> list[str]:
    """Return so many colours from light to dark, told apart also without seeing colours."""
    chosen = mpl.colormaps["YlGnBu"]
    return [to_hex(chosen(0.12 + 0.8 * number / max(1, count - 1))) for number in range(count)]


def outline(
    axes: Axes, rings: Sequence[Sequence[tuple[float, float]]], colour: str, hatch: str = ""
) -> None:
    """Draw an area of one or more rings."""
    points = [point for ring in rings for point in (*ring, ring[0])]
    codes = [
        code
        for ring in rings
        for code in (Path.MOVETO, *[Path.LINETO] * (len(ring) - 1), Path.CLOSEPOLY)
    ]
    patch = PathPatch(Path(points, codes), facecolor=colour, edgecolor="#7d7d7d", linewidth=0.35)
    if hatch:
        patch.set_hatch(hatch)
    axes.add_patch(patch)


def tile(
    axes: Axes, x: float, y: float, colour: str, *, hatch: str = "", height: float = 1.0
) -> None:
    """Draw one field of a heat map."""
    patch = Rectangle((x, y), 1, height, facecolor=colour, edgecolor=colour, linewidth=0.1)
    if hatch:
        patch.set_hatch(hatch)
    axes.add_patch(patch)


def key(colour: str, label: str, hatch: str = "") -> Patch:
    """Return an entry of a legend."""
    return Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.4, label=label, hatch=hatch or None)


def line_key(colour: str, label: str) -> Line2D:
    """Return an entry of a legend for a line."""
    return Line2D([], [], color=colour, linewidth=1.6, label=label)


def classes(values: Sequence[float], most: int = 6) -> list[float]:
    """Return upper bounds of up to `most` classes, in numbers that are easy to read.

    Steps are alike and round, the first class begins at 0, and the last bound holds the largest.
    Of no value there is no class.
    """
    if not values:
        return []
    largest = max(values)
    if largest < _LEAST:
        return [1.0]
    rough = largest / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * 0.999999)
    return [step * (number + 1) for number in range(math.ceil(largest / step - 1e-9))]


def class_of(value: float, bounds: Sequence[float]) -> int:
    """Return the number of the class that a value is in."""
    return next(
        (number for number, bound in enumerate(bounds) if value <= bound * (1 + 1e-12)),
        len(bounds) - 1,
    )


def class_names(bounds: Sequence[float]) -> list[str]:
    """Return the classes as a reader calls them."""
    lows = [0.0, *bounds][: len(bounds)]
    return [f"{low:,g} to {high:,g}" for low, high in zip(lows, bounds, strict=True)]
