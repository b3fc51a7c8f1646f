"""The command `stream`: no logic here, as in all of `ops/cli/root.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import click

from .asked import Option

where_option: Final = click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only such rows: condition=, department=, result=, and from= and to= (days of sampling)."
    " May be given more than once.",
)


def audited(command: Any) -> Any:
    """Take who asks and why; both must be given for a stream that holds names."""
    command = click.option(
        "--reason", default="", help="Why; kept in the audit trail. No personal data."
    )(command)
    return click.option("--actor", default=None, help="Who asks; kept in the audit trail.")(command)


def pairs_of(where: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the filters as pairs.

    Raises:
        click.UsageError: One is no KEY=VALUE.
    """
    found = []
    for number, each in enumerate(where, start=1):
        key, equals, value = each.partition("=")
        if not equals:
            raise click.UsageError(f"--where {number} takes KEY=VALUE, as in condition=sars-cov-2")
        found.append((key.strip(), value.strip()))
    return found


def add_to(
    main: click.Group, data_dir: Option, run: Callable[[Coroutine[Any, Any, int | None]], None]
) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @click.argument("name", type=click.Choice(["dossier", "contact-tracing", "public-health"]))
    @data_dir
    @click.option("--after", metavar="CURSOR", default=None, help="Read on after this cursor.")
    @click.option("--limit", type=click.IntRange(min=1), default=None, help="At most so many.")
    @click.option("--follow", is_flag=True, help="Wait for more; end with Ctrl-C.")
    @click.option(
        "--state",
        type=click.Choice(["events", "latest"]),
        default="events",
        show_default=True,
        help="Every event; or first of each report the newest version, then what follows.",
    )
    @where_option
    @click.option(
        "--format",
        "form",
        type=click.Choice(["ndjson", "csv", "table"]),
        default="ndjson",
        show_default=True,
        help="Lines for programs, columns for a spreadsheet, or for the eye.",
    )
    @audited
    def stream(
        name: str,
        data_dir: Path,
        after: str | None,
        limit: int | None,
        follow: bool,  # noqa: FBT001
        state: str,
        where: tuple[str, ...],
        form: str,
        actor: str | None,
        reason: str,
    ) -> None:
        """Print a stream, one event a line with its cursor, up to its present end.

        Streams that hold names need --actor and --reason, and are written to the audit chain.
        """
        from ops.exporting.manifest import State
        from ops.exporting.printing import StreamAsk, print_stream
        from schemas.topics import Stream

        ask = StreamAsk(
            stream=Stream(name),
            after=after,
            limit=limit,
            follow=follow,
            where=tuple(pairs_of(where)),
            state=State(state),
            form=form,
        )
        run(print_stream(data_dir, ask, actor=actor, reason=reason))
