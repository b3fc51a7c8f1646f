"""An event as one line: NDJSON, a row of CSV, or columns for the eye."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from ops.checking.shapes import for_terminal
from routing.streams import encode_line
from schemas.events import StreamEvent
from schemas.topics import Stream

from .tables import TABLES, Column, Kind, table_of_rule

JOINER: Final = " | "
"""Between the texts of a field that holds several, in CSV."""


class Lines(Protocol):
    """Writes events one a line."""

    def head(self) -> bytes:
        """Return what stands before the first line."""
        ...

    def line(self, event: StreamEvent) -> bytes:
        """Return the line of an event."""
        ...

    def end(self, cursor: str) -> bytes:
        """Return what says where to read on, behind all that a filter kept back."""
        ...


def lines_of(form: str, stream: Stream) -> Lines:
    """Return the writer of a form: ndjson, csv or table."""
    if form == "csv":
        return CsvLines(stream)
    return TableLines(stream) if form == "table" else NdjsonLines()


class NdjsonLines:
    """The event as it is, with its cursor."""

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def line(self, event: StreamEvent) -> bytes:
        """Return the event as JSON."""
        return encode_line(event)

    def end(self, cursor: str) -> bytes:
        """Return a line with a cursor alone, as over HTTP."""
        return msgspec.json.encode({"cursor": cursor}) + b"\n"


class CsvLines:
    """Header and body side by side (RFC 4180); one head for all kinds of body of a stream.

    Empty: null, or no such field in this kind of body, which `record` tells. `cursor` comes last.
    """

    def __init__(self, stream: Stream) -> None:
        tables = TABLES[stream]
        names = dict.fromkeys(column.name for table in tables for column in table.columns)
        self._columns: dict[str, Column] = {
            column.name: column for table in reversed(tables) for column in table.columns
        }
        self._record = len(tables) > 1
        self._names = [*(["record"] if self._record else []), *names, "cursor"]
        self._buffer = io.StringIO(newline="")
        self._writer = csv.writer(self._buffer, lineterminator="\r\n")

    def head(self) -> bytes:
        """Return the names of the columns."""
        return self._row(self._names)

    def line(self, event: StreamEvent) -> bytes:
        """Return the row of an event."""
        held = _fields(event)
        return self._row([_cell(self._columns.get(name), held.get(name)) for name in self._names])

    def end(self, cursor: str) -> bytes:  # noqa: ARG002
        """Nothing: each line is a row."""
        return b""

    def _row(self, cells: Sequence[str]) -> bytes:
        self._writer.writerow(cells)
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()


_WIDTHS: Final[Mapping[str, int]] = {
    "emitted_at": 19, "kind": 9, "reason": 16, "report_id": 36, "condition": 26, "result": 13,
    "age_class": 3, "sex": 3, "residence_department": 4, "sampled_on": 10, "sampled_at": 25,
    "new_case": 5,
}  # fmt: skip
_TITLES: Final[Mapping[str, str]] = {
    "age_class": "age", "residence_department": "dep.", "new_case": "new",
}  # fmt: skip
_SHOWN: Final[Mapping[Stream, tuple[str, ...]]] = {
    Stream.PUBLIC_HEALTH: (
        "emitted_at", "kind", "condition", "result", "sampled_on", "age_class", "sex",
        "residence_department", "new_case",
    ),
    Stream.CONTACT_TRACING: (
        "emitted_at", "kind", "reason", "condition", "result", "sampled_at", "report_id",
    ),
    Stream.DOSSIER: ("emitted_at", "kind", "reason", "report_id"),
}  # fmt: skip


class TableLines:
    """A few columns of fixed width: what happens, for the eye. It shows nobody's name."""

    def __init__(self, stream: Stream) -> None:
        self._shown = _SHOWN[stream]

    def head(self) -> bytes:
        """Return the titles."""
        return self._columns({name: _TITLES.get(name, name) for name in self._shown})

    def line(self, event: StreamEvent) -> bytes:
        """Return the row of an event."""
        held = _fields(event)
        cells = {name: _plain(held.get(name)) for name in self._shown}
        cells["emitted_at"] = event.emitted_at.strftime("%Y-%m-%d %H:%M:%S")
        return self._columns(cells)

    def end(self, cursor: str) -> bytes:  # noqa: ARG002
        """Nothing: it is for the eye."""
        return b""

    def _columns(self, cells: Mapping[str, str]) -> bytes:
        wide = (for_terminal(cells[name])[: _WIDTHS[name]].ljust(_WIDTHS[name]) for name in cells)
        return ("  ".join(wide).rstrip() + "\n").encode()


def _fields(event: StreamEvent) -> dict[str, Any]:
    """Return header, body and cursor by name; the dossier's body is one text."""
    held: dict[str, Any] = msgspec.structs.asdict(event)
    body = held.pop("body")
    held["record"] = table_of_rule(event.stream, event.rule).name
    if body is None:
        return held
    if event.stream is Stream.DOSSIER:
        return held | {"body": bytes(body).decode()}
    fields: dict[str, Any] = msgspec.json.decode(body)
    return held | fields


def _cell(column: Column | None, value: Any) -> str:
    if value is None or value is msgspec.UNSET:
        return ""
    if column is not None and column.kind is Kind.TEXTS:
        return JOINER.join(value)
    return _plain(value)


def _plain(value: Any) -> str:
    if value is None or value is msgspec.UNSET:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(msgspec.to_builtins(value))
