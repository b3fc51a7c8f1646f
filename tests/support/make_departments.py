"""Write `ops/plotting/departments.json`: `python -m tests.support.make_departments MapChart.js`.

The argument is `dist/MapChart/MapChart.js` of the npm package `@gouvfr/dsfr-chart` (2.0.4). Its
outlines are SVG paths; curves are cut short to straight lines, of which there is hardly one. What
is written: by department its rings, each as `[x, y, x, y, ...]`, y downwards, and the box of each
drawing: the departments of the mainland and Corsica share one, overseas ones have each their own.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Final

OUT: Final = Path(__file__).parents[2] / "ops" / "plotting" / "departments.json"
_PATH: Final = re.compile(r'class: "FR-(\d\d|2A|2B|97\d)",\s*(?:style: [^\n]*\n\s*)?d: "([^"]+)"')
_TOKEN: Final = re.compile(r"[a-zA-Z]|-?(?:\d+\.\d*|\.\d+|\d+)(?:e-?\d+)?")
_TAKES: Final = {"m": 2, "l": 2, "h": 1, "v": 1, "c": 6, "s": 4, "a": 7, "z": 0}
"""Numbers of a command; the last two, or the only one, say where it ends."""


def main() -> None:
    """Read the component, write the outlines."""
    source = Path(sys.argv[1]).read_text()
    rings = {code: rings_of(path) for code, path in _PATH.findall(source)}
    assert len(rings) == 101, f"{len(rings)} departments"
    mainland = [each for code, each in rings.items() if not code.startswith("97")]
    boxes = {"mainland": box_of([ring for each in mainland for ring in each])}
    boxes |= {code: box_of(each) for code, each in rings.items() if code.startswith("97")}
    lines = ",\n".join(f'"{code}": {_short(rings[code])}' for code in sorted(rings))
    OUT.write_text(f'{{"boxes": {_short(boxes)},\n"departments": {{\n{lines}\n}}}}\n')


def rings_of(path: str) -> list[list[float]]:
    """Return the closed rings of an SVG path."""
    tokens = _TOKEN.findall(path)
    rings: list[list[float]] = []
    ring: list[float] = []
    x = y = 0.0
    command, at = "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            command, at = tokens[at], at + 1
        kind, takes = command.lower(), _TAKES[command.lower()]
        numbers = [float(token) for token in tokens[at : at + takes]]
        at += takes
        if kind == "z":
            rings.append(ring)
            x, y = ring[0], ring[1]
            ring = []
            continue
        if kind == "m" and ring:
            rings.append(ring)
            ring = []
        if not ring and kind != "m":
            ring = [x, y]
        is_relative = command.islower()
        if kind == "h":
            x = numbers[0] + (x if is_relative else 0)
        elif kind == "v":
            y = numbers[0] + (y if is_relative else 0)
        else:
            x = numbers[-2] + (x if is_relative else 0)
            y = numbers[-1] + (y if is_relative else 0)
        ring += [round(x, 1), round(y, 1)]
        if kind == "m":
            command = "l" if is_relative else "L"
    return [each for each in [*rings, ring] if len(each) >= 6]


def box_of(rings: list[list[float]]) -> list[float]:
    """Return left, top, right and bottom."""
    xs = [x for ring in rings for x in ring[::2]]
    ys = [y for ring in rings for y in ring[1::2]]
    return [min(xs), min(ys), max(xs), max(ys)]


def _short(value: object) -> str:
    return re.sub(r"\.0(?=[,\]])", "", json.dumps(value, separators=(",", ":")))


if __name__ == "__main__":
    main()
