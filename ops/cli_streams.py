"""The group `streams`: commands without logic, as all of `ops/cli.py`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from ops.cli_labs import Option


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

    return streams
