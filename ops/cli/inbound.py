"""The command `inbound`: a command without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from .asked import Option


def add_to(
    main: click.Group,
    data_dir: Option,
    as_json: Option,
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group(
        invoke_without_command=True,
        epilog="Settings come from LABDISPATCH_*: docs/settings.md.",
    )
    @click.pass_context
    def inbound(context: click.Context) -> None:
        """The Kafka inbound topics: without a command the process that reads them."""
        if context.invoked_subcommand is not None:
            return
        from ops.runtime.settings import load_settings
        from ops.stations import run_station

        run(run_station("inbound", load_settings()))

    @inbound.command("list")
    @click.option("--all", "everything", is_flag=True, help="Those that were resolved too.")
    @click.option(
        "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The oldest."
    )
    @data_dir
    @as_json
    def list_(everything: bool, limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List records that were parked, each with topic, partition, offset and reason."""
        from ops.inbound.command import print_parked

        run(print_parked(data_dir, limit=limit, everything=everything, as_json=as_json))

    @inbound.command()
    @click.argument("parked_id", metavar="PARKED", type=click.UUID)
    @data_dir
    @as_json
    def show(parked_id: UUID, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show one parked record, and what to do; its value is not shown."""
        from ops.inbound.command import print_one

        run(print_one(data_dir, parked_id, as_json=as_json))

    @inbound.command()
    @click.argument("parked_id", metavar="PARKED", type=click.UUID)
    @click.option("--reason", required=True, help="Why; kept in the audit trail.")
    @click.option("--actor", required=True, help="Who asks; kept in the audit trail.")
    @data_dir
    def retry(parked_id: UUID, reason: str, actor: str, data_dir: Path) -> None:
        """Take one parked record again, by today's register; exits 1 when it stays parked."""
        from ops.inbound.command import retry as work

        run(work(data_dir, parked_id, actor=actor, reason=reason))

    @inbound.command()
    @click.argument("laboratory", metavar="LAB")
    @click.option("--actor", required=True, help="Who asks; kept in the audit trail.")
    @data_dir
    @as_json
    def key(laboratory: str, actor: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Print the signing keys of a laboratory: one for each token that holds."""
        from ops.inbound.command import print_keys

        run(print_keys(data_dir, laboratory, actor=actor, as_json=as_json))
