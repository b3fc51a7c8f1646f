"""A CSV file of anybody's, row by row: bounded memory, and errors that name the row.

UTF-8 (with or without a mark), else Windows-1252; comma, semicolon, tab or bar between columns.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.errors import PermanentError

MAX_FIELD_CHARACTERS: Final = 1_000_000
_SEPARATORS: Final = ",;\t|"
_PROBE_BYTES: Final = 65_536


class Table:
    """The rows of a CSV file; may be read several times.

    Args:
        path: A regular file.

    Raises:
        PermanentError: It cannot be read, or has no first row.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoding = _encoding(path)
        head = self._open_head()
        self._separator = max(_SEPARATORS, key=head.count) if head else ","
        first = next(self._rows(), None)
        if first is None or not any(cell.strip() for cell in first[1]):
            raise PermanentError("file_empty", "the first row names the columns")
        self.header = first[1]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank, with the number of its last line.

        Raises:
            PermanentError: A row cannot be read, or is shorter or longer than the header.
        """
        rows = self._rows()
        next(rows, None)
        width = len(self.header)
        for line, row in rows:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if len(row) < width or any(cell.strip() for cell in row[width:]):
                raise PermanentError(
                    "row_width_wrong",
                    f"line {line} has {len(row)} columns, the header {width}: mend it, or quote "
                    "values that hold the separator",
                )
            yield line, row

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        try:
            with self._path.open(encoding=self._encoding, errors="strict", newline="") as file:
                reader = csv.reader(
                    (line.replace("\x00", "") for line in file),
                    delimiter=self._separator,
                    skipinitialspace=True,
                )
                for row in reader:
                    yield reader.line_num, row
        except csv.Error:
            raise PermanentError(
                "row_unreadable",
                f"line {reader.line_num}: a quote is not closed, or a value is longer than "
                f"{MAX_FIELD_CHARACTERS:,} characters",
            ) from None
        except UnicodeDecodeError:
            raise PermanentError("file_charset", "save the file as UTF-8") from None
        except OSError:
            raise PermanentError("file_unreadable", "give a file that can be read") from None

    def _open_head(self) -> str:
        with self._path.open(encoding=self._encoding, errors="replace", newline="") as file:
            return file.readline(_PROBE_BYTES)


def _encoding(path: Path) -> str:
    """Return how a file is written: UTF-8 if all of it is, else Windows-1252's superset."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16"
            decoder.decode(start)
            while chunk := file.read(_PROBE_BYTES):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "iso8859-15"
    except OSError:
        raise PermanentError("file_unreadable", "give a file that can be read") from None
    return "utf-8-sig"
