"""The group `holds`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from .asked import Option, Run, asker_of, audited

_AGES = {"m": "minutes", "h": "hours", "d": "days"}
_STREAM = click.option("--stream", default="", help="Only of this stream.")
_REASON = click.option(
    "--for", "hold_reason", default="", help="Only held for this reason: docs/holds.md."
)
_LABORATORY = click.option("--laboratory", default="", help="Only of this registry id.")
_OLDER = click.option("--older-than", default="", metavar="AGE", help="30m, 24h or 7d.")


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def holds() -> None:
        """Streams that wait for a report: why, since when, what to do, and letting them go."""

    def common(command: Any) -> Any:
        return data_dir(as_json(command))

    _looking(holds, common, run)
    _acting(holds, common, run)


def _looking(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command("list")
    @_STREAM
    @_REASON
    @_LABORATORY
    @_OLDER
    @click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True,
                  help="At most so many.")  # fmt: skip
    @common
    def list_(
        stream: str, hold_reason: str, laboratory: str, older_than: str, limit: int, data_dir: Path,
        as_json: bool,  # noqa: FBT001 - click gives flags by position
    ) -> None:  # fmt: skip
        """List what waits, the longest first; nothing of what a report says is shown."""
        from ops.holding.commands import print_holds

        wish = _wish(stream, hold_reason, laboratory, older_than, limit)
        run(print_holds(data_dir, wish, as_json=as_json))

    @group.command()
    @click.argument("report", type=click.UUID)
    @common
    def show(report: UUID, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show why REPORT waits, what to do about it, and what was let go of it."""
        from ops.holding.commands import print_held

        run(print_held(data_dir, report, as_json=as_json))


def _acting(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.argument("report", type=click.UUID, required=False)
    @_STREAM
    @_REASON
    @_LABORATORY
    @_OLDER
    @click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True,
                  help="Without REPORT: let go at most so many.")  # fmt: skip
    @click.option("--dry-run", is_flag=True, help="Without REPORT: list them, do nothing.")
    @audited
    @common
    def release(
        report: UUID | None, stream: str, hold_reason: str, laboratory: str, older_than: str,
        limit: int, dry_run: bool, actor: str | None, reason: str, data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let a --stream go for REPORT, or for all that --for and the filters find.

        The rules then decide as if that doubt were not there; it counts until the report says
        something else. Some reasons nobody can release: the answer says what to do instead. What
        cannot be let go is counted and passed by. Exit code 1: some wait on.
        """
        from ops.holding.commands import release_many, release_one
        from ops.holding.reasons import REASONS

        if report is None and reason in REASONS:
            # As it was written once; now it would let go more than was meant.
            raise click.UsageError(f"--reason says why; --for {reason} chooses")
        asker = asker_of(actor, reason)
        if report is not None:
            if hold_reason or laboratory or older_than or dry_run:
                raise click.UsageError("give REPORT, or filters, not both")
            run(release_one(data_dir, report, stream, asker, as_json=as_json))
            return
        wish = _wish(stream, hold_reason, laboratory, older_than, limit)
        run(release_many(data_dir, wish, asker, dry_run=dry_run, as_json=as_json))

    @group.command()
    @click.argument("report", type=click.UUID)
    @audited
    @common
    def retry(
        report: UUID, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Replay the message of REPORT, with today's mapping; a doubt that is gone lets it go."""
        from ops.holding.commands import ask_again

        run(ask_again(data_dir, report, asker_of(actor, reason), as_json=as_json))


def _wish(stream: str, reason: str, laboratory: str, older_than: str, limit: int) -> Any:
    from datetime import timedelta

    from ops.holding.looking import Wish

    unit = _AGES.get(older_than[-1:])
    number = older_than[:-1]
    if older_than and not (unit and number.isdecimal() and len(number) < 6):
        raise click.UsageError("--older-than takes 30m, 24h or 7d")
    age = timedelta(**{unit: int(number)}) if unit else timedelta()
    return Wish(stream=stream, reason=reason, laboratory=laboratory, older_than=age, limit=limit)
