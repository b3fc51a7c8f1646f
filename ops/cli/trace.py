"""`labdispatch trace`: a command without logic, as all of `ops/cli`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .asked import Option, Run, asker_of, audited


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @click.argument("wanted", metavar="ID...", nargs=-1, required=True)
    @click.option("--laboratory", default="", metavar="REGISTRY_ID",
                  help="Control ids of this laboratory alone, and its order numbers.")  # fmt: skip
    @click.option("--code", "codes", multiple=True,
                  help="Of an order: what was ordered (OBR-4), if no table knows it.")  # fmt: skip
    @click.option("--show-identity", is_flag=True,
                  help="Show the patient too; audited first. Needs --reason.")  # fmt: skip
    @audited
    @data_dir
    @as_json
    def trace(
        wanted: tuple[str, ...],
        *,
        laboratory: str,
        codes: tuple[str, ...],
        show_identity: bool,
        actor: str | None,
        reason: str,
        data_dir: Path,
        as_json: bool,
    ) -> None:
        """Show every station of a message, across corrections and merges.

        ID is a message id, a control id (MSH-10), a report id, an event id, STREAM/PARTITION/SEQ of
        an event, or with --laboratory the placer's or filler's number of an order. Several may be
        given; `-` reads them from standard input, one a line. Without --show-identity nothing
        nominative is shown.
        """
        from ops.tracing.commands import print_trace
        from ops.tracing.finding import Wanted

        if codes and not laboratory:
            raise click.UsageError("--code is of an order: say whose, with --laboratory")
        if show_identity and not reason.strip():
            raise click.UsageError("--show-identity needs --reason: it is audited")
        ids = [line for each in wanted for line in (_lines() if each == "-" else [each])]
        run(
            print_trace(
                data_dir,
                Wanted(ids=tuple(ids), laboratory=laboratory, codes=codes),
                shown_to=asker_of(actor, reason) if show_identity else None,
                as_json=as_json,
            )
        )


def _lines() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]
