"""The group `pseudonyms`: the keys behind what stands for persons. No logic here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from .asked import Option

Run = Callable[[Coroutine[Any, Any, int | None]], None]


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def pseudonyms() -> None:
        """Keys of pseudonyms: one a purpose and half-year. docs/pseudonyms.md."""

    @pseudonyms.command("list")
    @data_dir
    @as_json
    def list_(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List of which purposes and periods there are keys; never a key."""
        from ops.pseudonym_keys import print_keys

        run(print_keys(data_dir, as_json=as_json))

    @pseudonyms.command()
    @click.argument("purpose")
    @click.argument("period")
    @click.option("--actor", required=True, help="Who asks; kept in the audit trail.")
    @click.option("--reason", required=True, help="Why; kept in the audit trail. No personal data.")
    @data_dir
    def retire(purpose: str, period: str, actor: str, reason: str, data_dir: Path) -> None:
        """Destroy the key of a PURPOSE and a PERIOD that is over, for ever.

        From then on nobody can tell whom a pseudonym of it stood for, us included. Back-ups of the
        keys' folder must forget it too.
        """
        from ops.pseudonym_keys import retire as work

        run(work(data_dir, purpose, period, actor=actor, reason=reason))
