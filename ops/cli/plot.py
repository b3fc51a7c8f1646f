"""The command `indicators plot`: without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from .asked import Option, Run

# As ops/plotting has them, which loads the drawing library (a test holds them together).
KINDS: Final = ("curve", "ages", "map")
MEASURES: Final = (
    "cases", "tests", "positive_tests", "persons", "positive_persons", "incidence", "positivity",
    "screening",
)  # fmt: skip


def add_to(group: click.Group, where: Option, data_dir: Option, run: Run) -> None:
    """Add the command to its group.

    Args:
        group: The group `indicators`.
        where: The option that says which figures.
        data_dir: The option that names the instance.
        run: Runs work, and exits with the code it gives.
    """

    @group.command()
    @click.argument("kind", type=click.Choice(KINDS))
    @click.argument("condition")
    @where
    @click.option(
        "--measure", type=click.Choice(MEASURES), default="cases", show_default=True,
        help="What is drawn.",
    )  # fmt: skip
    @click.option(
        "--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
        help="The file; its name ends in .svg or .png.",
    )  # fmt: skip
    @click.option("--note", default="", help="A sentence to stand below.")
    @data_dir
    def plot(
        kind: str,
        condition: str,
        where: tuple[str, ...],
        measure: str,
        out: Path,
        note: str,
        data_dir: Path,
    ) -> None:
        """Draw published figures of CONDITION (sars-cov-2, influenza-a, ...) into a file.

        curve: one area by time, the last days with what is still to come. ages: a heat map by age
        class and time. map: the departments, on the last day or on that of to=. What is withheld
        is hatched, never zero. The same figures give the same bytes.
        """
        from ops.plotting.about import Measure
        from ops.plotting.command import plot as draw
        from ops.plotting.picture import Kind

        run(
            draw(
                data_dir,
                Kind(kind),
                condition,
                where,
                measure=Measure(measure),
                out=out,
                note=note,
            )
        )
