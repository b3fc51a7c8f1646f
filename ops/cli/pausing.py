"""`pause`, `resume`, `drain` and `pauses`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from pathlib import Path

import click

from .asked import Option, Run, asker_of, reasoned

_WHAT = click.argument("what", type=click.Choice(["stream", "laboratory", "receiver"]))


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the commands to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.command()
    @_WHAT
    @click.argument("name")
    @reasoned
    @data_dir
    def pause(what: str, name: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Let a stream, a laboratory or a receiver wait; nothing of it is lost or refused.

        stream: no topic and no receiver gets anything; readers over HTTP read on. laboratory: its
        messages are answered as always and parked, and done again when it goes on (to refuse
        them: labs suspend). receiver: what is due waits.
        """
        from ops.pausing import commands

        run(commands.pause(data_dir, what, name, asker_of(actor, reason)))

    @main.command()
    @_WHAT
    @click.argument("name")
    @reasoned
    @data_dir
    def resume(what: str, name: str, actor: str | None, reason: str, data_dir: Path) -> None:
        """Let a stream, a laboratory or a receiver go on where it stopped.

        Of a laboratory, what was parked meanwhile is done again in its order, so many a second as
        is set (replay_per_second).
        """
        from ops.pausing import commands

        run(commands.resume(data_dir, what, name, asker_of(actor, reason)))

    @main.command()
    @click.argument("process")
    @click.option("--within", type=click.FloatRange(1, 3_600), default=30.0, show_default=True,
                  help="Seconds to wait for its end.")  # fmt: skip
    @data_dir
    def drain(process: str, within: float, data_dir: Path) -> None:
        """Let PROCESS of a `run` (ingest, ingest-2, dispatch, api, ...) end in order.

        It takes nothing new, answers what it has and ends; the run starts it again. Laboratories
        connect to the new one; nothing that was accepted is lost. Elsewhere: SIGTERM, as systemd
        and orchestrators send it.
        """
        import sys

        from ops.draining import drain

        sys.exit(drain(data_dir, process, within))

    @main.command()
    @data_dir
    @as_json
    def pauses(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001 - click gives flags by position
        """List what is paused: since when, by whom, and why."""
        from ops.pausing import commands

        run(commands.print_pauses(data_dir, as_json=as_json))
