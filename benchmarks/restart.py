"""How long each process takes from its end to being ready again: `python -m benchmarks.restart`.

Embedded: each station of a run is killed; its supervisor starts it again. Cluster: each is told
to stop in order and started anew, as systemd would without its pause. Ready is what the process
itself says, once its database, log and keys are open. The CPU time it took is what a busy machine
does not change.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

import click
import msgspec

from benchmarks.results import Row, append, load_average, say_floor, show
from ops.supervise import ROAD, ready_file
from tests.support.kafka import KafkaCluster
from tests.support.previous import THIS
from tests.support.product import Embedded
from tests.support.rolling import ROLES, Rolling

FLOOR_SECONDS: Final = 3.0
_WAIT_SECONDS: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """One process that came back."""

    role: str
    seconds: float
    cpu_seconds: float
    """Of the new process until it was ready."""


@click.command()
@click.option("--engine", type=click.Choice(["embedded", "cluster"]), default="embedded")
@click.option("--times", type=click.IntRange(1, 100), default=5, show_default=True)
def main(engine: str, times: int) -> None:
    """Measure each role, print, and append to results/restart.csv."""
    found = _embedded(times) if engine == "embedded" else asyncio.run(_cluster(times))
    by_role: dict[str, list[Restart]] = {}
    for each in found:
        by_role.setdefault(each.role, []).append(each)
    show(
        f"restart to ready, {engine}, {times} times",
        ("role", "median s", "slowest s", "CPU s"),
        [
            (
                role,
                f"{median(r.seconds for r in each):.2f}",
                f"{max(r.seconds for r in each):.2f}",
                f"{median(r.cpu_seconds for r in each):.2f}",
            )
            for role, each in by_role.items()
        ],
    )
    slowest = max(found, key=lambda each: each.seconds)
    say_floor(f"restart of {slowest.role}", slowest.seconds, FLOOR_SECONDS, "s", most=True)
    rows = [
        Row(
            engine=engine,
            parameters={
                "role": role,
                "times": times,
                "slowest": round(max(r.seconds for r in each), 2),
                "cpu": round(median(r.cpu_seconds for r in each), 2),
                "load": load_average(),
            },
            figure=median(r.seconds for r in each),
            unit="s from end to ready, median",
        )
        for role, each in by_role.items()
    ]
    append("restart", rows, ["asyncpg", "aiokafka", "uvloop"])


def _embedded(times: int) -> list[Restart]:
    hub = Embedded()
    found = []
    try:
        hub.start()
        for _ in range(times):
            for role in ROAD:
                path = ready_file(hub.data_dir, role)
                began = time.monotonic()
                before = hub.kill(role)
                while (pid := _pid(path)) in {0, before}:
                    if time.monotonic() - began > _WAIT_SECONDS:
                        raise SystemExit(f"{role} did not come back: {hub.last_words()}")
                    time.sleep(0.005)
                seconds = time.monotonic() - began
                found.append(Restart(role=role, seconds=seconds, cpu_seconds=_cpu(pid)))
    finally:
        hub.remove()
    return found


async def _cluster(times: int) -> list[Restart]:
    found = []
    with _brokers() as kafka:
        cluster = Rolling(kafka, f"r{uuid4().hex[:12]}.", THIS)
        try:
            cluster.begin()
            await cluster.all_up(THIS, ROLES)
            for _ in range(times):
                for role in ROLES:
                    began = time.monotonic()
                    await cluster.take_down(THIS, role)
                    await cluster.run_up(THIS, role)
                    seconds = time.monotonic() - began
                    cpu = _cpu(cluster.both[THIS.name, role].pid)
                    found.append(Restart(role=role, seconds=seconds, cpu_seconds=cpu))
        finally:
            cluster.remove()
    return found


@contextmanager
def _brokers() -> Iterator[KafkaCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="ld-kafka-") as folder,
        KafkaCluster(Path(folder) / "kafka", 3) as kafka,
    ):
        yield kafka


def _pid(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0


def _cpu(pid: int) -> float:
    """Return the processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
