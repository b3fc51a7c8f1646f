"""The command `batches`: a command without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from .asked import Option, Run


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def batches() -> None:
        """Files of messages: how far each is read, what was answered, what was found."""

    @batches.command("list")
    @click.option("--lab", default="", help="Only files of this laboratory's folder.")
    @click.option(
        "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The latest."
    )
    @data_dir
    @as_json
    def list_(lab: str, limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the latest files, with what became of each of them."""
        from ops.batches.command import print_batches

        run(print_batches(data_dir, lab=lab, limit=limit, as_json=as_json))

    @batches.command()
    @click.argument("batch_id", metavar="BATCH_ID", type=click.UUID)
    @click.option("--ack", is_flag=True, help="Print the acknowledgement file itself.")
    @data_dir
    @as_json
    def show(batch_id: UUID, ack: bool, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show one file with its findings, or the answer to it."""
        from ops.batches.command import print_batch

        run(print_batch(data_dir, batch_id, ack=ack, as_json=as_json))
