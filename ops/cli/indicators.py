"""The group `indicators`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path

import click

from . import plot
from .asked import Option, Run, asker_of, audited

_WHERE = click.option(
    "--where", multiple=True, metavar="NAME=VALUE",
    help="area=departments, area=department:75, period=7days, from=2026-03-06, age_class=*, sex=F,"
    " as_of=2026-03-10; may be given again.",
)  # fmt: skip

_FORM = click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]),
    default="table", show_default=True, help="For the eye, for a program, or as a file.",
)  # fmt: skip
_OUT = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file.")


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> click.Group:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group(invoke_without_command=True, epilog="Settings: docs/settings.md.")
    @click.pass_context
    def indicators(context: click.Context) -> None:
        """Indicators of public health. Without a command: the process that counts them."""
        if context.invoked_subcommand is None:
            from ops.runtime.settings import load_settings
            from ops.stations import run_station

            run(run_station("indicators", load_settings()))

    _looking(indicators, data_dir, as_json, run)
    _operating(indicators, data_dir, as_json, run)
    plot.add_to(indicators, _WHERE, data_dir, run)
    return indicators


def _looking(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command()
    @click.argument("condition")
    @_WHERE
    @_FORM
    @_OUT
    @data_dir
    def show(
        condition: str, where: tuple[str, ...], form: str, out: Path | None, data_dir: Path
    ) -> None:
        """Print published figures of CONDITION (sars-cov-2, influenza-a, ...): France, day by day.

        Figures have gone through disclosure control; - is withheld or not known, never zero.
        """
        from ops.indicators import commands

        run(commands.show(data_dir, condition, where, form, out))

    @group.command()
    @click.argument("condition")
    @click.option(
        "--where", multiple=True, metavar="NAME=VALUE",
        help="area=departments, area=region:84, from=2026-S10, to=2026-S12, as_of=2026-05-01,"
        " period=day (France alone); may be given again.",
    )  # fmt: skip
    @_FORM
    @_OUT
    @data_dir
    def delays(
        condition: str, where: tuple[str, ...], form: str, out: Path | None, data_dir: Path
    ) -> None:
        """Print how long tests of CONDITION took from sampling to the hub: France, week by week.

        Told once the week is 22 days old, as finely as may be; - is withheld, never zero.
        """
        from ops.indicators import delay_commands

        run(delay_commands.delays(data_dir, condition, where, form, out))

    @group.command()
    @click.argument("condition")
    @_WHERE
    @data_dir
    @as_json
    def changes(condition: str, where: tuple[str, ...], data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Print how published figures were changed later, and by which extraction (CSV)."""
        from ops.indicators import commands

        run(commands.changes(data_dir, condition, where, as_json=as_json))

    @group.command()
    @click.argument("condition", default="sars-cov-2")
    @click.option(
        "--layout", "layouts", multiple=True, metavar="NAME",
        help="sp-pos-quot-dep, sp-pe-tb-quot-fra, ...; may be given again. Default: all.",
    )  # fmt: skip
    @click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder."
    )
    @click.option("--as-of", default="", help="A past day or time: 2026-03-10.")
    @data_dir
    def files(
        condition: str, layouts: tuple[str, ...], out: Path, as_of: str, data_dir: Path
    ) -> None:
        """Write files of CONDITION in the layouts of SI-DEP's open data.

        Beside each is `notes-` with its name: of which lines the numbers are of an earlier telling,
        or withheld.
        """
        from ops.indicators import commands

        run(commands.write_files(data_dir, condition, layouts, out, as_of))

    @group.command()
    @click.option(
        "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="How many."
    )
    @data_dir
    @as_json
    def extractions(limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Print how far counting is, and the last extractions."""
        from ops.indicators import commands

        run(commands.extractions(data_dir, limit, as_json=as_json))


def _operating(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    @group.command()
    @audited
    @data_dir
    def extract(actor: str | None, reason: str, data_dir: Path) -> None:
        """Publish what is counted now, and not only when it is time."""
        from ops.indicators import commands

        run(commands.extract(data_dir, asker_of(actor, reason)))

    @group.command()
    @click.option(
        "--from-oldest", is_flag=True,
        help="Also where retention has taken the beginning of the stream: its counts are lost.",
    )  # fmt: skip
    @click.option(
        "--skip-gap", is_flag=True,
        help="Keep what is counted, and go on behind what retention took before it was.",
    )  # fmt: skip
    @audited
    @data_dir
    def rebuild(
        from_oldest: bool, skip_gap: bool, actor: str | None, reason: str, data_dir: Path  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Count the whole stream anew, from zero. What was published stays until it is done."""
        from ops.indicators import commands

        run(
            commands.rebuild(
                data_dir, asker_of(actor, reason), from_oldest=from_oldest, skip_gap=skip_gap
            )
        )

    @group.command()
    @click.argument("condition")
    @click.argument("day")
    @audited
    @data_dir
    def retell(condition: str, day: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Publish the week of DAY of CONDITION anew: a table of it is damaged.

        For `table_unreadable`. Nothing is told finer than it was; earlier extractions stay as
        they are.
        """
        from ops.indicators import commands

        run(commands.retell(data_dir, asker_of(actor, reason), condition, day))

    @group.command()
    @data_dir
    @as_json
    def verify(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Count every kept row anew and compare with what is kept; changes nothing.

        Exits 1 where they differ. Counting stands still meanwhile.
        """
        from ops.indicators import commands

        run(commands.verify(data_dir, as_json=as_json))
