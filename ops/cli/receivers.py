"""The group `receivers`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from .asked import Option, Run, asker_of, audited

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)
_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True)
_SECRET = click.option(
    "--secret-file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="webhook: whsec_...; fhir: a bearer token; mssante: USER:PASSWORD.",
)  # fmt: skip
_FROM = click.Choice(["start", "now"])


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def receivers() -> None:
        """Receivers that a stream is pushed to: FHIR servers, webhooks, secure mail."""

    _adding(receivers, data_dir, as_json, run)
    _stopping(receivers, lambda command: audited(data_dir(command)), run)
    _looking(receivers, data_dir, as_json, run)
    _dead(receivers, data_dir, as_json, run)


def _reached_by(command: Any) -> Any:
    """Take how a receiver is reached: the parts of its `Options`, by their names."""
    for option in reversed(
        (
            click.option("--ca", type=_FILE, help="Authority of its certificate (PEM)."),
            click.option("--client-cert", type=_FILE, help="Our certificate (PEM)."),
            click.option("--client-key", type=_FILE, help="Its key (PEM), if apart."),
            click.option(
                "--purpose", help="webhook of public-health: ids and pseudonyms of its own."
            ),
            click.option("--sender", help="mssante: the address that letters come from."),
            click.option(
                "--to", type=click.Choice(["patient", "professional"]), help="mssante: to whom."
            ),
            click.option("--sign-cert", type=_FILE, help="mssante: our S/MIME certificate (PEM)."),
            click.option("--sign-key", type=_FILE, help="mssante: its key (PEM), if apart."),
            click.option(
                "--recipient-certs", type=_FOLDER,
                help="mssante: ADDRESS.pem each; letters to professionals are encrypted.",
            ),
            click.option("--directory", type=_FILE, help="mssante: RPPS;ADDRESS a line."),
            click.option("--domain", help="mssante: the space of trust; default: mssante.fr."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _adding(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command()
    @click.argument("name")
    @click.option(
        "--kind",
        type=click.Choice(["fhir", "webhook", "mssante"]),
        required=True,
        help="A FHIR server, a webhook, or secure mail.",
    )
    @click.option(
        "--stream", type=click.Choice(["dossier", "contact-tracing", "public-health"]),
        required=True, help="What it is sent; fhir and mssante carry the dossier.",
    )  # fmt: skip
    @click.option("--url", required=True, help="https://..., or smtps://HOST:PORT for mssante.")
    @_SECRET
    @_reached_by
    @click.option(
        "--from", "where", type=_FROM, default="now", show_default=True,
        help="start: all that the outbox still holds.",
    )  # fmt: skip
    @audited
    @data_dir
    @as_json
    def add(
        name: str, kind: str, stream: str, url: str, secret_file: Path | None, where: str,
        actor: str | None, reason: str, data_dir: Path, as_json: bool,  # noqa: FBT001
        **given: str | None,
    ) -> None:  # fmt: skip
        """Add the receiver NAME, and print its token (and a webhook's key): shown this once.

        Paths are those of the machine that pushes. NAME is a label of figures.
        """
        from ops.receivers import commands
        from ops.receivers.receiver import Options

        options = Options(**{part: value for part, value in given.items() if value})
        wish = commands.wish_of(name, kind, stream, url, options, from_start=where == "start")
        run(commands.add(data_dir, wish, secret_file, asker_of(actor, reason), as_json=as_json))

    @group.command("rotate-secret")
    @click.argument("name")
    @_SECRET
    @audited
    @data_dir
    def rotate(
        name: str, secret_file: Path | None, actor: str | None, reason: str, data_dir: Path
    ) -> None:
        """Give a receiver a new secret; the old key of a webhook signs too for a day."""
        from ops.receivers import commands

        run(commands.rotate(data_dir, name, secret_file, asker_of(actor, reason)))


def _stopping(group: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @group.command()
    @click.argument("name")
    @common
    def pause(name: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Stop sending; what is due waits in the outbox, for as long as that keeps it."""
        from ops.receivers import commands

        run(commands.pause(data_dir, name, asker_of(actor, reason)))

    @group.command()
    @click.argument("name")
    @click.option(
        "--from", "where", type=_FROM, default=None,
        help="Instead of where it stopped; after a gap one of them is needed.",
    )  # fmt: skip
    @common
    def resume(
        name: str, where: str | None, actor: str | None, reason: str, data_dir: Path
    ) -> None:
        """Send again, from where it stopped."""
        from ops.receivers import commands

        run(commands.resume(data_dir, name, where or "", asker_of(actor, reason)))

    @group.command()
    @click.argument("name")
    @common
    def remove(name: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Send no more, for good, and destroy its secret; what became of events is kept."""
        from ops.receivers import commands

        run(commands.remove(data_dir, name, asker_of(actor, reason)))


def _looking(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command("list")
    @data_dir
    @as_json
    def list_(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List receivers with state, what waits, and dead letters."""
        from ops.receivers import commands

        run(commands.print_list(data_dir, as_json=as_json))

    @group.command()
    @click.argument("name")
    @data_dir
    @as_json
    def show(name: str, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Show one receiver, and what to do where it is not served."""
        from ops.receivers import commands

        run(commands.print_one(data_dir, name, as_json=as_json))


def _dead(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.group()
    def dead() -> None:
        """Dead letters: events that a receiver refused for good, or that failed too often."""

    @dead.command("list")
    @click.argument("name")
    @click.option(
        "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The oldest."
    )
    @data_dir
    @as_json
    def list_(name: str, limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List them with code and reason; nothing of their content."""
        from ops.receivers import commands

        run(commands.print_dead(data_dir, name, limit=limit, as_json=as_json))

    for word, again, told in (
        ("retry", True, "Send them again; of a report that has a newer version, that one counts."),
        ("discard", False, "Let them be: they are never sent."),
    ):
        _ending(dead, word, told, data_dir, run, again=again)


def _ending(
    group: click.Group, word: str, told: str, data_dir: Option, run: Run, *, again: bool
) -> None:
    @group.command(word, help=told)
    @click.argument("name")
    @click.argument("events", metavar="[EVENT]...", type=click.UUID, nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="All dead letters of the receiver.")
    @audited
    @data_dir
    def end(
        name: str, events: tuple[UUID, ...], everything: bool, actor: str | None, reason: str,  # noqa: FBT001
        data_dir: Path,
    ) -> None:  # fmt: skip
        from ops.receivers import commands

        if everything == bool(events):
            raise click.UsageError("name the events, or say --all")
        run(
            commands.end_dead(
                data_dir, name, None if everything else list(events), again=again,
                asker=asker_of(actor, reason),
            )
        )  # fmt: skip
