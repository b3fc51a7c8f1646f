"""Figures as they are written page by page: no more of them is held than one page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from ops.printing import table_of
from schemas.errors import PermanentError
from schemas.figures import DelayFigure, Figure

from .answering import Answer
from .as_csv import rows_as_csv
from .columns import FIGURE_COLUMNS, figure_rows, flags_text

MOST_PRINTED: Final = 5_000
"""Figures of a table for eyes; it is laid out whole."""
_COLUMNS: Final = (
    "label", "area", "age_class", "sex", "tests", "persons", "cases", "incidence", "positivity",
    "completeness",
)  # fmt: skip


class Form(Protocol):
    """What pages are written as."""

    def page(self, answer: Answer) -> None:
        """Write what comes next."""
        ...

    def end(self) -> None:
        """Write what stands at the end."""
        ...


def form_of(name: str, file: BinaryIO) -> Form:
    """Return what writes `table`, `csv`, `json` or `parquet` into a file."""
    return _FORMS[name](file)


@contextmanager
def whole(path: Path | None) -> Iterator[BinaryIO]:
    """Give a file to write, that has its name once it is there whole; without one the screen."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as written:
            yield written
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def table_row(figure: Figure | DelayFigure, columns: Sequence[str]) -> tuple[object, ...]:
    """Return a row of a table for eyes, its flags last; `-` where a value is withheld."""
    values = (getattr(figure, name) for name in columns)
    return (*("-" if value is None else value for value in values), flags_text(figure))


class _AsTable:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._about = ""
        self._figures: list[Figure] = []

    def page(self, answer: Answer) -> None:
        if len(self._figures) + len(answer.figures) > MOST_PRINTED:
            raise PermanentError(
                "too_many_to_print",
                f"a table shows {MOST_PRINTED:,} figures: give from and to, or --format csv",
            )
        extraction = answer.extraction
        self._about = f"extraction {extraction.number} of {extraction.at.isoformat()}\n"
        self._figures += answer.figures

    def end(self) -> None:
        rows = [table_row(figure, _COLUMNS) for figure in self._figures]
        text = table_of((*_COLUMNS, "flags"), rows) if rows else "nothing is published of this\n"
        self._file.write((self._about + text).encode())


class _AsCsv:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._has_head = False

    def page(self, answer: Answer) -> None:
        rows = figure_rows(answer.figures, answer.extraction)
        text = rows_as_csv(rows, head=not self._has_head)
        self._file.write(text.encode())
        self._has_head = True

    def end(self) -> None:
        pass


class _AsJson:
    """One object, as HTTP answers it, however many pages."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._between = b""

    def page(self, answer: Answer) -> None:
        if not self._between:
            extraction = msgspec.json.encode(answer.extraction)
            condition = msgspec.json.encode(answer.condition)
            self._file.write(
                b'{"extraction":%b,"condition":%b,"figures":[' % (extraction, condition)
            )
        for figure in answer.figures:
            self._file.write(self._between + msgspec.json.encode(figure))
            self._between = b",\n"
        self._between = self._between or b"\n"

    def end(self) -> None:
        self._file.write(b"]}\n")


class _AsParquet:
    def __init__(self, file: BinaryIO) -> None:
        from .as_parquet import RowsFile  # noqa: PLC0415 - slow to load

        self._written = RowsFile(file, FIGURE_COLUMNS)

    def page(self, answer: Answer) -> None:
        self._written.page(figure_rows(answer.figures, answer.extraction))

    def end(self) -> None:
        self._written.close()


_FORMS: Final[dict[str, Callable[[BinaryIO], Form]]] = {
    "table": _AsTable,
    "csv": _AsCsv,
    "json": _AsJson,
    "parquet": _AsParquet,
}
