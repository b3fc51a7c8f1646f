"""`labdispatch indicators`: what its commands print and write."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import lent
from schemas.figures import Figure

from . import operating, queries
from .answering import Published
from .as_csv import figures_as_csv, revisions_as_csv
from .asking import Asked, known_condition, read_asked
from .sidep import names, sidep_file

_COLUMNS: Final = (
    "label", "area", "age_class", "sex", "tests", "persons", "cases", "incidence", "positivity",
    "completeness",
)  # fmt: skip


def published_of(hub: Hub) -> Published:
    """Return what reads published figures, within the bounds of the settings."""
    return Published(hub.pool, hub.settings.indicators_answer_figures)


async def show(
    data_dir: Path, condition: str, where: Sequence[str], form: str, out: Path | None
) -> int:
    """Print figures as a table, JSON or CSV, or write Parquet; all pages of them."""
    known_condition(condition)
    asked = read_asked(pairs_of(where))
    async with instance_at(data_dir) as hub:
        published = published_of(hub)
        answer = await published.figures(condition, asked)
        figures = answer.figures
        while answer.next is not None:
            # The pages of one answer are of one extraction.
            asked = msgspec.structs.replace(
                asked, after=int(answer.next), as_of=answer.extraction.at
            )
            answer = await published.figures(condition, asked)
            figures += answer.figures
    if form == "parquet":
        from .as_parquet import figures_as_parquet  # noqa: PLC0415 - slow to load

        _write(out, figures_as_parquet(figures, answer.extraction))
    elif form == "csv":
        _write(out, figures_as_csv(figures, answer.extraction).encode())
    elif form == "json":
        told = {"extraction": answer.extraction, "condition": condition, "figures": figures}
        _write(out, msgspec.json.encode(told) + b"\n")
    else:
        about = f"extraction {answer.extraction.number} of {answer.extraction.at.isoformat()}\n"
        _write(out, (about + _as_text(figures)).encode())
    return 0 if figures else 1


async def changes(data_dir: Path, condition: str, where: Sequence[str], *, as_json: bool) -> int:
    """Print how published figures were changed."""
    known_condition(condition)
    async with instance_at(data_dir) as hub:
        found = await published_of(hub).revisions(condition, read_asked(pairs_of(where)))
    if as_json:
        print_json(found)
    else:
        sys.stdout.write(revisions_as_csv(found))
    return 0


async def write_files(
    data_dir: Path, condition: str, layouts: Sequence[str], out: Path, as_of: str
) -> int:
    """Write files in SI-DEP's layouts; each is there whole or not at all."""
    known_condition(condition)
    asked = read_asked([("as_of", as_of)])
    async with instance_at(data_dir) as hub:
        published = published_of(hub)
        extraction = await published.extraction(asked.as_of)
        for layout in layouts or names():
            file = sidep_file(layout, condition, extraction)
            with _whole(out, file.name) as written:
                async for lines in file.lines(published):
                    written.write(lines)
            sys.stdout.write(f"{out / file.name}\n")
    return 0


async def extractions(data_dir: Path, limit: int, *, as_json: bool) -> int:
    """Print how far counting is, and which extractions can be asked for."""
    async with instance_at(data_dir) as hub:
        found = await published_of(hub).extractions(1 << 62, limit)
        async with lent(hub.pool) as connection:
            progress = await connection.fetchrow(queries.PROGRESS)
            lanes = await connection.fetch(queries.LANES)
    lag = sum(
        row["last_seq"] - (row["begins"] - 1 if row["counted"] is None else row["counted"])
        for row in lanes
    )
    if as_json:
        print_json({"events": progress["events"], "lag": lag, "extractions": found})
        return 0
    moved = progress["moved_at"].isoformat() if progress["moved_at"] else "never"
    sys.stdout.write(f"counted {progress['events']:,} events, last {moved}; {lag:,} wait\n")
    rows = [
        (each.number, each.at.isoformat(), each.events, each.lag, each.tables) for each in found
    ]
    if rows:
        sys.stdout.write(table_of(("number", "at", "events", "waited", "tables"), rows))
    return 0


async def extract(data_dir: Path, asker: Asker) -> int:
    """Ask for an extraction now."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        await operating.want_extraction(connection, asker)
    sys.stdout.write("asked for: labdispatch indicators extractions shows it once it is made\n")
    return 0


async def rebuild(data_dir: Path, asker: Asker, *, from_oldest: bool, skip_gap: bool) -> int:
    """Count the whole stream anew, or go on behind a gap."""
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        if skip_gap:
            gap = await operating.skip_gap(connection, asker)
            sys.stdout.write(f"{gap:,} events are never counted; counting goes on behind them\n")
            return 0
        await operating.rebuild(connection, asker, from_oldest=from_oldest)
    sys.stdout.write(
        "the process `indicators` counts from zero; what was published stays until it is done\n"
    )
    return 0


async def verify(data_dir: Path, *, as_json: bool) -> int:
    """Count every kept row anew and compare; 1 where cells differ."""
    async with instance_at(data_dir, role="indicators") as hub, lent(hub.pool) as connection:
        found = await operating.verify(connection)
    if as_json:
        print_json(found)
    elif found.differing:
        rows = [tuple(map(str, each)) for each in found.differing]
        sys.stdout.write(table_of(("condition", "period", "day", "department"), rows))
    else:
        sys.stdout.write(f"{found.rows:,} rows say what the cells say\n")
    return 1 if found.differing else 0


def pairs_of(where: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and values of `NAME=VALUE`."""
    return [(each.partition("=")[0].strip(), each.partition("=")[2]) for each in where]


def asked_of(where: Sequence[str]) -> Asked:
    """Return what words on a command line ask for."""
    return read_asked(pairs_of(where))


@contextmanager
def _whole(folder: Path, name: str) -> Iterator[TextIO]:
    """Give a file to write, that has its name once it is there whole."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{name}.{os.getpid()}"
    try:
        with scratch.open("w", encoding="utf-8", newline="") as written:
            yield written
        scratch.replace(folder / name)
    finally:
        scratch.unlink(missing_ok=True)


def _as_text(figures: Sequence[Figure]) -> str:
    rows = [
        tuple("-" if value is None else value for value in
              (getattr(figure, name) for name in _COLUMNS))
        for figure in figures
    ]  # fmt: skip
    return table_of(_COLUMNS, rows) if rows else "nothing is published of this\n"


def _write(out: Path | None, content: bytes) -> None:
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        out.write_bytes(content)
