"""Small panels of courses over minutes, as SVG of our own: nothing is needed to draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, log10
from pathlib import Path
from typing import Final

import msgspec

_WIDE: Final = 520
_HIGH: Final = 250
_LEFT: Final = 52
_RIGHT: Final = 120
_TOP: Final = 28
_FOOT: Final = 26
_COLOURS: Final = (
    "#0b6fa4", "#d1495b", "#3a7d44", "#8d5a97", "#e07a1f", "#4c4c4c", "#00a6a6", "#a68a00",
    "#7a0019", "#5b7fff",
)  # fmt: skip


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """Some courses that share an axis."""

    title: str
    courses: Mapping[str, Sequence[tuple[float, float]]]
    """Name -> (second, value)."""
    is_log: bool = False


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Write the panels, two beside each other."""
    path.parent.mkdir(exist_ok=True)
    rows = ceil(len(panels) / 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * _WIDE}" height="{rows * _HIGH}">',
        "<style>text { font: 11px sans-serif } .title { font-size: 13px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        x, y = number % 2 * _WIDE, number // 2 * _HIGH
        parts.append(f'<g transform="translate({x},{y})">{"".join(_panel(panel))}</g>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(panel: Panel) -> list[str]:
    values = [value for course in panel.courses.values() for _, value in course]
    last = max((second for course in panel.courses.values() for second, _ in course), default=1)
    low, high = (max(1e-3, min(values, default=1)), max(values, default=1))
    floor = log10(low) if panel.is_log else 0.0
    top = (log10(max(high, low * 1.01)) if panel.is_log else max(high, 1e-9)) or 1.0

    def at(second: float, value: float) -> str:
        height = log10(max(value, low)) if panel.is_log else value
        x = _LEFT + second / last * (_WIDE - _LEFT - _RIGHT)
        y = _HIGH - _FOOT - (height - floor) / (top - floor) * (_HIGH - _TOP - _FOOT)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<text x="{_LEFT}" y="16" class="title">{escape(panel.title)}</text>']
    for share in (0.0, 0.5, 1.0):
        raw = floor + share * (top - floor)
        value = 10**raw if panel.is_log else raw
        x, y = at(0, value).split(",")
        right = _WIDE - _RIGHT
        parts.append(f'<line x1="{x}" y1="{y}" x2="{right}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{value:,.3g}</text>')
    for share in (0.0, 0.5, 1.0):
        x = at(share * last, low).split(",")[0]
        minute = f"{share * last / 60:.0f} min"
        parts.append(f'<text x="{x}" y="{_HIGH - 8}" text-anchor="middle">{minute}</text>')
    for number, (name, course) in enumerate(panel.courses.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join(at(second, value) for second, value in course)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        )
        parts.append(
            f'<text x="{_WIDE - _RIGHT + 8}" y="{_TOP + 14 * number + 4}" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    return parts
