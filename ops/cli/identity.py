"""The group `identity`: how well persons are found, and why a record went where it did."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def add_to(
    main: click.Group,
    json_option: Callable[..., Any],
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> click.Group:
    """Add the group `identity` to the whole; return it, for those who have further commands."""

    @main.group()
    def identity() -> None:
        """Look at the matcher: measure it on a file, explain a decision, try a model."""

    _add_evaluate(identity, json_option, run)
    return identity


def _add_evaluate(
    group: click.Group,
    json_option: Callable[..., Any],
    run: Callable[[Coroutine[Any, Any, int | None]], None],
) -> None:
    @group.command()
    @click.argument("file", type=_FILE)
    @click.option("--truth", required=True, metavar="COLUMN", help="Column that says who it is.")
    @click.option("--id", "identifier", metavar="COLUMN", help="Column with the record's own id.")
    @click.option("--map", "mapped", type=_FILE, help='TOML lines: "Nom" = "surname".')
    @click.option("--model", metavar="NAME|PATH", help="fr, generic, or a model file.")
    @click.option(
        "--population", type=click.IntRange(2), help="How many people there are to be taken for."
    )
    @click.option(
        "--decisions",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write id,person,decision of each record into this CSV file.",
    )
    @click.option(
        "--realm",
        type=click.Choice(["test", "production"]),
        default="test",
        show_default=True,
        help="Whose INS count; one without an OID is of it.",
    )
    @click.option("--in-memory", is_flag=True, help="The engine alone, without the database.")
    @json_option
    def evaluate(
        file: Path,
        truth: str,
        identifier: str | None,
        mapped: Path | None,
        model: str | None,
        population: int | None,
        decisions: Path | None,
        realm: str,
        in_memory: bool,  # noqa: FBT001 - click gives flags by position
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """Put the records of a CSV file together, in their order, and compare with the truth.

        Runs them through the real resolver on a database of its own that is removed afterwards.
        Known columns: given_name, surname, used_name, date_of_birth, sex, birth_place, street,
        address_1, postcode, suburb, city, state, phone, phone_number, ins, identity_status; others
        are ignored and named. Without ins, identity_status, birth_place and used_name the model is
        `generic`, else `fr`.
        """
        from ops.evaluating.command import Asked, evaluate, say
        from ops.evaluating.stopping import until_stopped
        from schemas.decision import Realm

        asked = Asked(
            file=file, truth=truth, id=identifier, map=mapped, model=model, population=population,
            decisions=decisions, realm=Realm(realm), in_memory=in_memory,
        )  # fmt: skip

        async def work() -> int | None:
            figures = await until_stopped(evaluate(asked))
            if figures is None:
                return 130
            if as_json:
                import msgspec

                sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
            else:
                say(figures)
            return None

        run(work())
