"""docs/game-day.md: what the ten faults are, and how they last went.

Written by `python -m tests.gameday.page` from the faults themselves and `gameday.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.results import FOLDER
from tests.support.prometheus.rules import ROOT, alerts

from .days import FAULTS
from .fault import AFTERMATH, Fault

PAGE: Final = ROOT / "docs" / "game-day.md"
RESULTS: Final = FOLDER / "gameday.csv"
TOLD: Final = "s until told"
OVER: Final = "s until over"
_HEAD: Final = """# Game day

For operators: does the right alert reach you when something breaks, soon, and alone? Does the
dashboard show it, and does the runbook end it? `make proof-gameday` plays it on a real cluster,
one fault after the other, and fails where the answer is no. Linux and root only (it mounts a
small disk); nothing else of the machine is touched. It takes an hour and a half.

Made by `python -m tests.gameday.page` from the faults (`tests/gameday/faults_*.py`) and the last
rows of `benchmarks/results/gameday.csv`.

## What runs

Apache Kafka (one broker), PostgreSQL, ingest, two of dispatch, relay, push, indicators and api,
started by the lines of their units and started again when they end. Twelve laboratories send ten
messages a second over MLLP, each in its order; a receiver takes the public-health stream.
Prometheus and Alertmanager have the files of `ops/prometheus/`, and a webhook stands for the
person on call.

**Time.** Rules wait for minutes and look back for hours. Every duration in rules and routes
(`for`, windows, offsets, how often, ages that are compared) is divided by a scale, 10 by default
(`ARGS="--scale 1"`: real time). What a machine needs for its work, and how many of a thing there
are, stay as they are. So do the seconds between two tries of the hub: no window becomes shorter
than 15 s, and no group waits for less than 10 s. Three quiet days are put into Prometheus before,
as a hub has them. The machine should have two processors free: where it has not, answers and
transactions are slow in earnest, and their alerts come beside the fault's.

**What is asked of each fault.**

1. A person is told of its alerts within the time that follows from their rules: `for`, the
   scrapes and evaluations, the route's `group_wait`, and what the fault itself takes to build up.
   A loaded machine may take three times as long; the table has both.
2. A person is told of nothing else, from the fault until five minutes (scaled) after everything
   is quiet. What fires in Prometheus and is kept silent by Alertmanager is listed. Tickets that
   count an outage against four weeks ({aftermath}) may come after any outage; they wake nobody.
3. The panel shows it: its own query gives another figure than on the calm day before.
4. The steps of the runbook are done as they stand there, and then the alerts end.

After the last one laboratories stop, everything is worked off, and the conservation checker
compares what each laboratory was answered with the log, the account, the streams and a
computation from scratch: nothing acknowledged is lost, nothing is there twice.

## The faults

"""


def page(rows: list[Mapping[str, str]]) -> str:
    """Return the page."""
    names = ", ".join(f"`{name}`" for name in sorted(AFTERMATH))
    parts = [_HEAD.replace("{aftermath}", names)]
    parts += [_told_of(fault, _last(rows, fault.name)) for fault in FAULTS.values()]
    return "".join(parts)


def read(path: Path = RESULTS) -> list[Mapping[str, str]]:
    """Return the rows of the results; none where no day was played yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _told_of(fault: Fault, last: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"### {fault.name}\n\n{fault.says}\n\n| | |\n|---|---|"]
    told = ", ".join(f"`{name}` ({alerts()[name]['labels']['severity']})" for name in fault.alerts)
    lines.append(f"| who must say so | {told} |")
    if fault.also:
        also = ", ".join(f"`{name}`" for name in sorted(fault.also))
        lines.append(f"| may come too | {also}: {fault.why_also} |")
    panels = ", ".join(f'"{each.title}" ({each.board})' for each in fault.panels)
    lines.append(f"| seen on | {panels} |")
    pages = dict.fromkeys(step.runbook for step in fault.steps)
    lines.append(
        "| ended by | " + ", ".join(f"[{name}](runbooks/{name}.md)" for name in pages) + " |"
    )
    if TOLD in last:
        row = last[TOLD]
        about = dict(each.split("=", 1) for each in row["parameters"].split())
        lines.append(
            f"| last played | {row['at'][:10]} at {row['commit']}, scale {about['scale']}, load of"
            f" the machine {about['load']}: told after {float(row['figure']):.0f} s (by the rules:"
            f" {float(row['yardstick']):.0f} s), over {float(last[OVER]['figure']):.0f} s after the"
            " last step |"
        )
    else:
        lines.append("| last played | not yet |")
    return "\n".join(lines) + "\n\n"


def _last(rows: list[Mapping[str, str]], name: str) -> dict[str, Mapping[str, str]]:
    return {row["unit"]: row for row in rows if f"fault={name} " in row["parameters"] + " "}


if __name__ == "__main__":
    PAGE.write_text(page(read()).rstrip() + "\n", encoding="utf-8")
