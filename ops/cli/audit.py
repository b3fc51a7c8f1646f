"""The group `audit`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .asked import Option, Run

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def audit() -> None:
        """Who did what, when and why: a chain of digests that shows where it was changed."""

    def common(command: Any) -> Any:
        return data_dir(as_json(command))

    @audit.command()
    @click.option(
        "--head", default="", metavar="HEX",
        help="The head that an earlier run printed: it must be in the chain still.",
    )  # fmt: skip
    @common
    def verify(head: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Walk the whole chain, and say where it breaks first; certificates of purges too.

        Keep the head it prints where nobody who writes to the database can reach. Exit code 1:
        it does not hold.
        """
        from ops.auditing.commands import print_proof

        run(print_proof(data_dir, head, as_json=as_json))

    @audit.command()
    @click.option("--who", default=None, help="Only by this actor.")
    @click.option("--action", default=None, help="Only this action.")
    @click.option("--about", default=None, help="Only about this subject.")
    @click.option("--from", "since", type=_TIME, default=None, help="Not before (UTC).")
    @click.option("--to", "until", type=_TIME, default=None, help="Before (UTC).")
    @click.option("--before", type=click.IntRange(1), default=None, help="The next page.")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True,
                  help="At most so many.")  # fmt: skip
    @common
    def search(
        who: str | None, action: str | None, about: str | None, since: datetime | None,
        until: datetime | None, before: int | None, limit: int, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Look entries up, the newest first. Exit code 1: there is none."""
        from ops.auditing.commands import print_found
        from ops.auditing.reading import Search

        asked = Search(
            who=who, action=action, about=about, since=_utc(since), until=_utc(until),
            before=before, limit=limit,
        )  # fmt: skip
        run(print_found(data_dir, asked, as_json=as_json))


def _utc(moment: datetime | None) -> datetime | None:
    from datetime import UTC

    return None if moment is None else moment.replace(tzinfo=UTC)
