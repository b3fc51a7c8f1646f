"""The group `account`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .asked import Option, Run, asker_of

_DAY = click.DateTime(formats=["%Y-%m-%d"])


def _day(given: datetime) -> Any:
    return given.date()


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group(invoke_without_command=True)
    @click.option("--day", type=_DAY, help="Only of this day of reception (Europe/Paris).")
    @click.option("--laboratory", default="", help="With --day: only of this registry id.")
    @click.option("--from-scratch", is_flag=True,
                  help="Count each record and ending there is: the full proof.")  # fmt: skip
    @data_dir
    @as_json
    @click.pass_context
    def account(
        ctx: click.Context, day: datetime | None, laboratory: str, from_scratch: bool,  # noqa: FBT001
        data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Show that every message has exactly one ending; exit 1 when the sum does not close.

        The sums of the days that are kept, and what came since the last count of them;
        --from-scratch reads the whole log instead. A day is read from the rows that are kept of
        it, seconds old.
        """
        if ctx.invoked_subcommand is not None:
            return
        if day is not None:
            from ops.accounting.commands import print_day

            run(print_day(data_dir, _day(day), laboratory, as_json=as_json))
            return
        if laboratory:
            raise click.UsageError("--laboratory goes with --day")
        from ops.looking import print_account

        run(print_account(data_dir, from_scratch=from_scratch, as_json=as_json))

    @account.command()
    @click.option("--last", type=click.IntRange(1, 400), default=14, show_default=True,
                  help="How many days.")  # fmt: skip
    @click.option("--laboratory", default="", help="Only of this registry id.")
    @data_dir
    @as_json
    def days(last: int, laboratory: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List the last days with their sums; exit 1 when one does not close."""
        from ops.accounting.commands import print_days

        run(print_days(data_dir, last, laboratory, as_json=as_json))

    @account.command()
    @click.argument("laboratory")
    @click.option("--day", type=_DAY, required=True, help="Of reception (Europe/Paris).")
    @click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False),
                  required=True, help="Where a folder of the laboratory is made.")  # fmt: skip
    @data_dir
    def report(laboratory: str, day: datetime, folder: Path, data_dir: Path) -> None:
        """Write what LABORATORY is told of a day, as JSON and as CSV.

        Counts by ending, and control ids of refused and parked messages; no nominative value.
        """
        from ops.accounting.commands import write_report

        run(write_report(data_dir, _day(day), laboratory, folder))

    @account.command()
    @data_dir
    @as_json
    def gaps(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List days that do not close; exit 1 while one waits for a word."""
        from ops.accounting.commands import print_gaps

        run(print_gaps(data_dir, as_json=as_json))

    @account.command("note-gap")
    @click.option("--day", type=_DAY, required=True, help="The day that does not close.")
    @click.option("--reason", required=True, help="The cause; kept in the audit trail. No"
                  " personal data.")  # fmt: skip
    @click.option("--actor", default=None,
                  help="Who asks; kept in the audit trail. Default: this user.")  # fmt: skip
    @data_dir
    def note_gap(day: datetime, reason: str, actor: str | None, data_dir: Path) -> None:
        """Note that the cause of a day's difference is known: it alerts no more, and stays."""
        from ops.accounting.commands import note

        run(note(data_dir, _day(day), asker_of(actor, reason)))
