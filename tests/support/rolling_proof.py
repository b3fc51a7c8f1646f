"""An upgrade at a country's rate, timed: `python -m tests.support.rolling_proof`.

Also `make proof-rolling`. Fails (exit 1, no row) where anything is refused, lost or doubled.
A row a figure goes into `benchmarks/results/rolling.csv`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import click

from benchmarks.results import Row, append, load_average, say_floor
from tests.support.conservation import check_conservation
from tests.support.kafka import KafkaCluster
from tests.support.postgres import open_folder
from tests.support.previous import NAMED, previous_release
from tests.support.rolling import ROLES, Load, Rolled, Rolling, roll, slowest

_P99_MS = 250.0


@click.command()
@click.option("--rate", type=float, default=170.0, show_default=True, help="Messages a second.")
@click.option("--stretch", type=int, default=850, show_default=True,
              help="Messages between two steps.")  # fmt: skip
@click.option("--seed", type=int, default=7, show_default=True)
def main(rate: float, stretch: int, seed: int) -> None:
    """Upgrade under load, check that nothing was lost, and write down how long ACKs took."""
    with (
        tempfile.TemporaryDirectory(prefix="ld-kafka-") as folder,
        KafkaCluster(Path(folder) / "kafka", 3) as kafka,
        previous_release(open_folder()) as old,
    ):
        cluster = Rolling(kafka, f"r{uuid4().hex[:12]}.", old)
        try:
            cluster.begin()
            cluster.look_seconds = 900
            load = Load(cluster.mllp_port, seed=seed, rate=rate, most=int(rate * 900))
            rolled = asyncio.run(roll(cluster, load, stretch=stretch))
            print(f"p99 ACK {slowest(rolled.seconds, 0.99) * 1_000:,.0f} ms", file=sys.stderr)
            if load.codes.keys() - {"AA", ""}:
                print(f"FAILED: {dict(load.codes)}", file=sys.stderr)
                sys.exit(1)
            # What is emitted again after merges is to be in the streams before they are read.
            cluster.drained(600)
            cluster.verified(600)
            check_conservation(cluster, rolled.journal, seconds=600)
        finally:
            cluster.remove()
    _report(rolled, rate, seed, cluster.killed)


def _report(rolled: Rolled, rate: float, seed: int, killed: list[str]) -> None:
    about = {
        "rate": round(rate),
        "messages": len(rolled.seconds),
        "seconds": round(rolled.lasted),
        "refused": 0,
        "lost": 0,
        "sent_again": rolled.unanswered,
        "from": NAMED.read_text("ascii")[:7],
        "stations": len(ROLES),
        "killed": ",".join(killed) or "none",
        "seed": seed,
        "load": load_average(),
    }
    figures = {
        "ms p50 ACK": slowest(rolled.seconds, 0.5) * 1_000,
        "ms p99 ACK": slowest(rolled.seconds, 0.99) * 1_000,
        "ms slowest ACK": max(rolled.seconds) * 1_000,
    }
    for unit, figure in figures.items():
        print(f"{figure:,.1f} {unit}")
    say_floor("p99 ACK in an upgrade", figures["ms p99 ACK"], _P99_MS, "ms", most=True)
    rows = [Row(engine="cluster", parameters=about, figure=f, unit=u) for u, f in figures.items()]
    append("rolling", rows, ["asyncpg", "aiokafka"])


if __name__ == "__main__":
    main()
