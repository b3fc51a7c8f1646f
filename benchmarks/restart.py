"""How long each process takes from its end to being ready again: `python -m benchmarks.restart`.

Embedded: each station of a run is killed; its supervisor starts it again. Cluster: each is told
to stop in order and started anew, as systemd would without its pause. Ready is what the process
itself says, once its database, log and keys are open. The CPU time it took is what a busy machine
does not change.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import click
import msgspec

from benchmarks.product import running, start_station
from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from benchmarks.soak_samples import put_ahead
from ops.stations import ROLES
from ops.supervise import ROAD, ready_file
from tests.support.product import Embedded

FLOOR_SECONDS: Final = 3.0
_WAIT_SECONDS: Final = 240.0
_OLD_SECONDS: Final = 31.0
"""A station that lived longer is started again at once (ops/supervise.py)."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """One process that came back."""

    role: str
    seconds: float
    cpu_seconds: float
    """Of the new process until it was ready."""
    stop_seconds: float = 0.0
    """Of `seconds`: what the old one took to end in order; nothing where it was killed."""


@click.command()
@click.option("--engine", type=click.Choice(["embedded", "cluster"]), default="embedded")
@click.option("--times", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option(
    "--ahead",
    type=click.IntRange(0, 30),
    default=0,
    show_default=True,
    help="As root, on a machine that others use: so far what starts goes first.",
)
def main(engine: str, times: int, ahead: int) -> None:
    """Measure each role, print, and append to results/restart.csv."""
    # As installed: modules are compiled once, not at each start (0.1 to 0.2 s of processor time).
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found = (_embedded if engine == "embedded" else _cluster)(times, ahead)
    by_role: dict[str, list[Restart]] = {}
    for each in found:
        by_role.setdefault(each.role, []).append(each)
    show(
        f"restart to ready, {engine}, {times} times",
        ("role", "median s", "slowest s", "of it stopping s", "CPU s"),
        [
            (
                role,
                f"{median(r.seconds for r in each):.2f}",
                f"{max(r.seconds for r in each):.2f}",
                f"{median(r.stop_seconds for r in each):.2f}",
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
                "stopping": round(median(r.stop_seconds for r in each), 2),
                "cpu": round(median(r.cpu_seconds for r in each), 2),
                "ahead": ahead,
                "load": load_average(),
            },
            figure=median(r.seconds for r in each),
            unit="s from end to ready, median",
        )
        for role, each in by_role.items()
    ]
    append("restart", rows, ["asyncpg", "aiokafka", "uvloop"])


def _embedded(times: int, ahead: int) -> list[Restart]:
    hub = Embedded()
    found = []
    try:
        hub.start()
        for _ in range(times):
            # What dies young is started again later each time: that is not what is asked.
            time.sleep(_OLD_SECONDS)
            for role in ROAD:
                path = ready_file(hub.data_dir, role)
                began = time.monotonic()
                before = hub.kill(role)
                found.append(_back(role, path, before, began, hub.pids, ahead))
    finally:
        hub.remove()
    return found


def _cluster(times: int, ahead: int) -> list[Restart]:
    found = []
    with ExitStack() as stack:
        product = stack.enter_context(running("cluster"))
        pids = dict(product.pids)
        put_ahead(pids, ahead)
        for _ in range(times):
            for role in ROLES:
                path = ready_file(product.settings.data_dir, role)
                before = pids[role]
                began = time.monotonic()
                os.kill(before, signal.SIGTERM)
                os.waitpid(before, 0)
                stopped = time.monotonic()
                pids[role] = start_station(stack, role, product.settings)
                back = _back(role, path, before, began, lambda: pids, ahead)
                found.append(msgspec.structs.replace(back, stop_seconds=stopped - began))
    return found


def _back(  # noqa: PLR0917 - each is another thing
    role: str,
    path: Path,
    before: int,
    began: float,
    pids: Callable[[], Mapping[str, int]],
    ahead: int,
) -> Restart:
    """Wait until a role is ready again under another pid."""
    is_ahead = not ahead
    while (pid := _pid(path)) in {0, before}:
        if time.monotonic() - began > _WAIT_SECONDS:
            raise BenchmarkFailed(f"{role} did not come back")
        if not is_ahead and pids().get(role, before) != before:
            put_ahead({role: pids()[role]}, ahead)
            is_ahead = True
        time.sleep(0.005)
    return Restart(role=role, seconds=time.monotonic() - began, cpu_seconds=_cpu(pid))


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
