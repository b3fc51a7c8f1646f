"""The group `streams`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from .asked import Option


def add_to(
    main: click.Group,
    data_dir: Option,
    as_json: Option,
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> click.Group:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def streams() -> None:
        """What the streams hold, and whether it is what they should hold."""

    @streams.command()
    @click.option(
        "--stream",
        "names",
        type=click.Choice(["dossier", "contact-tracing", "public-health"]),
        multiple=True,
        help="Only this one; may be given more than once.",
    )
    @click.option(
        "--sample",
        type=click.IntRange(1, 10_000_000),
        default=None,
        help="Draw so many reports, and look at all of their persons' instead of everybody's.",
    )
    @data_dir
    @as_json
    def verify(names: tuple[str, ...], sample: int | None, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Compute from scratch what every stream should hold, and compare.

        Reads every report back as it stands, routes and projects it anew with the rules, persons,
        cases and oppositions of now, and holds that against what the hub believes the streams hold
        and against the events themselves (of a report the highest event_version wins). Changes
        nothing, and may run beside everything. Names report ids and what differs, never a value.

        Exits 1 when a stream holds something else.
        """
        from ops.verifying.command import verify_streams

        run(verify_streams(data_dir, names, sample=sample, as_json=as_json))

    _reconcile(streams, data_dir, as_json, run)
    return streams


def _reconcile(
    streams: click.Group,
    data_dir: Option,
    as_json: Option,
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> None:
    @streams.command()
    @click.option(
        "--stream",
        "names",
        type=click.Choice(["dossier", "contact-tracing", "public-health"]),
        multiple=True,
        help="This one; may be given more than once.",
    )
    @click.option("--all", "all_", is_flag=True, help="All three.")
    @click.option("--dry-run", is_flag=True, help="Show what would be done, change nothing.")
    @click.option("--actor", default=None, help="Who asks; default: the user of this process.")
    @click.option("--reason", default="", help="Why; stands in the audit trail.")
    @data_dir
    @as_json
    def reconcile(
        names: tuple[str, ...],
        all_: bool,  # noqa: FBT001
        dry_run: bool,  # noqa: FBT001
        actor: str | None,
        reason: str,
        data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """After a restore: make streams, topics and outbox agree again.

        Begins a new history of the stream: numbers and versions go on above all that was lost,
        everything the database holds is told again, what only the topic knows is withdrawn.
        Receivers get all again; readers are answered 410. Stop dispatch and relay of a cluster
        before; may be given again when it was cut short. See docs/runbooks/histories-diverged.md.
        """
        from ops.reconciling.command import reconcile_streams

        from .asked import asker_of

        wanted = ("dossier", "contact-tracing", "public-health") if all_ else names
        work = reconcile_streams(
            data_dir, wanted, asker_of(actor, reason), dry_run=dry_run, as_json=as_json
        )
        run(work)
