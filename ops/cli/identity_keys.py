"""The keys' part of the group `identity`: commands without logic."""

from __future__ import annotations

from pathlib import Path

import click

from .asked import Option, Run, audited


def add_to(group: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the commands to the group `identity`.

    Args:
        group: The group `identity`.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @group.command()
    @click.option(
        "--forget-unreadable",
        is_flag=True,
        help="Go on although some sets of traits cannot be read any more.",
    )
    @audited
    @data_dir
    def rekey(
        forget_unreadable: bool,  # noqa: FBT001 - click gives flags by position
        data_dir: Path,
        actor: str | None,
        reason: str,
    ) -> None:
        """Make all keys anew by this release's key function, while results flow.

        Goes on where it was if it was stopped. docs/runbooks/rekey.md.
        """
        from ops.register.labs import who_asks
        from ops.rekeying import rekey as work

        asks = actor or who_asks()
        run(work(data_dir, actor=asks, reason=reason, forget_unreadable=forget_unreadable))

    @group.command("hot-keys")
    @click.option(
        "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True,
        help="At most so many keys.",
    )  # fmt: skip
    @data_dir
    @as_json
    def hot_keys(limit: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List keys that too many persons share: found by narrower ones since."""
        from ops.rekeying import print_hot_keys

        run(print_hot_keys(data_dir, limit=limit, as_json=as_json))
