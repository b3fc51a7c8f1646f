"""The life-cycle table: what each stream tells, by status, change of identity and opposition.

docs/guarantees/life-cycle.md holds what is expected, cell by cell; the real scripts on a real
database must give it. `python -m tests.integration.test_life_cycle` writes the page anew: read it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from schemas.topics import STREAMS
from tests.support.fold import verified
from tests.support.hub import Road, scratch_hub
from tests.support.lives import (
    STATUSES,
    Scene,
    Send,
    Step,
    allow,
    cells,
    lived,
    merge,
    oppose,
    undo,
)
from tests.support.postgres import Database, clone, make_template, open_folder, scratch_server

PAGE = Path(__file__).parents[2] / "docs" / "guarantees" / "life-cycle.md"
HEAD = """\
# What each stream tells in the life of a result

Generated from the real dispatch on a real database, and held by
`tests/integration/test_life_cycle.py` (`python -m tests.integration.test_life_cycle` writes it
anew). One positive SARS-CoV-2 PCR of a validated identity with an INS, unless a row says otherwise.
A cell is the events of that report in their order: kind, status of the body, (reason); `-` is no
event. `waits` is a hold that stands in the end. The status of the dossier is that of the
DiagnosticReport, that of the others OBR-25.

P preliminary, F final, C corrected, X cancelled, D deleted, W wrong.
"""


class Table:
    """Rows of one kind."""

    def __init__(self, title: str, about: str, *heads: str) -> None:
        self.title = title
        self.about = about
        self.heads = heads
        self.rows: list[tuple[tuple[str, ...], tuple[Step, ...], int]] = []

    def row(self, *names: str, steps: tuple[Step, ...], looks_at: int = 0) -> None:
        self.rows.append((names, steps, looks_at))


def said(status: str, **changes: object) -> Step:
    """The laboratory says the order again, with another status."""
    ins = bool(changes.pop("ins", True))
    return lambda scene: Send(scene.told(status, scene.somebody(ins=ins), **changes))  # type: ignore[arg-type]


def said_of_another(status: str) -> Step:
    return lambda scene: Send(scene.told(status, scene.somebody(1)))


def elsewhen(who: int = 0, *, ins: bool = True) -> Step:
    """Another result, of so long ago that it is no part of the case."""
    at = "2025-03-06T08"
    return lambda scene: Send(scene.told("F", scene.somebody(who, ins=ins), order="B", at=at))


def by_another_laboratory(status: str = "F", *, is_positive: bool = True) -> Step:
    at = "2026-03-06T10"
    return lambda scene: Send(
        scene.told(status, scene.somebody(), order="B", is_positive=is_positive, at=at), lab=1
    )


def tables() -> Iterator[Table]:
    alone = Table("One version", "The first and only word of the laboratory.", "status")
    for status in STATUSES:
        alone.row(status, steps=(said(status),))
    yield alone

    pairs = Table(
        "One version after another",
        "A lower status after a higher one (P after F, F after C, F after X, D or W) is kept as a"
        " version and changes nothing: the laboratory is told `version_outranked`. What was taken"
        " back comes back by C alone.",
        "first", "then",
    )  # fmt: skip
    for first in STATUSES:
        for then in STATUSES:
            pairs.row(first, then, steps=(said(first), said(then)))
    yield pairs

    turned = Table(
        "Corrected from positive to negative, and back",
        "What tracers hold is withdrawn; public health is told the answer.",
        "versions",
    )
    turned.row("F positive, C negative", steps=(said("F"), said("C", is_positive=False)))
    turned.row("F negative, C positive", steps=(said("F", is_positive=False), said("C")))
    turned.row(
        "F positive, C negative, C positive",
        steps=(said("F"), said("C", is_positive=False), said("C")),
    )
    turned.row("F, W, C", steps=(said("F"), said("W"), said("C")))
    yield turned

    patient = Table(
        "Corrected to another patient",
        "The dossier moves: withdrawn from one, published to the other.",
        "status",
        "then, of somebody else",
    )
    for then in STATUSES:
        patient.row("F", then, steps=(said("F"), said_of_another(then)))
    yield patient

    identity = Table(
        "A change of identity",
        "By the status of the report at that moment. The other result is of another episode. Two"
        " persons are merged by a steward; an undone merge leaves what was before.",
        "status", "change",
    )  # fmt: skip
    for status in STATUSES:
        for name, steps, looks_at in _changes(status):
            identity.row(status, name, steps=steps, looks_at=looks_at)
    yield identity

    opposed = Table(
        "Opposition to the dossier",
        "It stands over all rules of the dossier, and over none of the streams that the law asks"
        " for.",
        "status",
        "what happens",
    )
    for status in STATUSES:
        for name, steps, looks_at in _oppositions(status):
            opposed.row(status, name, steps=steps, looks_at=looks_at)
    yield opposed

    beside = Table(
        "The other report of the same day",
        "Two laboratories report a PCR of one day; the first counts. This is what the streams tell"
        " of the *second* laboratory's report when the first one's changes.",
        "first laboratory", "second laboratory",
    )  # fmt: skip
    for status in STATUSES:
        beside.row(
            f"F positive, then {status}",
            "F positive",
            steps=(said("F"), by_another_laboratory(), said(status)),
            looks_at=1,
        )
    beside.row(
        "F positive, then C negative",
        "F positive",
        steps=(said("F"), by_another_laboratory(), said("C", is_positive=False)),
        looks_at=1,
    )
    beside.row(
        "F negative, then C positive",
        "F negative",
        steps=(
            said("F", is_positive=False),
            by_another_laboratory(is_positive=False),
            said("C"),
        ),
        looks_at=1,
    )
    yield beside


def _changes(status: str) -> Iterator[tuple[str, tuple[Step, ...], int]]:
    bare = said(status, ins=False)
    yield "none: it has no INS", (bare,), 0
    yield "its INS comes with another result", (bare, elsewhen()), 0
    yield "no INS, merged with somebody who has one", (bare, elsewhen(1), merge()), 0
    yield "the same, undone", (bare, elsewhen(1), merge(), undo()), 0
    yield "merged with somebody without", (said(status), elsewhen(1, ins=False), merge()), 0
    yield "the same, undone", (said(status), elsewhen(1, ins=False), merge(), undo()), 0
    yield "merged into somebody known longer", (elsewhen(1), said(status), merge()), 1
    yield "the same, undone", (elsewhen(1), said(status), merge(), undo()), 1


def _oppositions(status: str) -> Iterator[tuple[str, tuple[Step, ...], int]]:
    yield "opposed afterwards", (said(status), oppose()), 0
    yield "opposed, then allowed", (said(status), oppose(), allow()), 0
    yield "opposed before it came", (elsewhen(), oppose(), said(status)), 1
    yield "opposed before, then allowed", (elsewhen(), oppose(), said(status), allow()), 1
    yield "opposed, then corrected", (said(status), oppose(), said("C")), 0
    yield "merged with who opposes", (said(status), elsewhen(1), oppose(1), merge()), 0
    yield "the same, undone", (said(status), elsewhen(1), oppose(1), merge(), undo()), 0


async def page_of(database: Database, folder: Path) -> str:
    """Let all of it happen, and write down what the streams told."""
    made = list(tables())
    numbers = iter(range(100, 2_000))
    scenes = [
        [
            Scene(number=next(numbers), steps=steps, looks_at=looks_at)
            for _, steps, looks_at in table.rows
        ]
        for table in made
    ]
    async with scratch_hub(database, folder) as hub:
        road = Road(hub)
        await lived(road, [scene for each in scenes for scene in each])
        await verified(road)
        text = HEAD
        for table, lives in zip(made, scenes, strict=True):
            told = await cells(road, lives)
            text += f"\n## {table.title}\n\n{table.about}\n\n"
            heads = [*table.heads, *(stream.value for stream in STREAMS)]
            text += _line(heads) + _line(["---"] * len(heads))
            for (names, _, _), cell in zip(table.rows, told, strict=True):
                text += _line([*names, *cell])
    return text


def _line(parts: list[str]) -> str:
    return "| " + " | ".join(parts) + " |\n"


async def test_each_stream_tells_what_the_table_says(database: Database, tmp_path: Path) -> None:
    found = await page_of(database, tmp_path)
    assert found.splitlines() == PAGE.read_text("utf-8").splitlines()


def main() -> None:
    """Write the page anew."""
    folder, keys = open_folder(), Path(tempfile.mkdtemp())
    server = scratch_server(folder)
    try:
        server.start()

        async def work() -> str:
            await make_template(server)
            return await page_of(await clone(server), keys)

        PAGE.write_text(asyncio.run(work()), "utf-8")
    finally:
        server.stop()
        shutil.rmtree(folder)
        shutil.rmtree(keys)
    sys.stdout.write(f"{PAGE.name}: read what has changed\n")


if __name__ == "__main__":
    main()
