"""The group `parked`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from .asked import Option, Run, asker_of, reasoned

_FILE = click.Path(path_type=Path, dir_okay=False)


def _chosen(command: Any) -> Any:
    """Take a selection of parked messages."""
    for option in (
        click.option("--until", type=click.DateTime(), help="Parked before (UTC)."),
        click.option("--since", type=click.DateTime(), help="Parked from then on (UTC)."),
        click.option("--owner", default="", help="Only of this owner; - for those without one."),
        click.option("--laboratory", default="", help="Only of this registry id."),
        click.option("--code", default="", help="Only with this code."),
        click.option("--for", "park_reason", default="",
                     help="Only parked for this reason: docs/runbooks/parked.md."),
    ):  # fmt: skip
        command = option(command)
    return command


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def parked() -> None:
        """Messages that wait for a person: find, show, assign, mend, do again, end."""

    def common(command: Any) -> Any:
        return data_dir(as_json(command))

    _looking(parked, common, run)
    _mending(parked, common, run)
    _acting(parked, common, run)


def _looking(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command("list")
    @_chosen
    @click.option("--kinds", is_flag=True, help="How many for each reason, code and laboratory.")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True,
                  help="At most so many.")  # fmt: skip
    @common
    def list_(kinds: bool, data_dir: Path, as_json: bool, **chosen: Any) -> None:  # noqa: FBT001
        """List what waits, the longest first; nothing of what a message says is shown."""
        from ops.parking.commands import print_parked

        run(print_parked(data_dir, _wish((), chosen), kinds=kinds, as_json=as_json))

    @group.command()
    @click.argument("message", type=click.UUID)
    @common
    def show(message: UUID, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show why MESSAGE is parked, whose it is, and what was found in it; no value."""
        from ops.parking.commands import print_one

        run(print_one(data_dir, message, as_json=as_json))


def _mending(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.argument("message", type=click.UUID)
    @click.option("--show-identity", is_flag=True, required=True,
                  help="Say that a patient's message is to be seen; audited as such.")  # fmt: skip
    @click.option("--to", type=_FILE, required=True, help="A new file, for you alone (0600).")
    @reasoned
    @common
    def raw(
        message: UUID, show_identity: bool, to: Path, actor: str | None, reason: str,  # noqa: FBT001
        data_dir: Path, as_json: bool,  # noqa: ARG001, FBT001
    ) -> None:  # fmt: skip
        """Write the bytes of MESSAGE into a file, to be mended there."""
        from ops.parking.commands import write_raw

        if not show_identity:
            raise click.UsageError("say --show-identity: the file holds a patient's message")
        run(write_raw(data_dir, message, asker_of(actor, reason), to))

    @group.command()
    @click.argument("message", type=click.UUID)
    @click.option("--file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
                  required=True, help="The mended message, without a frame.")  # fmt: skip
    @click.option("--dry-run", is_flag=True, help="Only check it.")
    @reasoned
    @common
    def fix(
        message: UUID, file: Path, dry_run: bool, actor: str | None, reason: str,  # noqa: FBT001
        data_dir: Path, as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let the bytes of a file stand for those of MESSAGE, and do it again.

        They are checked as the laboratory's door would; sending facility and control id stay. The
        message keeps its id, its place and the time at which it came; its own bytes stay too.
        """
        from ops.parking.commands import mend

        asker = asker_of(actor, reason)
        run(mend(data_dir, message, file, asker, dry_run=dry_run, as_json=as_json))


def _acting(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    def doing(command: Any) -> Any:
        said = "Without MESSAGE: do it; else it is only told."
        command = click.option("--yes", is_flag=True, help=said)(command)
        command = click.option("--dry-run", is_flag=True, help="Tell what it is about, no more.")(
            command
        )
        command = click.option("--limit", type=click.IntRange(1, 10_000), default=100,
                               show_default=True, help="At most so many.")(command)  # fmt: skip
        command = click.argument("messages", metavar="[MESSAGE]...", type=click.UUID, nargs=-1)(
            command
        )
        return reasoned(_chosen(common(command)))

    def go(what: str, owner: str, given: dict[str, Any]) -> None:
        from ops.parking.commands import act

        wish = _wish(given["messages"], given)
        asker = asker_of(given["actor"], given["reason"])
        run(
            act(
                given["data_dir"], what, wish, asker, owner, dry_run=given["dry_run"],
                may=given["yes"], as_json=given["as_json"],
            )
        )  # fmt: skip

    @group.command()
    @click.option("--to", "new_owner", required=True, help="Whose they are from now on; '' nobody.")
    @doing
    def assign(new_owner: str, **given: Any) -> None:
        """Give MESSAGEs, or what the filters find, an owner."""
        go("assign", new_owner, given)

    @group.command()
    @doing
    def replay(**given: Any) -> None:
        """Do MESSAGEs, or what the filters find, again: today's mapping, mended bytes.

        In the order in which they came; each keeps its place and its time.
        """
        go("replay", "", given)

    @group.command()
    @doing
    def discard(**given: Any) -> None:
        """End MESSAGEs, or what the filters find: they are counted as parked, discarded."""
        go("discard", "", given)


def _wish(messages: tuple[UUID, ...], given: dict[str, Any]) -> Any:
    from ops.parking.looking import Wish

    return Wish(
        reason=given["park_reason"],
        code=given["code"],
        laboratory=given["laboratory"],
        owner=given["owner"],
        since=_utc(given["since"]),
        until=_utc(given["until"]),
        messages=messages,
        limit=max(given["limit"], len(messages)),
    )


def _utc(given: datetime | None) -> datetime | None:
    return None if given is None else given.replace(tzinfo=UTC)
