"""`labdispatch indicators delays`: what was told of delays, printed or written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ops.looking import instance_at
from ops.printing import table_of
from schemas.errors import PermanentError

from .answering import Published
from .as_csv import rows_as_csv
from .asking import Asked, known_condition
from .columns import DELAY_COLUMNS, delay_rows
from .commands import pairs_of, published_of
from .delayed import Delayed, read_delays_asked
from .writing import MOST_PRINTED, table_row, whole

_COLUMNS: Final = (
    "label", "area", "tests", "within_1", "within_2", "within_3", "median_days", "p90_days",
    "by_reception_tests", "imputed_tests",
)  # fmt: skip


async def delays(
    data_dir: Path, condition: str, where: Sequence[str], form: str, out: Path | None
) -> int:
    """Print delays as a table, JSON or CSV, or write Parquet: page by page; 1 where none are told.

    Raises:
        PermanentError: More than a table shows (`too_many_to_print`), or as `Published` says.
    """
    known_condition(condition)
    asked = read_delays_asked(pairs_of(where))
    with whole(out) as file:
        async with instance_at(data_dir) as hub:
            return await _FORMS[form](_pages(published_of(hub), condition, asked), file)


async def _pages(published: Published, condition: str, asked: Asked) -> AsyncIterator[Delayed]:
    """Give all pages of an answer, of one extraction."""
    while True:
        answer = await published.delays(condition, asked)
        yield answer
        if answer.next is None:
            return
        asked = msgspec.structs.replace(asked, after=int(answer.next), as_of=answer.extraction.at)


async def _as_table(pages: AsyncIterator[Delayed], file: BinaryIO) -> int:
    rows: list[tuple[object, ...]] = []
    about = ""
    async for answer in pages:
        made = answer.extraction
        about = f"extraction {made.number} of {made.at.isoformat()}\n"
        if len(rows) + len(answer.delays) > MOST_PRINTED:
            raise PermanentError(
                "too_many_to_print",
                f"a table shows {MOST_PRINTED:,} lines: give from and to, or --format csv",
            )
        rows += [table_row(each, _COLUMNS) for each in answer.delays]
    text = table_of((*_COLUMNS, "flags"), rows) if rows else "no delays are told of this\n"
    file.write((about + text).encode())
    return 0 if rows else 1


async def _as_csv(pages: AsyncIterator[Delayed], file: BinaryIO) -> int:
    found, is_first = 0, True
    async for answer in pages:
        text = rows_as_csv(delay_rows(answer.delays, answer.extraction), head=is_first)
        file.write(text.encode())
        found, is_first = found + len(answer.delays), False
    return 0 if found else 1


async def _as_json(pages: AsyncIterator[Delayed], file: BinaryIO) -> int:
    """One object, as HTTP answers it, however many pages."""
    found, between = 0, b""
    async for answer in pages:
        if not between:
            extraction = msgspec.json.encode(answer.extraction)
            condition = msgspec.json.encode(answer.condition)
            file.write(b'{"extraction":%b,"condition":%b,"delays":[' % (extraction, condition))
        for each in answer.delays:
            file.write(between + msgspec.json.encode(each))
            between = b",\n"
        between = between or b"\n"
        found += len(answer.delays)
    file.write(b"]}\n")
    return 0 if found else 1


async def _as_parquet(pages: AsyncIterator[Delayed], file: BinaryIO) -> int:
    from .as_parquet import RowsFile  # noqa: PLC0415 - slow to load

    found, written = 0, RowsFile(file, DELAY_COLUMNS)
    async for answer in pages:
        written.page(delay_rows(answer.delays, answer.extraction))
        found += len(answer.delays)
    written.close()
    return 0 if found else 1


_FORMS: Final = {"table": _as_table, "csv": _as_csv, "json": _as_json, "parquet": _as_parquet}
