"""The long run of the streams' state machine: `python -m tests.properties.streams_proof`.

`make proof-streams EXAMPLES=300`. After every step of every example what the streams hold is
computed from scratch; the first difference ends the run, with the steps that lead to it. Rows go
into `benchmarks/results/streams.csv`.
"""

from __future__ import annotations

import shutil
import time
from typing import Final

import click

from benchmarks.results import Row, append, load_average
from tests.properties.test_streams_machine import run_machine
from tests.support.postgres import in_own_loop, make_template, open_folder, scratch_server

_FIGURES: Final = ("checks", "reports", "merge", "unmerge", "oppose", "allow")


@click.command()
@click.option("--examples", type=click.IntRange(min=1), default=300, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=50, show_default=True)
def main(examples: int, steps: int) -> None:
    """Run the machine, and write down what was held against what."""
    folder = open_folder()
    server = scratch_server(folder, shared_buffers_mb=128)
    began = time.monotonic()
    try:
        server.start()
        in_own_loop(lambda: make_template(server))
        done = run_machine(server, examples=examples, steps=steps)
    finally:
        server.stop()
        shutil.rmtree(folder)
    parameters = {
        "examples": examples,
        "steps": steps,
        "differences": 0,
        "seconds": round(time.monotonic() - began),
        "load": load_average(),
    }
    rows = [
        Row(engine="embedded", parameters=parameters, figure=done[name], unit=name)
        for name in _FIGURES
    ]
    append("streams", rows, ["asyncpg", "hypothesis"])
    print(f"{done['checks']} checks of {done['reports']} reports: every stream held what it should")


if __name__ == "__main__":
    main()
