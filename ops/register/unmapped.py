"""Which local codes and values no table knows, and which of them may be shown. Pure.

What is listed is read by people who look after tables, not after patients: so personal data fails
closed. Shown are codes of a coding system, and short texts without a digit; a word that is also a
name in the same message withholds the whole value. What is withheld is counted, never kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from ingest.codes import CodeKind, fold_local
from schemas.codes import (
    analysis_in,
    is_loinc,
    is_understood,
    looked_for,
    organism_of,
    result_of,
)
from schemas.patient import Phi
from schemas.report import Coded, LabReport, MappedMessage, Observation, Practitioner

MAX_TEXT_CHARACTERS: Final = 40
MAX_TEXT_WORDS: Final = 4
MAX_CODE_CHARACTERS: Final = 24
MAX_CODE_DIGITS: Final = 9
"""A date has 8 digits, but no coding system; a telephone number has 10 and an INS 15."""

_TEXT: Final = re.compile(r"[^\W\d_](?:[^\W\d_]|[ '’()+/,.:-])*|[+-]{1,4}")
_CODE: Final = re.compile(r"[A-Za-z0-9+][A-Za-z0-9_.:+/-]*", re.ASCII)
_WORD: Final = re.compile(r"[^\W\d_]+")
_NO_VALUE_TYPES: Final = frozenset({"DT", "TM", "TS", "DTM", "ED", "RP", "NM", "SN"})


class LocalValue(Phi, frozen=True, array_like=True):
    """A local code or text as it may be shown to whoever looks after the tables."""

    kind: CodeKind
    code: str = ""
    text: str = ""
    system: str = ""

    @property
    def key(self) -> bytes:
        """What makes two values the same, however they are written."""
        parts = (self.kind.value, *map(fold_local, (self.code, self.text, self.system)))
        return "\x1f".join(parts).encode()


class Unmapped(Phi, frozen=True):
    """The values of one message that no table knows, each once with its number."""

    values: dict[LocalValue, int]
    withheld: int = 0


def unmapped_of(mapped: MappedMessage) -> Unmapped:
    """Return the values of a message that neither its laboratory's table nor ours knows.

    A result value counts where the test is for a tracked condition, or is itself local; a test
    counts where neither of its codes is LOINC.
    """
    found: Counter[LocalValue] = Counter()
    withheld = 0
    names: frozenset[str] | None = None
    for value, is_tracked in _candidates(mapped):
        names = _names(mapped) if names is None else names
        shown = _shown(value, names)
        if shown is not None:
            found[shown] += 1
        elif is_tracked:
            withheld += 1
    return Unmapped(values=dict(found), withheld=withheld)


def text_may_be_shown(text: str) -> bool:
    """Say whether a text is short, of few words and without a digit."""
    return (
        0 < len(text) <= MAX_TEXT_CHARACTERS
        and len(text.split()) <= MAX_TEXT_WORDS
        and _TEXT.fullmatch(text) is not None
    )


def code_may_be_shown(code: str, system: str) -> bool:
    """Say whether a code of a named coding system looks like one and like no number of a person."""
    return (
        bool(system)
        and 0 < len(code) <= MAX_CODE_CHARACTERS
        and _CODE.fullmatch(code) is not None
        and sum(map(str.isdigit, code)) <= MAX_CODE_DIGITS
    )


def _candidates(mapped: MappedMessage) -> Iterator[tuple[LocalValue, bool]]:
    for report in mapped.reports:
        if not report.observations and _is_local(report.code):
            yield _value(CodeKind.TEST, report.code), True
        for seen in report.observations:
            is_local = _is_local(seen.code)
            if is_local:
                yield _value(CodeKind.TEST, seen.code), True
            if seen.number or seen.value_type in _NO_VALUE_TYPES or not seen.value:
                continue
            analysis = analysis_in(seen)
            if analysis is not None:
                if not is_understood(analysis, seen):
                    yield _result(seen), True
            elif is_local and result_of(seen) is None and organism_of(seen) is None:
                yield _result(seen), False


def _is_local(code: Coded) -> bool:
    return (
        bool(code.code or code.text)
        and not (is_loinc(code.system) or is_loinc(code.alternate_system))
        and looked_for(code) is None
    )


def _result(seen: Observation) -> LocalValue:
    if seen.coded is None:
        return LocalValue(CodeKind.RESULT, "", " ".join(seen.value.split()), "")
    return _value(CodeKind.RESULT, seen.coded)


def _value(kind: CodeKind, coded: Coded) -> LocalValue:
    if coded.code or coded.text:
        return LocalValue(kind, coded.code, coded.text, coded.system)
    return LocalValue(kind, coded.alternate_code, coded.alternate_text, coded.alternate_system)


def _shown(value: LocalValue, names: frozenset[str]) -> LocalValue | None:
    """Return what of a value may be shown, None where that is nothing."""
    text = value.text if text_may_be_shown(value.text) and not _has(value.text, names) else ""
    if code_may_be_shown(value.code, value.system):
        code = "" if _has(value.code, names) else value.code
    else:
        # A code without a system is a text that somebody put there.
        fits = text_may_be_shown(value.code) and not _has(value.code, names)
        code = value.code if fits else ""
    if value.code and not code:
        return None
    system = value.system if _system_may_be_shown(value.system) else ""
    return LocalValue(value.kind, code, text, system) if code or text else None


def _system_may_be_shown(system: str) -> bool:
    return len(system) <= MAX_CODE_CHARACTERS * 2 and not re.search(r"\d{6,}", system)


def _has(text: str, names: frozenset[str]) -> bool:
    return not names.isdisjoint(_WORD.findall(fold_local(text)))


def _names(mapped: MappedMessage) -> frozenset[str]:
    """Return the folded words that name somebody in this message: its patient, its doctors."""
    traits = mapped.traits
    texts = [
        traits.birth_family,
        traits.birth_given,
        *traits.birth_givens,
        traits.used_family,
        traits.used_given,
        *traits.emails,
    ]
    if traits.address is not None:
        texts += [*traits.address.lines, traits.address.city]
    for doctor in filter(None, map(_prescriber, mapped.reports)):
        texts += [doctor.family, doctor.given]
    words = (word for text in texts for word in _WORD.findall(fold_local(text)))
    return frozenset(word for word in words if len(word) > 1)


def _prescriber(report: LabReport) -> Practitioner | None:
    return report.prescriber
