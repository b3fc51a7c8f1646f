"""`labs silent` and `labs closure`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from .asked import Option, Run, asker_of, audited

_DAY = click.DateTime(["%Y-%m-%d"])


def add_to(
    labs: click.Group,
    data_dir: Option,
    as_json: Option,
    run: Run,
) -> None:
    """Add the commands to the group `labs`.

    Args:
        labs: The group.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @labs.command()
    @click.option("--all", "everybody", is_flag=True, help="Also those that are as usual.")
    @data_dir
    @as_json
    def silent(everybody: bool, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List laboratories that are silent or send too little, by their own past.

        Exit code 1 where one is silent. A score of 4 is one in 10,000. On holidays, and while it is
        closed (labs closure add), nothing is expected of a laboratory that usually sends nothing
        then.
        """
        from ops.silence.commands import print_silent

        run(print_silent(data_dir, everybody=everybody, as_json=as_json))

    @labs.group()
    def closure() -> None:
        """Days on which a laboratory is known to send nothing."""

    @closure.command()
    @click.argument("lab")
    @click.option("--from", "first", type=_DAY, required=True, help="First day, YYYY-MM-DD.")
    @click.option("--to", "last", type=_DAY, required=True, help="Last day, included.")
    @audited
    @data_dir
    def add(
        lab: str, first: datetime, last: datetime, actor: str | None, reason: str, data_dir: Path
    ) -> None:  # fmt: skip
        """Note that LAB is closed: no alarm, and nothing is learned from these days."""
        from ops.silence.commands import add_closure

        run(add_closure(data_dir, lab, first.date(), last.date(), asker_of(actor, reason)))

    @closure.command()
    @click.argument("lab")
    @click.option("--from", "first", type=_DAY, required=True, help="Its first day, YYYY-MM-DD.")
    @audited
    @data_dir
    def remove(lab: str, first: datetime, actor: str | None, reason: str, data_dir: Path) -> None:
        """Take a closure of LAB away."""
        from ops.silence.commands import remove_closure

        run(remove_closure(data_dir, lab, first.date(), asker_of(actor, reason)))

    @closure.command("list")
    @click.argument("lab", required=False)
    @data_dir
    @as_json
    def list_(lab: str | None, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List closures of LAB, or of all, that last until today or later."""
        from ops.silence.commands import print_closures

        run(print_closures(data_dir, lab, as_json=as_json))
