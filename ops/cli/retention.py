"""The group `retention`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .asked import Option, Run, asker_of


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def retention() -> None:
        """How long everything is kept, what is of age, and certificates of what went."""

    def common(command: Any) -> Any:
        return data_dir(as_json(command))

    _looking(retention, common, run)
    _purging(retention, common, run)
    _proving(retention, common, data_dir, run)


def _looking(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @common
    def status(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001 - click gives it so
        """Show for each class how long it is kept and how old its oldest day is.

        Exit code 1: something of age is there still.
        """
        from ops.retention.commands import print_status

        run(print_status(data_dir, as_json=as_json))

    @group.command()
    @common
    def plan(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show what a purge would destroy now: keys, partitions, rows. It does nothing."""
        from ops.retention.commands import print_plan

        run(print_plan(data_dir, as_json=as_json))


def _purging(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.option("--dry-run", is_flag=True, help="As `plan`: show it, do nothing.")
    @click.option(
        "--days-at-once", type=click.IntRange(1, 36_500), default=None,
        help="Take so many days of a class; default: LABDISPATCH_RETENTION_DAYS_AT_ONCE.",
    )  # fmt: skip
    @click.option("--actor", default=None, help="Who asks; in the certificate. Default: this user.")
    @click.option("--reason", default="", help="Why; in the certificate. No personal data.")
    @common
    def purge(
        dry_run: bool, days_at_once: int | None, actor: str | None, reason: str,  # noqa: FBT001
        data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Destroy what is of age now, and print the certificates. It cannot be taken back.

        The hub does this by itself every hour; what is kept until when is set by the settings.
        """
        from ops.retention.commands import print_plan, run_purge

        if dry_run:
            run(print_plan(data_dir, as_json=as_json))
            return
        asker = asker_of(actor, reason)
        run(run_purge(data_dir, asker, days_at_once=days_at_once, as_json=as_json))


def _proving(group: click.Group, common: Callable[[Any], Any], data_dir: Option, run: Run) -> None:
    @group.command()
    @click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True,
                  help="At most so many.")  # fmt: skip
    @common
    def certificates(limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the certificates of purges, the newest first."""
        from ops.retention.commands import print_certificates

        run(print_certificates(data_dir, limit, as_json=as_json))

    @group.command()
    @click.argument("number", type=click.IntRange(1))
    @data_dir
    def certificate(number: int, data_dir: Path) -> None:
        """Print the certificate of purge NUMBER, and hold it against the audit chain.

        Exit code 1: it is not what the chain says.
        """
        from ops.retention.commands import print_certificate

        run(print_certificate(data_dir, number))
