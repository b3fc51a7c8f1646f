"""Rows of a mapping table as people give them: checked, completed, read from CSV and written. Pure.

A target may be one of our own result words (`positive`, `negative`, `indeterminate`, `unusable`);
it then stands for a SNOMED CT code.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

import msgspec

from ingest.codes import CodeKind, LocalCode, fold_local
from schemas.codes import Result, is_loinc, looked_for, organism_of, result_of
from schemas.errors import PermanentError
from schemas.report import Coded, Observation

COLUMNS: Final = ("kind", "local", "local_system", "code", "system", "text")
MAX_ROWS: Final = 5_000
MAX_BYTES: Final = 200
MAX_FILE_BYTES: Final = 4 * 1024 * 1024

RESULT_WORDS: Final = {
    Result.POSITIVE: ("10828004", "Positive"),
    Result.NEGATIVE: ("260385009", "Negative"),
    Result.INDETERMINATE: ("82334004", "Indeterminate"),
    Result.UNUSABLE: ("125154007", "Specimen unsatisfactory for evaluation"),
}
_WORDS: Final = ", ".join(RESULT_WORDS)


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a line of a file, and what to do; `line` counts from 1, with the head."""

    line: int
    text: str


class CodeFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds: its rows, what makes it unusable, and what is worth knowing."""

    rows: tuple[LocalCode, ...]
    errors: tuple[Complaint, ...]
    warnings: tuple[Complaint, ...]


def row_of(  # noqa: PLR0917 - the columns of the CSV, in their order
    kind: str, local: str, local_system: str, code: str, system: str, text: str
) -> LocalCode:
    """Return a row whose every part is usable, completed where a target is a result word.

    Raises:
        PermanentError: `bad_code`: which part, and what to do.
    """
    kind, local, local_system, code, system, text = (
        part.strip() for part in (kind, local, local_system, code, system, text)
    )
    if kind not in {CodeKind.RESULT, CodeKind.TEST}:
        raise PermanentError("bad_code", "kind is `result` or `test`")
    if not fold_local(local):
        raise PermanentError("bad_code", "local is empty: give the code or text as it is sent")
    for name, part in (("local", local), ("local_system", local_system), ("code", code),
                       ("system", system), ("text", text)):  # fmt: skip
        if len(part.encode()) > MAX_BYTES or not part.isprintable():
            raise PermanentError("bad_code", f"{name} is printable, at most {MAX_BYTES} bytes")
    if not code:
        raise PermanentError("bad_code", "code is empty: give the standard code it stands for")
    if kind == CodeKind.RESULT and not system:
        code, system, text = _result_word(code, text)
    if kind == CodeKind.TEST:
        system = system or "LN"
        if is_loinc(system) and not loinc_key_is_right(code):
            raise PermanentError("bad_code", "code is no LOINC code: its check digit is wrong")
    return LocalCode(
        kind=CodeKind(kind), local=local, local_system=local_system, code=code, system=system,
        text=text,
    )  # fmt: skip


def doubt_about(row: LocalCode) -> str:
    """Say why a row will have less effect than its author may think; empty where it will not."""
    target = Coded(row.code, row.text, row.system)
    if row.kind is CodeKind.TEST:
        if looked_for(target) is None:
            return "no tracked condition is tested by this code: it reaches the dossier only"
        return ""
    seen = Observation(position=1, code=Coded(), value_type="CWE", value=row.text, coded=target)
    if result_of(seen) is None and organism_of(seen) is None:
        return (
            f"this code is no organism of ours, and none of {_WORDS}: it reaches the dossier only"
        )
    return ""


def loinc_key_is_right(code: str) -> bool:
    """Say whether a text is a LOINC code: digits, a hyphen and the check digit (modulo 10).

    Source: LOINC Users' Guide, appendix on check digits (Luhn).
    """
    number, _, key = code.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) <= 7 and len(key) == 1):
        return False
    total = 0
    for place, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return key == str(-total % 10)


def read_csv(content: bytes) -> CodeFile:
    """Read a CSV with the head `kind,local,local_system,code,system,text`. Never raises.

    Comma or semicolon; UTF-8, with or without a byte order mark. `local_system`, `system` and
    `text` may be missing.
    """
    if len(content) > MAX_FILE_BYTES:
        return _unusable(1, "the file is larger than 4 MB: cut it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return _unusable(line, "the file is not UTF-8: save it as UTF-8")
    head = text.partition("\n")[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    wrong = sorted(set(names) - set(COLUMNS))
    if not {"kind", "local", "code"} <= set(names) or wrong:
        return _unusable(1, f"the first line must be {','.join(COLUMNS)}")
    reader.fieldnames = names
    return _rows(reader)


def write_csv(rows: Iterable[LocalCode]) -> str:
    """Return rows as `read_csv` reads them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.kind.value, row.local, row.local_system, row.code, row.system,
                         row.text])  # fmt: skip
    return out.getvalue()


def _rows(reader: csv.DictReader[str]) -> CodeFile:
    rows: dict[tuple[CodeKind, str, str], LocalCode] = {}
    lines: dict[tuple[CodeKind, str, str], int] = {}
    errors: list[Complaint] = []
    warnings: list[Complaint] = []
    try:
        for given in reader:
            line = reader.line_num
            if None in given:
                errors.append(Complaint(line=line, text="more columns than the first line names"))
                continue
            try:
                row = row_of(*(given.get(name) or "" for name in COLUMNS))
            except PermanentError as error:
                errors.append(Complaint(line=line, text=error.remedy))
                continue
            if row.key in rows and rows[row.key] != row:
                first = lines[row.key]
                text = f"line {first} says otherwise of the same local code: keep one of them"
                errors.append(Complaint(line=line, text=text))
                continue
            rows[row.key], lines[row.key] = row, lines.get(row.key, line)
            doubt = doubt_about(row)
            if doubt:
                warnings.append(Complaint(line=line, text=doubt))
            if len(rows) > MAX_ROWS:
                errors.append(Complaint(line=line, text=f"a table has at most {MAX_ROWS} rows"))
                break
    except csv.Error:
        errors.append(Complaint(line=reader.line_num + 1, text="no CSV: look at its quotes"))
    return CodeFile(rows=tuple(rows.values()), errors=tuple(errors), warnings=tuple(warnings))


def _result_word(code: str, text: str) -> tuple[str, str, str]:
    try:
        target, display = RESULT_WORDS[Result(code.lower())]
    except ValueError:
        raise PermanentError(
            "bad_code", f"name the coding system of the code (SCT ...), or give one of {_WORDS}"
        ) from None
    return target, "SCT", text or display


def _unusable(line: int, text: str) -> CodeFile:
    return CodeFile(rows=(), errors=(Complaint(line=line, text=text),), warnings=())
