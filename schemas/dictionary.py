"""What the types of the streams cannot say of their fields: units, codes, and when one is empty.

Held against types and patterns by tests/unit/test_dictionary.py: a field that may be null or empty
says when, and one that may not says nothing. Meanings are the docstrings below the fields. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec


class Word(msgspec.Struct, frozen=True):
    """What a field's values are.

    `codes` lists values, with their meaning where they do not say it themselves; `vocabulary` names
    the page or the standard with all of them.
    """

    empty: str = ""
    """When it is null, or an empty text, or an empty list; empty: never."""
    unit: str = ""
    codes: tuple[str, ...] = ()
    vocabulary: str = ""
    type: str = ""
    """In a reader's words, where the schema does not tell a text that is more than one."""


_CONDITIONS: Final = "[conditions](conditions.md)"
_LOINC: Final = "LOINC: [conditions](conditions.md)"
_NO_LOINC: Final = "the French screening, whose codes are not public: `method` says `screening`"
_TENS: Final = ("19", "29", "39", "49", "59", "69", "79", "89")
_RESULTS: Final = ("positive", "negative", "indeterminate", "unusable")
_STATUSES: Final = (
    "F final",
    "C corrected",
    "U final, unchanged",
    "P preliminary",
    "A partial",
    "X cancelled",
    "D deleted",
    "W wrong",
)
_KINDS: Final = "the kinds of [conditions](conditions.md): `rna`, `antigen`, `culture`, ..."
_PERIOD: Final = "half-year"
_DEPARTMENT: Final = "INSEE departments: 01 to 95, 2A, 2B, 971 to 989"
_COMMUNE: Final = "INSEE communes (COG)"
_FINESS: Final = "FINESS"
_NOT_SENT: Final = "the laboratory did not send it"
_ANONYMOUS: Final = "a condition that is declared anonymously"

HEADER: Final[Mapping[str, Word]] = {
    "event_id": Word(),
    "stream": Word(codes=("dossier", "contact-tracing", "public-health")),
    "partition": Word(),
    "seq": Word(),
    "report_id": Word(),
    "event_version": Word(),
    "kind": Word(codes=("published", "revised", "withdrawn")),
    "reason": Word(vocabulary="[streams](streams.md#an-event); more may come"),
    "realm": Word(codes=("test", "production")),
    "rule": Word(vocabulary="[rules](rules.md)"),
    "rule_version": Word(),
    "person_version": Word(),
    "emitted_at": Word(unit="UTC", type="time"),
    "part": Word(empty="always, in `dossier`", vocabulary=_CONDITIONS),
}

PUBLIC_HEALTH: Final[Mapping[str, Word]] = {
    "pseudonym": Word(empty="the key of its period was destroyed"),
    "pseudonym_period": Word(unit=_PERIOD),
    "age": Word(
        empty=f"the birth date is unknown, or after sampling; {_ANONYMOUS}", unit="completed years"
    ),
    "age_class": Word(
        empty="the age is unknown",
        codes=("09 0 to 9", *_TENS, "90 90 and more"),
    ),
    "sex": Word(codes=("M male", "F female", "U unknown, or another")),
    "residence_commune": Word(
        empty=f"neither commune nor postcode tells, or abroad; {_ANONYMOUS}", vocabulary=_COMMUNE
    ),
    "residence_department": Word(
        empty="neither commune nor postcode tells, or abroad",
        vocabulary=_DEPARTMENT,
    ),
    "residence_imputed": Word(),
    "laboratory_finess": Word(
        empty=f"the laboratory's number is another one; {_ANONYMOUS}", vocabulary=_FINESS
    ),
    "condition": Word(vocabulary=_CONDITIONS),
    "case_id": Word(empty="the analysis makes no case (antibodies)"),
    "line": Word(
        empty="there is no case",
        codes=("first the report that counts in its case", "second another of the case"),
    ),
    "test_code": Word(empty=_NO_LOINC, vocabulary=_LOINC),
    "method": Word(vocabulary=_KINDS),
    "result": Word(empty="a second line", codes=_RESULTS),
    "second_line_result": Word(empty="every row but a second line", codes=_RESULTS),
    "status": Word(codes=_STATUSES),
    "sampled_on": Word(unit="day"),
    "reported_on": Word(empty=_NOT_SENT, unit="day"),
    "received_on": Word(unit="day, UTC"),
    "record": Word(codes=("result",)),
    "sampled_on_imputed": Word(),
    "new_case": Word(empty="whatever is no positive first line of a kind that makes a case"),
    "recent_positive": Word(empty="second lines, and where there is no case"),
    "variant": Word(
        empty="nobody has found one, and every second line",
        codes=("A0B0C1 mutations screened for", "BA.2.86 a lineage"),
        vocabulary="[conditions](conditions.md)",
    ),
    "laboratory_department": Word(
        empty="neither its address nor its FINESS number tells", vocabulary=_DEPARTMENT
    ),
    "laboratory_commune": Word(
        empty=f"the laboratory's address does not give it; {_ANONYMOUS}", vocabulary=_COMMUNE
    ),
    "pseudonym_next": Word(
        empty="sampled before the last 90 days of a period, or the key was destroyed"
    ),
    "pseudonym_next_period": Word(
        empty="sampled before the last 90 days of a period", unit=_PERIOD
    ),
    "dates": Word(codes=("day", "month the first day of it stands for all")),
}

PSEUDONYM_REPLACED: Final[Mapping[str, Word]] = {
    "old": Word(),
    "new": Word(),
    "period": Word(unit=_PERIOD),
    "record": Word(codes=("pseudonym_replaced",)),
}

CONTACT_TRACING: Final[Mapping[str, Word]] = {
    "case_id": Word(),
    "condition": Word(vocabulary=_CONDITIONS),
    "result": Word(codes=("positive",)),
    "status": Word(codes=_STATUSES),
    "birth_family": Word(empty=_NOT_SENT),
    "birth_given": Word(empty=_NOT_SENT),
    "used_family": Word(empty=_NOT_SENT),
    "birth_date": Word(empty=_NOT_SENT, unit="day, month or year"),
    "sex": Word(empty=_NOT_SENT, codes=("M male", "F female"), vocabulary="HL7 table 0001"),
    "phones": Word(empty=_NOT_SENT),
    "emails": Word(empty=_NOT_SENT),
    "address_lines": Word(empty=_NOT_SENT),
    "postcode": Word(empty=_NOT_SENT),
    "city": Word(empty=_NOT_SENT),
    "sampled_at": Word(empty=_NOT_SENT, unit="year to second, with its offset if sent"),
    "reported_at": Word(empty=_NOT_SENT, unit="year to second, with its offset if sent"),
    "laboratory_name": Word(empty="neither message nor register gives it"),
    "laboratory_finess": Word(empty="the laboratory's number is another one", vocabulary=_FINESS),
    "prescriber_rpps": Word(empty="the prescriber's number is another one", vocabulary="RPPS"),
    "prescriber_name": Word(empty=_NOT_SENT),
    "test_code": Word(vocabulary=_LOINC),
    "method": Word(vocabulary=_KINDS),
    "variant": Word(
        empty="nobody has found one",
        codes=("A0B0C1 mutations screened for", "BA.2.86 a lineage"),
        vocabulary="[conditions](conditions.md)",
    ),
}

_WITHHELD: Final = "withheld (`suppressed`), or not known"
_SMALL: Final = "the area is not small"
_CLASSES: Final = "[indicators](indicators.md)"

DELAY_FIGURE: Final[Mapping[str, Word]] = {
    "condition": Word(vocabulary=_CONDITIONS),
    "area": Word(codes=("france", "region:84", "department:75"), vocabulary="INSEE"),
    "period": Word(codes=("week", "day of France alone")),
    "label": Word(unit="of `period`"),
    "tests": Word(empty=_WITHHELD, unit="results"),
    "classes": Word(type="list of classes, as below", empty=_WITHHELD),
    "within_1": Word(empty=f"{_WITHHELD}; a class reaches over it", unit="0 to 1"),
    "within_2": Word(empty=f"{_WITHHELD}; a class reaches over it", unit="0 to 1"),
    "within_3": Word(empty=f"{_WITHHELD}; a class reaches over it", unit="0 to 1"),
    "median_days": Word(empty=f"{_WITHHELD}; it is in a class of several days", unit="days"),
    "p90_days": Word(empty=f"{_WITHHELD}; it is in a class of several days", unit="days"),
    "by_reception_tests": Word(empty=f"{_WITHHELD}; it is in a class with others", unit="results"),
    "imputed_tests": Word(empty=_WITHHELD, unit="results"),
    "flags": Word(empty="there is nothing to know", codes=("suppressed", "classed", "rounded")),
}
DELAY_CLASS: Final[Mapping[str, Word]] = {
    "first": Word(empty="they have no known day of sampling", unit="days"),
    "last": Word(empty="and later", unit="days"),
    "unknown": Word(),
    "tests": Word(unit="results"),
}
FIGURE: Final[Mapping[str, Word]] = {
    "condition": Word(vocabulary=_CONDITIONS),
    "area": Word(codes=("france", "region:84", "department:75"), vocabulary="INSEE"),
    "period": Word(codes=("day", "7days", "week", "month of what is declared anonymously")),
    "label": Word(unit="of `period`"),
    "age_class": Word(codes=("0 all", "09 0 to 9", *_TENS, "90 90 and more")),
    "sex": Word(empty="all, with those whose sex is unknown", codes=("F", "M")),
    "tests": Word(empty=_WITHHELD, unit="results"),
    "positive_tests": Word(empty=_WITHHELD, unit="results"),
    "persons": Word(empty=_WITHHELD, unit="persons"),
    "positive_persons": Word(empty=_WITHHELD, unit="persons"),
    "eligible_persons": Word(empty=_WITHHELD, unit="persons"),
    "cases": Word(empty=_WITHHELD, unit="persons"),
    "population": Word(empty="no population is known (`no_population`)", unit="inhabitants"),
    "screened": Word(empty=_WITHHELD, unit="results"),
    "variants": Word(empty="none was screened", unit="results"),
    "incidence": Word(empty=f"{_WITHHELD}; `classed`", unit="per 100,000 inhabitants"),
    "positivity": Word(empty=f"{_WITHHELD}; `classed`", unit="percent"),
    "screening": Word(empty=f"{_WITHHELD}; `classed`", unit="per 100,000 inhabitants"),
    "incidence_class": Word(empty=_SMALL, vocabulary=_CLASSES),
    "positivity_class": Word(empty=_SMALL, vocabulary=_CLASSES),
    "screening_class": Word(empty=_SMALL, vocabulary=_CLASSES),
    "completeness": Word(empty="it is not estimated", unit="0 to 1"),
    "completeness_low": Word(empty="it is not estimated", unit="0 to 1"),
    "completeness_high": Word(empty="it is not estimated", unit="0 to 1"),
    "flags": Word(
        empty="there is nothing to know",
        codes=(
            "suppressed",
            "classed",
            "rounded",
            "tests_held",
            "positives_held",
            "variants_held",
            "synthetic_population",
            "no_population",
            "incomplete",
        ),
    ),
}
