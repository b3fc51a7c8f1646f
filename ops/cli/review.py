"""The group `review`: commands without logic, as all of `ops/cli`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .asked import Option, Run, asker_of, audited


def add_to(main: click.Group, data_dir: Option, as_json: Option, run: Run) -> None:
    """Add the group to the whole.

    Args:
        main: The group of all commands.
        data_dir: The option that names the instance.
        as_json: The option that asks for JSON.
        run: Runs work, and exits with the code it gives.
    """

    @main.group()
    def review() -> None:
        """Questions that the machine leaves to a steward: look, decide, find more of them."""

    def common(command: Any) -> Any:
        return audited(data_dir(as_json(command)))

    _looking(review, common, run)
    _deciding(review, common, data_dir, as_json, run)
    _tokens(review, common, data_dir, as_json, run)


def _looking(review: click.Group, common: Callable[[Any], Any], run: Run) -> None:
    @review.command("list")
    @click.option("--guard", default="", help="Only of this guard.")
    @click.option("--priority", type=click.IntRange(0, 3), default=0, help="1 to 3; 0 is all.")
    @click.option(
        "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True,
        help="At most so many items.",
    )  # fmt: skip
    @common
    def list_(
        guard: str, priority: int, limit: int, actor: str | None, reason: str, data_dir: Path,
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """List what waits, the most urgent first; no value of a trait is shown."""
        from ops.stewards.commands import print_items

        run(
            print_items(
                data_dir, asker_of(actor, reason), guard=guard, priority=priority, limit=limit,
                as_json=as_json,
            )
        )  # fmt: skip

    @review.command()
    @click.argument("item", type=int)
    @click.option("--show-identity", is_flag=True, help="Show the values too; audited as such.")
    @common
    def show(
        item: int, show_identity: bool, actor: str | None, reason: str, data_dir: Path,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Show both sides of ITEM field by field: level, weight in bits, guard, history."""
        from ops.stewards.commands import print_item

        run(
            print_item(
                data_dir, asker_of(actor, reason), item, with_values=show_identity, as_json=as_json
            )
        )

    @review.command()
    @click.argument("person", type=int)
    @common
    def history(
        person: int, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Show what was decided about PERSON, with the numbers that `identity undo` takes."""
        from ops.stewards.commands import print_history

        run(print_history(data_dir, asker_of(actor, reason), person, as_json=as_json))


def _deciding(
    review: click.Group, common: Callable[[Any], Any], data_dir: Option, as_json: Option, run: Run
) -> None:
    @review.command()
    @click.argument("item", type=int)
    @click.argument("verdict", type=click.Choice(["same", "different", "later"]))
    @common
    def decide(
        item: int, verdict: str, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Say of the two persons of ITEM that they are the same, different, or to be seen later.

        `same` merges them (with LABDISPATCH_REVIEW_FOUR_EYES once a second steward says it too);
        `different` on persons that were merged undoes the merge. It prints the number to undo it.
        """
        from dedup.review import PairVerdict
        from ops.stewards.commands import decide as work

        asker = asker_of(actor, reason)
        run(work(data_dir, item, PairVerdict(verdict), asker, as_json=as_json))

    @review.command()
    @click.option("--persons", type=click.IntRange(1, 10_000_000), default=10_000,
                  show_default=True, help="Look at so many persons more.")  # fmt: skip
    @click.option("--items", type=click.IntRange(1, 10_000), default=100, show_default=True,
                  help="Stop at so many new items.")  # fmt: skip
    @data_dir
    @as_json
    def find(persons: int, items: int, data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """Look for more possible duplicates; goes on where the last run stopped."""
        from ops.stewards.commands import print_search

        run(print_search(data_dir, persons=persons, items=items, as_json=as_json))


def _tokens(
    review: click.Group, common: Callable[[Any], Any], data_dir: Option, as_json: Option, run: Run
) -> None:
    @review.group()
    def steward() -> None:
        """Stewards' tokens for HTTP (/v1/review); only their digests are kept."""

    @steward.command("add")
    @click.argument("name")
    @click.option("--sees-identity", is_flag=True, help="May ask for values.")
    @common
    def add(
        name: str, sees_identity: bool, actor: str | None, reason: str, data_dir: Path,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Make a token for the steward NAME and print it: this is the only time it is shown."""
        from ops.stewards.commands import add_steward

        run(
            add_steward(
                data_dir, name, asker_of(actor, reason), sees_identity=sees_identity,
                as_json=as_json,
            )
        )  # fmt: skip

    @steward.command("list")
    @data_dir
    @as_json
    def list_(data_dir: Path, as_json: bool) -> None:  # noqa: FBT001
        """List who has a token for the review queue."""
        from ops.stewards.commands import print_stewards

        run(print_stewards(data_dir, as_json=as_json))

    @steward.command()
    @click.argument("name")
    @common
    def revoke(
        name: str, actor: str | None, reason: str, data_dir: Path, as_json: bool  # noqa: FBT001
    ) -> None:  # fmt: skip
        """Let the token of the steward NAME count no more."""
        from ops.stewards.commands import revoke_steward

        run(revoke_steward(data_dir, name, asker_of(actor, reason), as_json=as_json))
