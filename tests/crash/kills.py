"""The long run: SIGKILL of any station at random moments under load, hundreds of times.

`python -m tests.crash.kills --kills 1000`, or `make proof-kills KILLS=1000`. After each round the
conservation checker reads everything sent so far; the first thing that does not hold ends the run.
A row goes into `benchmarks/results/kills.csv`.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import click

from benchmarks.results import Row, append, load_average
from tests.support.cluster import Cluster
from tests.support.kafka import KafkaCluster
from tests.support.load import simulated, under_load
from tests.support.product import Embedded

_ROUND_KILLS: Final = 25
_ROUND_MESSAGES: Final = 400
_STATIONS: Final = {
    "embedded": ("ingest", "dispatch", "dispatch", "api"),
    "cluster": ("ingest", "dispatch", "relay", "relay", "api"),
}


@click.command()
@click.option("--kills", type=click.IntRange(min=1), default=1_000, show_default=True)
@click.option("--engine", type=click.Choice(sorted(_STATIONS)), default="embedded")
@click.option("--seed", type=int, default=1, show_default=True)
def main(kills: int, engine: str, seed: int) -> None:
    """Kill stations under load, and check after each round that nothing was lost or doubled."""
    started = time.monotonic()
    with _instance(engine) as instance:
        killed, messages = asyncio.run(_run(instance, engine, kills, seed))
    parameters = {
        "kills": " ".join(f"{role}:{count}" for role, count in sorted(killed.items())),
        "seed": seed,
        "messages": messages,
        "lost": 0,
        "duplicate": 0,
        "seconds": round(time.monotonic() - started),
        "load": load_average(),
    }
    row = Row(engine=engine, parameters=parameters, figure=killed.total(), unit="kills")
    append("kills", [row], ["asyncpg", "aiokafka"])
    print(f"{engine}: {killed.total()} kills, {messages} messages, nothing lost, nothing doubled")


async def _run(
    instance: Embedded | Cluster, engine: str, kills: int, seed: int
) -> tuple[Counter[str], int]:
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    journal: list[tuple[str, str]] = []
    number = 0

    async def kill_now_and_then() -> None:
        until = min(kills, killed.total() + _ROUND_KILLS)
        while killed.total() < until:
            await asyncio.sleep(rng.uniform(0.1, 0.8))
            role = rng.choice(_STATIONS[engine])
            if role in instance.pids():
                instance.kill(role)
                killed[role] += 1

    while killed.total() < kills:
        number += 1
        # Another seed makes other control ids: the rounds are one long history.
        messages = simulated(seed * 100_000 + number, _ROUND_MESSAGES)
        sent: list[tuple[str, str]] = []
        await under_load(
            instance, messages, kill_now_and_then, pause_seconds=0.05, before=journal, keep=sent
        )
        journal += sent
        print(f"round {number}: {killed.total()} kills, {len(journal)} answers", file=sys.stderr)
    return killed, len({control_id for control_id, _ in journal})


@contextmanager
def _instance(engine: str) -> Iterator[Embedded | Cluster]:
    if engine == "embedded":
        embedded = Embedded()
        try:
            yield embedded.start()
        finally:
            embedded.remove()
        return
    with (
        tempfile.TemporaryDirectory(prefix="ld-kafka-") as folder,
        KafkaCluster(Path(folder) / "kafka", 3) as kafka,
    ):
        cluster = Cluster(kafka, f"k{uuid4().hex[:12]}.")
        try:
            yield cluster.start()
        finally:
            cluster.remove()


if __name__ == "__main__":
    main()
