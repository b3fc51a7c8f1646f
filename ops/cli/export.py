"""The command `export`: no logic here, as in all of `ops/cli/root.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from .asked import Option
from .stream import audited, pairs_of, where_option

_DAY: Final = click.DateTime(["%Y-%m-%d"])


def add_to(
    main: click.Group,
    data_dir: Option,
    as_json: Option,
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> None:
    """Add the command to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @click.argument("name", type=click.Choice(["dossier", "contact-tracing", "public-health"]))
    @click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of this export; the same command goes on where one was killed.",
    )
    @click.option(
        "--format",
        "form",
        type=click.Choice(["parquet", "csv"]),
        default="parquet",
        show_default=True,
        help="Of the files.",
    )
    @click.option(
        "--state",
        type=click.Choice(["latest", "events"]),
        default="latest",
        show_default=True,
        help="Of each report the newest version, withdrawn ones left out; or every event.",
    )
    @click.option("--from", "since", type=_DAY, metavar="DAY", help="First day, as 2026-03-01.")
    @click.option("--to", "until", type=_DAY, metavar="DAY", help="Last day.")
    @where_option
    @click.option(
        "--extraction",
        default="",
        metavar="TEXT",
        help="As of an earlier export (its _manifest.json says which): the same bytes.",
    )
    @audited
    @data_dir
    @as_json
    def export(
        name: str,
        out: Path,
        form: str,
        state: str,
        since: datetime | None,
        until: datetime | None,
        where: tuple[str, ...],
        extraction: str,
        actor: str | None,
        reason: str,
        data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """Write a stream as files, a folder a day: Parquet (zstd) or CSV.

        OUT/TABLE/day=2026-03-06/part-0000.parquet: the day is that of sampling, in `--state events`
        that of emission (UTC), and so are --from and --to. Same range and same extraction: same
        bytes. Streams that hold names need --actor and --reason, and are written to the audit
        chain.
        """
        from ops.exporting.command import run_export
        from ops.exporting.manifest import Ask, Form, State
        from schemas.topics import Stream

        ask = Ask(
            stream=Stream(name),
            state=State(state),
            form=Form(form),
            since=since.date() if since is not None else None,
            until=until.date() if until is not None else None,
            where=tuple(sorted(pairs_of(where))),
        )
        run(
            run_export(
                data_dir,
                ask,
                out,
                extraction=extraction,
                actor=actor,
                reason=reason,
                as_json=as_json,
            )
        )
