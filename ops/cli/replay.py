"""The command `replay`: without logic, as all of `ops/cli`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from .asked import Option, Run, asker_of

_TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @click.argument("wanted", metavar="[ID]", required=False)
    @click.option("--from", "since", type=click.DateTime(_TIMES), help="Received from then (UTC).")
    @click.option("--to", "until", type=click.DateTime(_TIMES), help="Received before (UTC).")
    @click.option("--laboratory", default="", help="Of the range: only of this registry id.")
    @click.option("--stream", default="", help="Of the range: only what this stream would be told.")
    @click.option("--rules", default="", help="With --dry-run: a set of rules by its version.")
    @click.option("--model", default="", help="With --dry-run: a matching model, name or file.")
    @click.option("--dry-run", is_flag=True, help="Of the range: say what would differ, no more.")
    @click.option("--limit", type=click.IntRange(1, 100_000_000), default=100_000_000,
                  help="With --dry-run: look at so many messages.")  # fmt: skip
    @click.option("--resume", is_flag=True, help="Go on with the range that was stopped.")
    @click.option("--abandon", is_flag=True, help="End the range that was stopped where it stands.")
    @click.option("--list", "list_", is_flag=True, help="List the last ranges.")
    @click.option("--reason", default="", help="Why; kept in the audit trail. No personal data.")
    @click.option("--actor", default=None,
                  help="Who asks; kept in the audit trail. Default: this user.")  # fmt: skip
    @data_dir
    @as_json
    def replay(
        wanted: str | None, since: datetime | None, until: datetime | None, laboratory: str,
        stream: str, rules: str, model: str, dry_run: bool, limit: int, resume: bool,  # noqa: FBT001
        abandon: bool, list_: bool, reason: str, actor: str | None, data_dir: Path,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Do a message (ID), or a range of messages, again with today's mapping, model and rules.

        A range: --from and --to. With --dry-run it says by stream, condition and kind of event
        what would differ, and which messages would end otherwise; nothing is written. Without it,
        only messages that differ are put into the log, each in its laboratory's line, so many a
        second as is set (replay_per_second); streams are told the difference alone. One range at a
        time; one that was stopped goes on with --resume.
        """
        ways = [bool(wanted), bool(since or until), resume, abandon, list_]
        if sum(ways) != 1:
            raise click.UsageError("give ID, or --from and --to, or --resume, --abandon or --list")
        if (rules or model) and not dry_run:
            raise click.UsageError(
                "--rules and --model are for --dry-run: what is applied goes by what is in effect"
                " (`labdispatch route load` makes a set so)"
            )
        if wanted:
            from ops.looking import request_replay

            asker = asker_of(actor, reason)
            run(request_replay(data_dir, wanted, reason=asker.reason, actor=asker.actor))
            return
        from ops.replaying import commands

        if list_:
            run(commands.print_runs(data_dir, as_json=as_json))
        elif resume:
            run(commands.resume_range(data_dir, as_json=as_json))
        elif abandon:
            run(commands.abandon_range(data_dir, asker_of(actor, reason)))
        elif since is None or until is None:
            raise click.UsageError("a range has --from and --to")
        else:
            first, last = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
            if dry_run:
                run(
                    commands.rehearse(
                        data_dir, first, last, laboratory, stream, rules, model, most=limit,
                        as_json=as_json,
                    )
                )  # fmt: skip
            else:
                run(
                    commands.replay_range(
                        data_dir, first, last, laboratory, stream, asker_of(actor, reason),
                        as_json=as_json,
                    )
                )  # fmt: skip
