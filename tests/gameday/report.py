"""What a game day leaves: rows of each fault, and the page docs/game-day.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.results import Row, append, load_average, say_floor

from . import page
from .playing import Played

_CLIENTS: Final = ("aiokafka", "asyncpg")


def write(played: Sequence[Played], *, scale: float, rate: float) -> None:
    """Append rows, write the page anew, and say how each fault went."""
    rows = []
    for each in played:
        about = {
            "fault": each.name,
            "scale": f"{scale:g}",
            "rate": f"{rate:g}",
            "load": load_average(),
        }
        told = max(each.paged.values())
        rows.append(
            Row(
                engine="cluster",
                parameters=about,
                figure=told,
                unit=page.TOLD,
                yardstick=each.derived,
                ratio=told / each.derived,
            )
        )
        rows.append(Row(engine="cluster", parameters=about, figure=each.over, unit=page.OVER))
        say_floor(f"{each.name} is told of", told, each.derived, "s", most=True)
    append("gameday", rows, _CLIENTS)
    page.PAGE.write_text(page.page(page.read()).rstrip() + "\n", encoding="utf-8")
