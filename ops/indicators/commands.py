"""`labdispatch indicators`: what its commands print and write."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from ops.asking import Asker
from ops.bootstrap import Hub
from ops.looking import instance_at
from ops.printing import print_json, table_of
from ops.runtime.postgres import lent

from . import operating, queries
from .answering import Answer, Published
from .as_csv import rows_as_csv
from .asking import Asked, known_condition, read_asked
from .columns import revision_rows
from .sidep import names, notes_of, sidep_file
from .writing import form_of, whole


def published_of(hub: Hub) -> Published:
    """Return what reads published figures, within the bounds of the settings."""
    settings = hub.settings
    return Published(
        hub.pool,
        settings.indicators_answer_figures,
        unpacked=settings.indicators_answer_unpacked,
        at_once=settings.indicators_answers_at_once,
        answers_each=settings.indicators_answers_each,
        wait_seconds=settings.indicators_answer_wait_seconds,
    )


async def show(
    data_dir: Path, condition: str, where: Sequence[str], form: str, out: Path | None
) -> int:
    """Print figures as a table, JSON or CSV, or write Parquet: page by page.

    Raises:
        PermanentError: More than a table shows (`too_many_to_print`), or as `Published` says.
    """
    known_condition(condition)
    asked = read_asked(pairs_of(where))
    shown = 0
    with whole(out) as file:
        written = form_of(form, file)
        async with instance_at(data_dir) as hub:
            async for answer in pages(published_of(hub), condition, asked):
                written.page(answer)
                shown += len(answer.figures)
        written.end()
    return 0 if shown else 1


async def pages(published: Published, condition: str, asked: Asked) -> AsyncIterator[Answer]:
    """Give all pages of an answer, of one extraction."""
    while True:
        answer = await published.figures(condition, asked)
        yield answer
        if answer.next is None:
            return
        asked = msgspec.structs.replace(asked, after=int(answer.next), as_of=answer.extraction.at)


async def changes(data_dir: Path, condition: str, where: Sequence[str], *, as_json: bool) -> int:
    """Print how published figures were changed, page by page: CSV, or one JSON array."""
    known_condition(condition)
    pairs = [pair for pair in pairs_of(where) if pair[0] != "after"]
    asked, between = read_asked(pairs), "["
    async with instance_at(data_dir) as hub:
        published = published_of(hub)
        is_first = True
        while True:
            answer = await published.revisions(condition, asked)
            if as_json:
                for each in answer.revisions:
                    sys.stdout.write(between + msgspec.json.encode(each).decode())
                    between = ",\n"
            else:
                sys.stdout.write(rows_as_csv(revision_rows(answer.revisions), head=is_first))
            is_first = False
            if answer.next is None:
                break
            more = [pair for pair in pairs if pair[0] != "as_of"]
            # The pages of one answer are of one extraction.
            more += [("as_of", answer.extraction.at.isoformat()), ("after", answer.next)]
            asked = read_asked(more)
    if as_json:
        sys.stdout.write("]\n" if between != "[" else "[]\n")
    return 0


async def write_files(
    data_dir: Path, condition: str, layouts: Sequence[str], out: Path, as_of: str
) -> int:
    """Write files in SI-DEP's layouts, and the notes beside each: whole, or not at all.

    Raises:
        PermanentError: `no_such_file`: the layouts there are.
    """
    known_condition(condition)
    asked = read_asked([("as_of", as_of)])
    async with instance_at(data_dir) as hub:
        published = published_of(hub)
        extraction = await published.extraction(asked.as_of)
        files = [sidep_file(layout, condition, extraction) for layout in layouts or names()]
        for file in files:
            both = dict.fromkeys((file, notes_of(file)))
            with ExitStack() as stack:
                written = {each: stack.enter_context(whole(out / each.name)) for each in both}
                for each, to in written.items():
                    to.write(each.head.encode())
                async for table in file.tables(published):
                    for each, to in written.items():
                        to.write((await each.part(table)).encode())
            sys.stdout.writelines(f"{out / each.name}\n" for each in both)
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


async def retell(data_dir: Path, asker: Asker, condition: str, day: str) -> int:
    """Let the week or month of a day be published anew by the next extraction."""
    known_condition(condition)
    async with instance_at(data_dir) as hub, lent(hub.pool) as connection:
        block = await operating.retell(connection, asker, condition, day)
    sys.stdout.write(f"{condition}, {block}: the next extraction publishes it anew\n")
    return 0


async def verify(data_dir: Path, *, as_json: bool) -> int:
    """Count every kept row anew and compare; 1 where cells differ."""
    async with instance_at(data_dir, role="indicators") as hub, lent(hub.pool) as connection:
        found = await operating.verify(connection, page=hub.settings.indicators_verify_rows)
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
