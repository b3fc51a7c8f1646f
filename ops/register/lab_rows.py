"""What somebody says about a laboratory: checked, and read from CSV. Pure.

One shape for the command line, HTTP and files: a part that is not said stays as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ingest.profile import luhn_holds
from schemas.errors import PermanentError

STATES: Final = ("onboarding", "live", "suspended")
PROFILES: Final = ("fr", "generic")
COLUMNS: Final = (
    "registry_id", "name", "state", "profile", "facilities", "subject", "rate_per_second", "burst",
    "daily_quota", "max_connections",
)  # fmt: skip
MAX_ROWS: Final = 20_000
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_FACILITIES: Final = 100
MAX_BYTES: Final = 200
MAX_SUBJECT_BYTES: Final = 1_000
NONE: Final = "none"
"""In a cell of a file: take away what is there."""

_INTEGERS: Final = {
    "burst": 1_000_000, "daily_quota": 1_000_000_000, "max_connections": 1_000_000,
}  # fmt: skip
LIMITS: Final = ("rate_per_second", *_INTEGERS)
_RATE: Final = 1_000_000.0


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a part of a line, and what to do; lines count from 1, with the head."""

    line: int
    column: str
    text: str


class LabRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about a laboratory; a part that is UNSET stays as it is, None is no limit."""

    registry_id: str
    line: int = 0
    name: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    facilities: tuple[str, ...] | UnsetType = UNSET
    """All of them, beside its own registry id."""
    subject: str | UnsetType = UNSET
    """A subject rule to add; one that is there already is no error."""
    rate_per_second: float | UnsetType | None = UNSET
    burst: int | UnsetType | None = UNSET
    daily_quota: int | UnsetType | None = UNSET
    max_connections: int | UnsetType | None = UNSET


class LabFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds: its rows, what makes it unusable, and what is worth knowing."""

    rows: tuple[LabRow, ...] = ()
    errors: tuple[Complaint, ...] = ()
    warnings: tuple[Complaint, ...] = ()


def normalised(registry_id: str) -> str:
    """Return a facility as doors know it (ingest/header.py): single blanks, capitals."""
    return " ".join(registry_id.split()).upper()


def tidy(row: LabRow) -> LabRow:
    """Return a row with its facilities as doors know them, each once, and without outer blanks."""
    changes: dict[str, object] = {"registry_id": normalised(row.registry_id)}
    if row.facilities is not UNSET:
        names = {normalised(each) for each in row.facilities}
        changes["facilities"] = tuple(sorted(names - {changes["registry_id"]}))
    for name in ("name", "subject"):
        given = getattr(row, name)
        if given is not UNSET:
            changes[name] = given.strip()
    return msgspec.structs.replace(row, **changes)


def faults_of(row: LabRow) -> list[Complaint]:
    """Name every part of a tidy row that cannot be taken; empty where all can."""
    found = []

    def complain(column: str, text: str) -> None:
        found.append(Complaint(line=row.line, column=column, text=text))

    facilities = () if row.facilities is UNSET else row.facilities
    for column, part in (("registry_id", row.registry_id),
                         *(("facilities", each) for each in facilities)):  # fmt: skip
        if not part:
            complain(column, "is empty: give the sending facility (MSH-4)")
        elif len(part.encode()) > MAX_BYTES or not part.isprintable() or "|" in part:
            complain(column, f"must be printable, without |, and at most {MAX_BYTES} bytes")
    if len(facilities) > MAX_FACILITIES:
        complain("facilities", f"a laboratory has at most {MAX_FACILITIES}")
    if row.name is not UNSET and (len(row.name.encode()) > MAX_BYTES or not _plain(row.name)):
        complain("name", f"must be printable and at most {MAX_BYTES} bytes")
    if row.state is not UNSET and row.state not in STATES:
        complain("state", f"must be one of {', '.join(STATES)}")
    if row.profile is not UNSET and row.profile not in PROFILES:
        complain("profile", f"must be one of {', '.join(PROFILES)}")
    if row.subject is not UNSET:
        complaint = subject_fault(row.subject)
        if complaint:
            complain("subject", complaint)
    if isinstance(row.rate_per_second, int | float) and not 0 < row.rate_per_second <= _RATE:
        complain("rate_per_second", f"must be more than 0 and at most {_RATE:,.0f}, or {NONE}")
    for column, most in _INTEGERS.items():
        number = getattr(row, column)
        if isinstance(number, int) and not 1 <= number <= most:
            complain(column, f"must be 1 to {most:,}, or {NONE}")
    return found


def doubts_about(row: LabRow) -> list[Complaint]:
    """Name what may not be meant: a FINESS whose check digit is wrong."""
    facilities = () if row.facilities is UNSET else row.facilities
    return [
        Complaint(
            line=row.line,
            column=column,
            text="looks like a FINESS whose check digit (Luhn) is wrong: compare it with the"
            " national list",
        )
        for column, part in (("registry_id", row.registry_id),
                             *(("facilities", each) for each in facilities))
        if len(part) == 9 and part.isascii() and part.isdigit() and not luhn_holds(part)
    ]  # fmt: skip


def subject_fault(subject: str) -> str:
    """Say why a text cannot be a subject rule; empty where it can."""
    if not subject or "=" not in subject:
        return "must be the whole subject as RFC 4514 writes it (CN=lab-7,O=Laboratory,C=FR)"
    if len(subject.encode()) > MAX_SUBJECT_BYTES or not subject.isprintable():
        return f"must be printable and at most {MAX_SUBJECT_BYTES} bytes"
    return ""


def checked(row: LabRow) -> LabRow:
    """Return a row tidy and usable.

    Raises:
        PermanentError: `bad_laboratory`, with every part that is wrong.
    """
    row = tidy(row)
    faults = faults_of(row)
    if faults:
        said = "; ".join(f"{each.column} {each.text}" for each in faults)
        raise PermanentError("bad_laboratory", said)
    return row


# -------------------------------------------------------------------------------- files


def read_csv(content: bytes) -> LabFile:
    """Read a CSV whose first line names its columns (COLUMNS, `registry_id` at least).

    Comma or semicolon; UTF-8, with or without a byte order mark. An empty cell leaves what is
    there; `none` takes facilities or a limit away; several facilities are separated by `+`. Never
    raises.
    """
    if len(content) > MAX_FILE_BYTES:
        return _unusable(1, f"the file is larger than {MAX_FILE_BYTES // 1024**2} MB: cut it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return _unusable(line, "the file is not UTF-8: save it as UTF-8")
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        wrong = set(names) - set(COLUMNS)
        if "registry_id" not in names or wrong or len(set(names)) != len(names):
            return _unusable(
                1, f"the first line names columns among {','.join(COLUMNS)}, each once"
            )
        given = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error:
        return _unusable(reader.line_num + 1, "no CSV: look at its quotes")
    if len(given) > MAX_ROWS:
        return _unusable(
            given[MAX_ROWS][0], f"a file has at most {MAX_ROWS:,} laboratories: cut it"
        )
    return _file(names, given)


def _file(names: Sequence[str], given: Sequence[tuple[int, list[str]]]) -> LabFile:
    rows: list[LabRow] = []
    errors: list[Complaint] = []
    warnings: list[Complaint] = []
    lines: dict[str, int] = {}
    for line, cells in given:
        if len(cells) > len(names):
            text = "more cells than the first line names: put quotes around a cell with a comma"
            errors.append(Complaint(line=line, column="", text=text))
            continue
        row, faults = _row(line, dict(zip(names, map(str.strip, cells), strict=False)))
        row = tidy(row)
        faults += faults_of(row)
        first = lines.setdefault(row.registry_id, line)
        if first != line and row.registry_id:
            text = f"stands in line {first} already: keep one of them"
            faults.append(Complaint(line=line, column="registry_id", text=text))
        errors += faults
        warnings += doubts_about(row)
        rows.append(row)
    return LabFile(rows=tuple(rows), errors=tuple(errors), warnings=tuple(warnings))


def _row(line: int, cells: dict[str, str]) -> tuple[LabRow, list[Complaint]]:
    faults: list[Complaint] = []
    parts: dict[str, object] = {}
    for column, cell in cells.items():
        if not cell:
            continue
        if column == "facilities":
            parts[column] = (
                () if cell.lower() == NONE else tuple(filter(str.strip, cell.split("+")))
            )
        elif column not in LIMITS:
            parts[column] = cell.lower() if column in {"state", "profile"} else cell
        elif cell.lower() == NONE:
            parts[column] = None
        else:
            try:
                parts[column] = float(cell) if column == "rate_per_second" else int(cell)
            except ValueError:
                text = f"must be a number, or {NONE}"
                faults.append(Complaint(line=line, column=column, text=text))
    parts.setdefault("registry_id", "")
    return msgspec.convert({"line": line, **parts}, LabRow), faults


def _plain(text: str) -> bool:
    return not text or text.isprintable()


def _unusable(line: int, text: str) -> LabFile:
    return LabFile(errors=(Complaint(line=line, column="", text=text),))
