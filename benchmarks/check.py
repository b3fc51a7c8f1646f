"""`labdispatch check` of one-message files, start-up included, against hl7apy's parse of them.

`python -m benchmarks.check`. The files are the simulator's, of every dialect. Ours is the command
as a vendor runs it: a new process each time, from its start to its end, every message judged by
the whole French profile and told in the format. hl7apy only parses, tolerantly, in a process that
already runs. Rounds of both take turns on one core. What hl7apy cannot parse counts as the mean of
what it can.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import click
import msgspec
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from benchmarks.results import BenchmarkFailed, Row, append, load_average, say_floor, show
from ops.simulate.simulation import Simulation

FLOOR: Final = 20.0


@click.command()
@click.option("--files", "count", type=click.IntRange(min=10), default=1_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=3), default=5, show_default=True)
@click.option("--sample", type=int, default=100, show_default=True, help="For hl7apy, each round.")
@click.option("--seed", type=int, default=20_260_306, show_default=True)
def main(count: int, rounds: int, sample: int, seed: int) -> None:
    """Measure, print, and append to results/check.csv."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    busy = load_average()
    simulation = Simulation(seed=seed, labs=12, start_at=datetime(2026, 1, 5, 8, tzinfo=UTC))
    raws = [message.raw for message in islice(simulation.messages(), count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, raw in enumerate(raws):
            (folder / f"{number:05}.hl7").write_bytes(raw)
        ours: dict[str, list[float]] = {"text": [], "json": [], "sarif": []}
        start_ups, theirs = [], []
        # A share of the messages, evenly spread: one round of all takes hl7apy half a minute.
        spread = raws[:: max(1, len(raws) // sample)]
        for _ in range(rounds):
            for form, seconds in ours.items():
                seconds.append(_checked(folder, form, count))
            start_ups.append(_checked(folder / "00000.hl7", "json", 1))
            theirs.append(_parsed(spread) * count)
    parameters = {
        "files": count,
        "bytes": sum(map(len, raws)),
        "rounds": rounds,
        "sample": len(spread),
        "seed": seed,
        "load": busy,
    }
    _report(ours, start_ups, theirs, parameters)


def _checked(path: Path, form: str, count: int) -> float:
    """Return the seconds of one run of the command, which must tell of every message."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "check", str(path), "--format", form],
        capture_output=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode not in {0, 1}:
        raise BenchmarkFailed(f"check ended with {done.returncode}")
    told = (
        len(msgspec.json.decode(done.stdout))
        if form == "json"
        else done.stdout.count(b".hl7:")
        if form == "text"
        else count
    )
    if told < count:
        raise BenchmarkFailed(f"{told} of {count} messages were told of")
    return seconds


def _parsed(raws: Sequence[bytes]) -> float:
    """Return hl7apy's seconds for one message, the mean of those that it can parse."""
    texts = [
        raw.decode("utf-8", "replace").replace("\r\n", "\r").replace("\n", "\r") for raw in raws
    ]
    parsed, seconds = 0, 0.0
    for text in texts:
        began = time.perf_counter()
        try:
            parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
        except (HL7apyException, ValueError, KeyError, IndexError):
            continue
        seconds += time.perf_counter() - began
        parsed += 1
    if parsed < len(raws) // 2:
        raise BenchmarkFailed("hl7apy parses less than half of the messages")
    return seconds / parsed


def _report(
    ours: dict[str, list[float]],
    start_ups: list[float],
    theirs: list[float],
    parameters: Mapping[str, object],
) -> None:
    yardstick = statistics.median(theirs)
    lines, rows = [], []
    for form, seconds in ours.items():
        median = statistics.median(seconds)
        lines.append((f"check --format {form}", f"{median:.3f}", f"{yardstick / median:.1f}"))
        rows.append(
            Row(
                engine="none",
                parameters=dict(parameters)
                | {
                    "format": form,
                    "best_seconds": f"{min(seconds):.3f}",
                    "one_file_seconds": f"{statistics.median(start_ups):.3f}",
                    "hl7apy_per_second": f"{float(str(parameters['files'])) / yardstick:.1f}",
                },
                figure=median,
                unit="s (median)",
                yardstick=yardstick,
                ratio=yardstick / median,
            )
        )
    lines += [
        ("check of one file", f"{statistics.median(start_ups):.3f}", ""),
        ("hl7apy, parse only", f"{yardstick:.3f}", "1"),
    ]
    show(
        f"{parameters['files']} files, {parameters['rounds']} rounds in turns, one core",
        ("what", "median s", "x hl7apy"),
        lines,
    )
    say_floor("check", yardstick / statistics.median(ours["text"]), FLOOR, "x hl7apy")
    append("check", rows, ("hl7apy", "click", "msgspec"))


if __name__ == "__main__":
    main()
