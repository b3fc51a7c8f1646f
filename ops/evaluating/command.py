"""`labdispatch identity evaluate`: a file that holds the truth, through the matcher."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from dedup.model import Model, load_model
from schemas.decision import MatchDecision, Realm
from schemas.errors import PermanentError
from schemas.patient import Traits

from .columns import Layout, layout_of, read_map, traits_of
from .memory import MemoryPersons
from .reading import Table
from .run import WORDS, Persons, Run, Truthful, run_all
from .standing import Standing
from .values import suited

BATCH: Final = 100
"""Records of one transaction: dispatch's own size under load."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for."""

    file: Path
    truth: str
    id: str | None = None
    map: Path | None = None
    model: str | None = None
    population: int | None = None
    decisions: Path | None = None
    realm: Realm = Realm.TEST
    in_memory: bool = False


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    model: str
    prior_bits: float
    records: int
    persons: int
    true_persons: int
    pair_precision: float
    pair_recall: float
    pair_f1: float
    cluster_f1: float
    b_cubed_f1: float
    false_links: int
    false_links_per_million: float
    reviews: int
    review_share: float
    after_review_pair_f1: float
    after_review_cluster_f1: float
    seconds: float
    records_per_second: float
    ignored_columns: tuple[str, ...] = ()


async def evaluate(asked: Asked) -> Figures:
    """Run a file's records in their order and return the figures.

    The file is read twice where the model is suited to it (`values`), once more for `decisions`.

    Raises:
        PermanentError: The file, the map or the model cannot be used; the text says where and how
            to mend it.
    """
    table = Table(asked.file)
    mapped = {} if asked.map is None else read_map(_text(asked.map))
    layout = layout_of(table.header, asked.truth, asked.id, mapped)
    model = _model(asked, table, layout)
    async with _persons(asked, model) as persons:
        started = time.perf_counter()
        run = await run_all(_records(table, layout, asked.realm), persons, batch=BATCH)
        seconds = time.perf_counter() - started
    if not len(run.persons):
        raise PermanentError("file_empty", "below the first row there is no record")
    if asked.decisions is not None:
        _write_decisions(asked.decisions, table, layout, run)
    return figures_of(run, model, seconds, layout.ignored)


def figures_of(run: Run, model: Model, seconds: float, ignored: tuple[str, ...] = ()) -> Figures:
    """Return the figures of a run."""
    before, after = run.before_review, run.after_review
    return Figures(
        model=model.version,
        prior_bits=model.prior / 1000,
        records=before.records,
        persons=before.persons,
        true_persons=before.true_persons,
        pair_precision=before.pair_precision,
        pair_recall=before.pair_recall,
        pair_f1=before.pair_f1,
        cluster_f1=before.cluster_f1,
        b_cubed_f1=before.b_cubed_f1,
        false_links=before.false_links,
        false_links_per_million=before.false_links_per_million,
        reviews=before.reviews,
        review_share=before.review_share,
        after_review_pair_f1=after.pair_f1,
        after_review_cluster_f1=after.cluster_f1,
        seconds=seconds,
        records_per_second=before.records / seconds if seconds > 0 else 0.0,
        ignored_columns=ignored,
    )


def say(figures: Figures) -> None:
    """Print figures for a person."""
    if figures.ignored_columns:
        print_line(f"ignored columns: {', '.join(figures.ignored_columns)}")
    print_line(
        f"model {figures.model}, prior {figures.prior_bits:.1f} bits; {figures.records:,} records "
        f"of {figures.true_persons:,} people, {figures.persons:,} persons found"
    )
    rows = (
        ("pair precision", f"{figures.pair_precision:.6f}"),
        ("pair recall", f"{figures.pair_recall:.6f}"),
        ("pair F1", f"{figures.pair_f1:.6f}"),
        ("cluster F1", f"{figures.cluster_f1:.6f}"),
        ("B-cubed F1", f"{figures.b_cubed_f1:.6f}"),
        ("false links", f"{figures.false_links:,}"),
        ("false links per million", f"{figures.false_links_per_million:,.1f}"),
        ("review share", f"{figures.review_share:.4%}"),
        ("pair F1 after review", f"{figures.after_review_pair_f1:.6f}"),
        ("records a second", f"{figures.records_per_second:,.0f}"),
    )
    for name, value in rows:
        print_line(f"  {name:<26}{value:>14}")


def print_line(text: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(text + "\n")


def _model(asked: Asked, table: Table, layout: Layout) -> Model:
    """Return the model of a run; one of no fixed population is suited to what the file holds."""
    name = asked.model or ("fr" if layout.is_french else "generic")
    model = load_model(name)
    if model.is_prior_open:
        rows = (traits_of(row, layout, asked.realm) for _, row in table.rows())
        model, _ = suited(model, rows)
    if asked.population is not None:
        return model.for_population(asked.population)
    return model


def _records(table: Table, layout: Layout, realm: Realm) -> Iterator[Truthful]:
    numbers: dict[str, int] = {}
    for line, row in table.rows():
        truth = row[layout.truth].strip()
        if not truth:
            raise PermanentError(
                "truth_missing", f"line {line}: say in the column of the truth who it is"
            )
        number = numbers.setdefault(truth, len(numbers))
        yield Truthful(truth=number, traits=traits_of(row, layout, realm))


class _InMemory:
    """`MemoryPersons` as `Persons`."""

    def __init__(self, model: Model, realm: Realm) -> None:
        self._persons = MemoryPersons(model, realm)

    async def take(self, batch: Sequence[Traits]) -> list[tuple[int, MatchDecision]]:
        """Return person and decision of each record."""
        return [self._persons.take(traits) for traits in batch]


@asynccontextmanager
async def _persons(asked: Asked, model: Model) -> AsyncIterator[Persons]:
    if asked.in_memory:
        yield _InMemory(model, asked.realm)
        return
    from .scratch import scratch_persons  # noqa: PLC0415 - the engine alone needs no database

    async with scratch_persons(model, asked.realm) as persons:
        yield persons


def _write_decisions(path: Path, table: Table, layout: Layout, run: Run) -> None:
    """Write `id,person,decision` of each record, in the order of the file."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("id", "person", "decision"))
            for place, (_, row) in enumerate(table.rows()):
                identifier = str(place + 1) if layout.id is None else row[layout.id].strip()
                person = run.end(run.persons[place])
                writer.writerow((identifier, person, WORDS[run.verdicts[place]]))
    except OSError:
        raise PermanentError("decisions_unwritable", "name a file that can be written") from None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise PermanentError("map_unreadable", "give a TOML file in UTF-8") from None


def say_standing(standing: Standing) -> str:
    """Return one line about figures, for a benchmark's progress."""
    return (
        f"P {standing.pair_precision:.7f} R {standing.pair_recall:.5f} F1 {standing.pair_f1:.5f} "
        f"clusters {standing.cluster_f1:.5f} false {standing.false_links} "
        f"reviews {standing.review_share:.3%}"
    )
