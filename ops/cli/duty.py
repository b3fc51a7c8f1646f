"""`labdispatch status`, `top` and `doctor`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path

import click

from .asked import Option, Run


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the commands to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @data_dir
    @as_json
    def doctor(data_dir: Path, *, as_json: bool) -> None:
        """Look at machine, settings, disks, database, broker, certificates and processes.

        Says of each what to do. What is not configured or not started is `not used`, and no fault.
        Exits 1 when something is wrong.
        """
        from ops.doctor.commands import print_examination

        run(print_examination(data_dir, as_json=as_json))

    @main.command()
    @data_dir
    @as_json
    def status(data_dir: Path, *, as_json: bool) -> None:
        """Show in one look whether results flow, and what wants a person.

        Processes, doors, what is in flight, parked, held, to be reviewed, paused, receivers,
        certificates, disk and purge. Exits 1 when something wants a person.
        """
        from ops.duty.commands import print_status

        run(print_status(data_dir, as_json=as_json))

    @main.command()
    @data_dir
    def top(data_dir: Path) -> None:
        """Show rates, latencies and what wants a person on a screen that stays; `q` ends it.

        Where the output is no terminal, one frame is printed.
        """
        from ops.duty.commands import show_top

        run(show_top(data_dir))
