"""What a benchmark writes down: one CSV row a figure, with all that is needed to believe it."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

FOLDER: Final = Path(__file__).with_name("results")
COLUMNS: Final = (
    "at",
    "commit",
    "machine",
    "python",
    "versions",
    "engine",
    "parameters",
    "figure",
    "unit",
    "yardstick",
    "ratio",
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that was measured just now, and the yardstick of the same minute if it has one."""

    engine: str
    parameters: Mapping[str, object]
    figure: float
    unit: str
    yardstick: float | None = None
    ratio: float | None = None


class BenchmarkFailed(Exception):
    """What was measured is worth nothing: a wrong answer, or an account that does not close."""


def append(name: str, rows: Sequence[Row], libraries: Sequence[str]) -> None:
    """Append rows to `results/<name>.csv`; the first row ever brings the header."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.csv"
    is_new = not path.exists()
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "python": platform.python_version(),
        "versions": _pairs({library: version(library) for library in libraries}),
    }
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        for row in rows:
            writer.writerow(
                about
                | {
                    "engine": row.engine,
                    "parameters": _pairs(row.parameters),
                    "figure": f"{row.figure:.6g}",
                    "unit": row.unit,
                    "yardstick": "" if row.yardstick is None else f"{row.yardstick:.6g}",
                    "ratio": "" if row.ratio is None else f"{row.ratio:.4g}",
                }
            )


def show(title: str, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a small table."""
    print(title)
    table = Table()
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number == 0 else "right")
    for line in lines:
        table.add_row(*(str(cell) for cell in line))
    Console(width=140, highlight=False).print(table)


def say_floor(what: str, reached: float, floor: float, unit: str, *, most: bool = False) -> None:
    """Say whether a floor (or, with `most`, a ceiling) is met; never an assertion."""
    is_met = reached <= floor if most else reached >= floor
    word = "at most" if most else "at least"
    state = "met" if is_met else "MISSED"
    print(f"{what}: {reached:,.4g} {unit}; asked {word} {floor:,g}: {state}")


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile; `values` need no order."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def load_average() -> float:
    """Return how busy the machine was in the last minute: others may share it."""
    return round(os.getloadavg()[0], 2)


def _pairs(pairs: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in pairs.items())


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _machine() -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{model}, {os.cpu_count()} cores, {memory_bytes / 2**30:.0f} GiB"
