"""What a game day leaves: a row a fault, and after a whole day the page docs/game-day.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.results import Row, append, load_average, say_floor

from .playing import Played


def write(
    played: Sequence[Played],
    failed: Sequence[str],
    account: Mapping[str, Any],
    *,
    scale: float,
    rate: float,
    is_whole: bool,
) -> None:
    """Append rows, and say how each fault went."""
    rows = []
    for each in played:
        about = {"fault": each.name, "scale": f"{scale:g}", "rate": f"{rate:g}",
                 "load": load_average()}  # fmt: skip
        told = max(each.paged.values())
        rows.append(Row(engine="cluster", parameters=about, figure=told, unit="s until told",
                        yardstick=each.derived, ratio=told / each.derived))  # fmt: skip
        rows.append(Row(engine="cluster", parameters=about, figure=each.over, unit="s until over"))
        say_floor(f"{each.name} is told of", told, each.derived, "s", most=True)
    append("gameday", rows, ["aiokafka", "asyncpg"])
