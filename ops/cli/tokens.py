"""The group `tokens`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path

import click

from .asked import Option, Run, asker_of, audited


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def tokens() -> None:
        """Bearer tokens of those who read streams: what each may read, how much, until when."""

    _adding(tokens, data_dir, as_json, run)
    _changing(tokens, data_dir, as_json, run)
    _looking(tokens, data_dir, as_json, run)


def _adding(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command()
    @click.argument("name")
    @click.option(
        "--stream", "streams", multiple=True, required=True,
        type=click.Choice(["dossier", "contact-tracing", "public-health"]),
        help="What it reads; may be given again.",
    )  # fmt: skip
    @click.option(
        "--where", multiple=True, metavar="NAME=VALUE",
        help="It reads only what fits: condition=, department=, result=, from=, to=.",
    )  # fmt: skip
    @click.option("--daily", metavar="N", default="none", help="Events a day (UTC). Default: none.")
    @click.option(
        "--connections", type=int, default=8, show_default=True,
        help="At once, at all api processes of a machine together.",
    )  # fmt: skip
    @click.option("--expires", type=int, default=365, show_default=True, help="Days it holds.")
    @audited
    @data_dir
    @as_json
    def add(
        name: str, streams: tuple[str, ...], where: tuple[str, ...], daily: str, connections: int,
        expires: int, actor: str | None, reason: str, data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Make a token for the reader NAME and print it: shown this once.

        A token for dossier or contact-tracing reads names, and needs --reason.
        """
        from ops.stream_tokens import commands
        from ops.stream_tokens.token import Wish, pairs_in

        wish = Wish(
            name=name, streams=list(dict.fromkeys(streams)), filter=pairs_in(where),
            daily_events=commands.number_in(daily), max_connections=connections,
            expires_days=expires,
        )  # fmt: skip
        run(commands.add(data_dir, wish, asker_of(actor, reason), as_json=as_json))


def _changing(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command()
    @click.argument("name")
    @audited
    @data_dir
    def revoke(name: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Let the token NAME count no more, for ever."""
        from ops.stream_tokens import commands

        run(commands.revoke(data_dir, name, asker_of(actor, reason)))

    @group.command()
    @click.argument("name")
    @click.option("--daily", metavar="N", default="keep", help="Events a day (UTC), or none.")
    @click.option("--connections", metavar="N", default="keep", help="At once.")
    @audited
    @data_dir
    @as_json
    def quota(
        name: str, daily: str, connections: str, actor: str | None, reason: str, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Limit what the token NAME may read; without an option, show its limits."""
        from ops.stream_tokens import commands

        asker = asker_of(actor, reason)
        run(commands.set_quota(data_dir, name, daily, connections, asker, as_json=as_json))


def _looking(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command("list")
    @click.option("--all", "everything", is_flag=True, help="Those that were revoked, too.")
    @data_dir
    @as_json
    def list_(everything: bool, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List tokens with their limits, and what each has read today."""
        from ops.stream_tokens import commands

        run(commands.print_list(data_dir, as_json=as_json, everything=everything))

    @group.command()
    @click.argument("name")
    @data_dir
    @as_json
    def show(name: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show the token NAME, and what it read on each of the last days."""
        from ops.stream_tokens import commands

        run(commands.print_one(data_dir, name, as_json=as_json))
