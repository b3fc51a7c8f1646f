"""The stewards' part of the group `identity`: commands without logic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from .asked import Option, Run, asker_of, audited

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def add_to(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the commands to the group `identity`.

    Args:
        group: The group `identity`.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    def common(command: Any) -> Any:
        return audited(data_dir(as_json(command)))

    _joining(group, common, run)
    _opposing(group, common, run)
    _looking(group, common, data_dir, as_json, run)


def _joining(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.argument("one", type=int)
    @click.argument("other", type=int)
    @common
    def merge(
        one: int, other: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Join two persons; every stream that saw the old identity gets the new one."""
        from ops.stewards.commands import run_act

        asker = asker_of(actor, reason)
        run(run_act(data_dir, lambda s: s.merge(one, other, asker), as_json=as_json))

    @group.command()
    @click.argument("one", type=int)
    @click.argument("other", type=int)
    @common
    def unmerge(
        one: int, other: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Part two persons that were joined; what came since goes to whom its traits say."""
        from ops.stewards.commands import run_act

        asker = asker_of(actor, reason)
        run(run_act(data_dir, lambda s: s.unmerge(one, other, asker), as_json=as_json))

    @group.command()
    @click.argument("event", type=int)
    @common
    def undo(
        event: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Take back what a steward did: merge, unmerge, verdict or opposition, by its EVENT."""
        from ops.stewards.commands import run_act

        asker = asker_of(actor, reason)
        run(run_act(data_dir, lambda s: s.undo(event, asker), as_json=as_json))

    @group.command()
    @click.argument("person", type=int)
    @common
    def reemit(
        person: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Hold all reports of PERSON against the streams again; what is right gives no event."""
        from ops.stewards.commands import run_act

        asker = asker_of(actor, reason)
        run(run_act(data_dir, lambda s: s.reemit(person, asker), as_json=as_json))


def _opposing(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.argument("person", type=int, required=False)
    @click.option("--batch", type=_FILE, help="Instead: a CSV of act,ins,oid,laboratory,"
                  "patient_number.")  # fmt: skip
    @click.option("--from-line", type=click.IntRange(2), default=2, help="Of the CSV: go on there.")
    @common
    def oppose(
        person: int | None, batch: Path | None, from_line: int, actor: str | None, reason: str,
        data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Keep that PERSON opposes the dossier: all is withdrawn there; other streams go on.

        With --batch each line is an act (oppose or allow) of a person, by INS or by laboratory and
        patient number; the answer names lines by their numbers. Given again it changes nothing.
        """
        asker = asker_of(actor, reason)
        if (person is None) == (batch is None):
            raise click.UsageError("give PERSON, or --batch FILE")
        if batch is not None:
            from ops.stewards.opposition_commands import run_batch

            work = run_batch(data_dir, batch, asker, from_line=from_line, as_json=as_json)
            run(work)
        elif person is not None:
            from ops.stewards.commands import run_act

            run(run_act(data_dir, lambda s: s.oppose(person, asker), as_json=as_json))

    @group.command()
    @click.argument("person", type=int)
    @common
    def allow(
        person: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """End PERSON's opposition: what is due in the dossier goes there again."""
        from ops.stewards.commands import run_act

        asker = asker_of(actor, reason)
        run(run_act(data_dir, lambda s: s.allow(person, asker), as_json=as_json))


def _looking(
    group: click.Group, common: Callable[[Any], Any], data_dir: Option, as_json: Option, run: Run
) -> None:
    @group.command()
    @click.argument("report", type=click.UUID)
    @common
    def explain(
        report: UUID, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Show why REPORT is whose it is: prior, weights by field, guard, candidates, margin.

        The decision is made again from what was known then, and compared bit for bit with what was
        stored; exit code 1 where it differs. No value is shown. `trace` names a message's reports.
        """
        from ops.stewards.commands import print_explained

        run(print_explained(data_dir, asker_of(actor, reason), report, as_json=as_json))

    @group.command()
    @click.option("--since", required=True, help="30m, 24h, 7d, or a date (UTC).")
    @click.option("--model", required=True, metavar="NAME|PATH", help="The model to try.")
    @click.option("--limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True,
                  help="The most records.")  # fmt: skip
    @data_dir
    @as_json
    def replay(since: str, model: str, limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show what another model would have decided since; nothing is written."""
        from ops.stewards.commands import print_what_if

        run(print_what_if(data_dir, since=since, model=model, limit=limit, as_json=as_json))
