"""What a laboratory's own codes and texts mean: its mapping table, applied to a message. Pure.

A local code or text is compared whole, after folding; nothing is ever searched inside a text, for
`Non détecté` holds `détecté`. The standard code comes first, the local one stays beside it as
`alternate_*`; the raw message is not touched. The table belongs to a version of the laboratory's
profile, so the same bytes and version map alike for ever.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Final

import msgspec

from schemas.report import Coded, LabReport, MappedMessage, Observation

_MAX_LOCAL_CHARACTERS: Final = 200


class CodeKind(StrEnum):
    """What a local code stands for: a result value (OBX-5) or a test (OBX-3, OBR-4)."""

    RESULT = "result"
    TEST = "test"


class LocalCode(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a mapping table.

    `local` is a code or a text as the laboratory writes it; with an empty `local_system` it is
    meant whatever the coding system, and also as plain text.
    """

    kind: CodeKind
    local: str
    local_system: str = ""
    code: str
    system: str
    text: str = ""

    @property
    def key(self) -> tuple[CodeKind, str, str]:
        """What makes two rows the same: kind, folded local code, folded local system."""
        return self.kind, fold_local(self.local), fold_local(self.local_system)


def fold_local(text: str) -> str:
    """Return a local code or text as it is compared: no accents, no case, single blanks.

    Punctuation stays: `+` and `-`, `A` and `A*` are not the same.
    """
    if not text.isascii():
        plain = unicodedata.normalize("NFD", text.replace("\u2019", "'"))
        text = "".join(each for each in plain if not unicodedata.combining(each))
    return " ".join(text.split()).casefold()


_fold_system: Final = lru_cache(maxsize=4_096)(fold_local)
"""The same for coding systems, which are few and never a value."""


class CodeTable:
    """A laboratory's mapping table.

    Args:
        rows: Each with a key of its own; of two with one key the later counts.
    """

    def __init__(self, rows: Iterable[LocalCode] = ()) -> None:
        self._rows = {row.key: row for row in rows}
        self._tables: dict[tuple[CodeKind, str], dict[str, LocalCode]] = {}
        for (kind, folded, system), row in self._rows.items():
            self._tables.setdefault((kind, system), {})[folded] = row

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeTable) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(frozenset(self._rows))

    @property
    def rows(self) -> tuple[LocalCode, ...]:
        """The rows, in the order of their keys."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    @cached_property
    def maps_tests(self) -> bool:
        """Whether any row is about a test."""
        return any(kind is CodeKind.TEST for kind, _, _ in self._rows)

    def of_text(self, kind: CodeKind, text: str) -> LocalCode | None:
        """Return the row of a plain text, which has no coding system."""
        plain = self._tables.get((kind, ""))
        if not plain or not text or len(text) > _MAX_LOCAL_CHARACTERS:
            return None
        return plain.get(fold_local(text))

    def of_coded(self, kind: CodeKind, coded: Coded) -> Coded | None:
        """Return the standard code with the local one beside it; None where no row is about it.

        The first triple speaks before the alternate one, a row with the coding system before one
        without, the code before its text. Of three triples the one that no row is about goes.
        """
        for code, text, system in (
            (coded.code, coded.text, coded.system),
            (coded.alternate_code, coded.alternate_text, coded.alternate_system),
        ):
            if not (code or text):
                continue
            named = self._tables.get((kind, _fold_system(system))) if system else None
            plain = self._tables.get((kind, ""))
            if not (named or plain):
                continue
            row = _first(code, text, named or {}, plain or {})
            if row is not None:
                return Coded(row.code, row.text, row.system, code, text, system)
        return None


def _first(
    code: str, text: str, named: Mapping[str, LocalCode], plain: Mapping[str, LocalCode]
) -> LocalCode | None:
    folded = [
        fold_local(part) if len(part) <= _MAX_LOCAL_CHARACTERS else "" for part in (code, text)
    ]
    return (
        named.get(folded[0]) or named.get(folded[1]) or plain.get(folded[0]) or plain.get(folded[1])
    )


NO_CODES: Final = CodeTable()


def apply_codes(mapped: MappedMessage, table: CodeTable) -> MappedMessage:
    """Return the message with the standard codes of a laboratory's table; the same where none is.

    Args:
        mapped: What the mapping made of the message.
        table: Of the laboratory, at one version of its profile.
    """
    if not table:
        return mapped
    reports = tuple([_report(report, table) for report in mapped.reports])
    if all(new is old for new, old in zip(reports, mapped.reports, strict=True)):
        return mapped
    return msgspec.structs.replace(mapped, reports=reports)


def _report(report: LabReport, table: CodeTable) -> LabReport:
    seen = tuple([_observation(each, table) for each in report.observations])
    code = table.of_coded(CodeKind.TEST, report.code) if table.maps_tests else None
    same = all(new is old for new, old in zip(seen, report.observations, strict=True))
    if code is None and same:
        return report
    return msgspec.structs.replace(report, code=code or report.code, observations=seen)


def _observation(seen: Observation, table: CodeTable) -> Observation:
    code = table.of_coded(CodeKind.TEST, seen.code) if table.maps_tests else None
    value = _value(seen, table)
    if code is None and value is None:
        return seen
    return msgspec.structs.replace(seen, code=code or seen.code, coded=value or seen.coded)


def _value(seen: Observation, table: CodeTable) -> Coded | None:
    """Return the standard code of a result value; a number is never one."""
    if seen.coded is not None:
        return table.of_coded(CodeKind.RESULT, seen.coded)
    if seen.number or not seen.value:
        return None
    row = table.of_text(CodeKind.RESULT, seen.value)
    if row is None:
        return None
    return Coded(row.code, row.text, row.system, "", seen.value, "")
