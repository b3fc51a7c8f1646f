"""A game day: `python -m tests.gameday`, also `make proof-gameday`.

Ten faults, one by one, into a running cluster under load. Exit code 1 where one of them is not
told of in time, not alone, not seen on its dashboard, not ended by its runbook, or where the
conservation checker finds fault in the end. A row a fault goes into
`benchmarks/results/gameday.csv`; with all ten played `docs/game-day.md` is written anew.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import click

from tests.support.conservation import check_conservation

from .days import FAULTS
from .playing import FaultFailed, Played, calm, play
from .report import write
from .stage import Stage


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(FAULTS)), help="These faults alone.")
@click.option(
    "--scale",
    type=float,
    default=10.0,
    show_default=True,
    help="Divides every duration of rules and routes; 1: real time, hours.",
)
@click.option("--rate", type=float, default=10.0, show_default=True, help="Messages a second.")
@click.option(
    "--patience",
    type=float,
    default=3.0,
    show_default=True,
    help="How many times the time that follows from the rules an alert may take.",
)
@click.option(
    "--logs",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where logs of what failed are left.",
)
@click.option("--no-report", is_flag=True, help="Write nothing down.")
def main(
    *, only: tuple[str, ...], scale: float, rate: float, patience: float, logs: Path | None,
    no_report: bool,
) -> None:  # fmt: skip
    """Play the faults; say how each went."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {text}", file=sys.stderr, flush=True)

    # A run that is told to end takes its cluster with it, also one in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    played: list[Played] = []
    failed: list[str] = []
    stage = Stage(scale=scale, rate=rate)
    try:
        stage.start()
        say(f"the cluster runs: {len(stage.laboratories.journal)} messages so far")
        for name in only or FAULTS:
            try:
                played.append(play(stage, FAULTS[name], patience, say))
                say(f"{name}: {played[-1]}")
            except (FaultFailed, AssertionError) as error:
                failed.append(f"{name}: {error}")
                say(f"FAILED {error}")
                stage.keep_logs(logs, name)
                stage.mend()
        calm(stage)
        stage.laboratories.stop()
        journal = [*stage.laboratories.journal, *stage.journal]
        say(f"load ended: {dict(stage.laboratories.codes)}")
        stage.drained(600)
        stage.verified(600)
        ledger = check_conservation(stage, journal, seconds=600)
        say(f"conserved: {ledger.account['received']} records, {len(journal)} answers")
    except BaseException:
        stage.keep_logs(logs, "end")
        raise
    finally:
        stage.remove()
    for each in failed:
        print(f"FAILED {each}", file=sys.stderr)
    if not no_report:
        write(played, failed, ledger.account, scale=scale, rate=rate, is_whole=not only)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
