"""The commands that start the hub: all on this machine, or one process each. No logic here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from .asked import data_dir_option, json_option, run_alone


@click.command()
@data_dir_option
@click.option(
    "--mllp-port", type=int, default=None, help="Port for laboratories; 0 = any free one."
)
@click.option("--http-port", type=int, default=None, help="Port for HTTP; 0 = any free one.")
@click.option(
    "--simulate/--no-simulate", default=True, show_default=True, help="Simulated laboratories."
)
@click.option(
    "--labs", type=int, default=12, show_default=True, help="How many laboratories to simulate."
)
@click.option(
    "--rate", type=float, default=20.0, show_default=True, help="Simulated messages a second."
)
@click.option("--seed", type=int, default=None, help="Seed of the simulation; default: a new one.")
@json_option
def run(
    data_dir: Path,
    mllp_port: int | None,
    http_port: int | None,
    simulate: bool,  # noqa: FBT001 - click gives flags by position
    labs: int,
    rate: float,
    seed: int | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Start everything on this machine, on the embedded engine.

    Makes or opens the data folder, starts PostgreSQL, migrates, starts ingest, dispatch, relay,
    push and api, sends simulated results, prints the addresses and what to try, then a live
    status. Ctrl-C stops all in order; the next start goes on where this one stopped.
    """
    from ops.run import RunOptions, run_everything

    options = RunOptions(
        data_dir=data_dir,
        mllp_port=mllp_port,
        http_port=http_port,
        simulate=["--labs", str(labs), "--rate", str(rate), *_seed(seed)] if simulate else None,
        as_json=as_json,
    )
    run_alone(run_everything(options))


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/demo"),
    show_default=True,
    help="The folder of the demonstration, apart from that of `run`.",
)
@click.option("--count", type=int, default=1_000, show_default=True, help="How many results.")
@click.option(
    "--labs", type=int, default=12, show_default=True, help="How many laboratories to simulate."
)
@click.option("--seed", type=int, default=None, help="Seed of the simulation; default: a new one.")
def demo(data_dir: Path, count: int, labs: int, seed: int | None) -> None:
    """Send 1,000 simulated results, wait until all is dispatched, print account and events.

    Exits 0 if and only if the account closes.
    """
    from ops.run import RunOptions, run_demo

    options = RunOptions(data_dir=data_dir, mllp_port=0, http_port=0, simulate=None, as_json=False)
    arguments = ["--labs", str(labs), "--rate", "0", "--count", str(count), *_seed(seed)]
    run_alone(run_demo(options, arguments))


def _seed(seed: int | None) -> list[str]:
    return [] if seed is None else ["--seed", str(seed)]


def _service(role: str, help_text: str) -> click.Command:
    @click.command(
        role, help=help_text, epilog="Settings come from LABDISPATCH_*: docs/settings.md."
    )
    def command() -> None:
        from ops.runtime.settings import load_settings
        from ops.stations import run_station

        run_alone(run_station(role, load_settings()))

    command.__doc__ = help_text
    return command


SERVICES: Final = (
    _service("ingest", "The doors: take HL7 v2 over MLLP, make it durable, acknowledge it."),
    _service("dispatch", "The worker: who is it about, where does it go; many may run at once."),
    _service("relay", "Outbox to Kafka, each event exactly once (idle on the embedded engine)."),
    _service("push", "Streams to the receivers that are pushed to; another one stands by."),
    _service("api", "HTTP: messages in, streams out, health and figures."),
)
"""One process each."""


@click.command()
def migrate() -> None:
    """Bring the database of the settings to this release's schema; safe to repeat."""
    import asyncio

    from ops.bootstrap import migrate_instance
    from ops.runtime.settings import load_settings

    applied = asyncio.run(migrate_instance(load_settings()))
    click.echo(f"{applied} migrations applied" if applied else "nothing to do")


def add_to(main: click.Group) -> None:
    """Add the commands to the whole."""
    for command in (run, demo, *SERVICES, migrate):
        main.add_command(command)
