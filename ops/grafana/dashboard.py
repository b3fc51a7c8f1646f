"""The dashboards as code: `python -m ops.grafana.dashboard` writes each one's JSON.

Each panel says what to do and leads to a runbook. Only figures that ops/runtime/metrics declares or
ops/prometheus/recording.yml records may stand here; tests/unit/test_dashboards.py compares, and
tests/e2e/test_dashboards.py asks a real Prometheus every query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ops.grafana.dashboards import (
    doors,
    identity,
    infrastructure,
    laboratory,
    national,
    streams,
)
from ops.grafana.drawing import Board, drawn

FOLDER: Final = Path(__file__).with_name("dashboards")
BOARDS: Final[dict[str, Board]] = {
    "national": national.BOARD,
    "doors": doors.BOARD,
    "identity": identity.BOARD,
    "streams": streams.BOARD,
    "infrastructure": infrastructure.BOARD,
    "laboratory": laboratory.BOARD,
}
"""By the name of the file."""


def output(name: str) -> Path:
    """Return where a dashboard's JSON lies."""
    return FOLDER / f"{name}.json"


if __name__ == "__main__":
    for each, board in BOARDS.items():
        output(each).write_text(drawn(board), encoding="utf-8")
