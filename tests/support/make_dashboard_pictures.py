"""Write `docs/pictures/dashboard-*.png`: `python -m tests.support.make_dashboard_pictures`.

A real run: a hub on this machine, minutes of simulated load in which everything happens once, a
real Prometheus that scrapes it, and each panel's own queries. Only the line of a week ago is made
up, for the hub is minutes old; the picture says so.
"""

from __future__ import annotations

import asyncio
import math
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

from ops.grafana.dashboard import BOARDS
from ops.grafana.drawing import Board, Drawn
from ops.plotting.drawing import Axes, Form, Sheet, render
from tests.e2e.test_dashboards import last_week
from tests.support.product import Embedded
from tests.support.prometheus.everyday import ENV, EverydayHub
from tests.support.prometheus.server import PrometheusServer

OUT: Final = Path(__file__).parents[2] / "docs" / "pictures"
SHOWN: Final = ("national", "doors", "streams")
_LOAD_SECONDS: Final = 75.0
_PANELS: Final = 9
_COLUMNS: Final = 3
_ROW_INCHES: Final = 2.0
_WIDTH_INCHES: Final = 9.6
_LEGENDS: Final = 5
_SHADES: Final = 48
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")


def main() -> None:
    """Run a hub, ask, draw."""
    hub = Embedded(ENV).start()
    folder = Path(tempfile.mkdtemp(prefix="ld-pictures-"))
    try:
        day = EverydayHub(hub)
        at = f"127.0.0.1:{hub.http_port}"
        server = PrometheusServer(folder, {"api": at, "laboratories": at}, day.operator_token)
        server.backfill(last_week(time.time()))
        server.start()
        began = time.time()
        asyncio.run(day.pass_once(600))
        asyncio.run(day.go_on(_LOAD_SECONDS))
        ended = time.time()
        for name in SHOWN:
            picture = draw(BOARDS[name], server, began, ended)
            (OUT / f"dashboard-{name}.png").write_bytes(small(picture))
        day.stop()
        server.remove()
    finally:
        hub.remove()


def small(picture: bytes) -> bytes:
    """Return a picture with as few colours as lines need: a third of the bytes."""
    out = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(_SHADES).save(out, "png", optimize=True)
    return out.getvalue()


def draw(board: Board, server: PrometheusServer, began: float, ended: float) -> bytes:
    """Return a dashboard's first panels as a picture, from what Prometheus answers."""
    panels = [panel for _, row in board.rows for panel in row]
    asked = [(panel, _answers(panel, server, began, ended)) for panel in panels]
    shown = [(panel, answers) for panel, answers in asked if answers][:_PANELS]
    rows = math.ceil(len(shown) / _COLUMNS)
    date = datetime.fromtimestamp(ended, UTC).date().isoformat()
    said = (
        f"{board.title}: a real run on {date}, simulated laboratories; last week's line is made up"
    )

    def paint(sheet: Sheet) -> None:
        sheet.suptitle(said, fontsize=10, x=0.01, ha="left")
        axes: Sequence[Axes] = sheet.subplots(rows, _COLUMNS, squeeze=False).flatten().tolist()
        for place, (panel, answers) in zip(axes, shown, strict=False):
            _paint(place, panel, answers, began)
        for place in axes[len(shown) :]:
            place.set_axis_off()
        sheet.tight_layout(rect=(0, 0, 1, 0.98))

    inches = (_WIDTH_INCHES, _ROW_INCHES * rows + 0.3)
    return render(paint, Form.PNG, inches=inches, title=board.title, description=said)


def _answers(
    panel: Drawn, server: PrometheusServer, began: float, ended: float
) -> list[tuple[str, list[tuple[float, float]]]]:
    found = []
    for expression, legend in panel.queries:
        for series in server.between(expression, began, ended, 2):
            points = [(float(at), float(value)) for at, value in series["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                found.append((_named(legend, series["metric"]), points))
    return found


def _named(legend: str, labels: Mapping[str, Any]) -> str:
    for name, value in labels.items():
        legend = legend.replace(f"{{{{{name}}}}}", str(value))
    return re.sub(r"\s*\{\{\w+\}\}", "", legend)


def _paint(
    place: Axes,
    panel: Drawn,
    answers: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    began: float,
) -> None:
    place.set_title(panel.title, fontsize=7.5, loc="left")
    place.tick_params(labelsize=6)
    for number, (legend, points) in enumerate(answers):
        place.plot(
            [(at - began) / 60 for at, _ in points],
            [value for _, value in points],
            color=_COLOURS[number % len(_COLOURS)],
            linewidth=1.0,
            label=legend if number < _LEGENDS else None,
        )
    if panel.limit is not None and not panel.is_bad_below:
        most = max(value for _, points in answers for _, value in points)
        if most > panel.limit / 3:
            place.axhline(panel.limit, color="#c00000", linewidth=0.8, linestyle="--")
    place.set_ylabel(
        {"ops": "a second", "s": "s", "bytes": "bytes"}.get(panel.unit, ""), fontsize=6
    )
    place.set_ylim(bottom=None if panel.is_bad_below else 0)
    place.legend(fontsize=5.5, frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
