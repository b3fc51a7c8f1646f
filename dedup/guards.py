"""What stops the machine from linking. Pure; the full matcher adds further guards here.

Numbers are those of docs/architecture.md, section Identity.
"""

from __future__ import annotations

from schemas.patient import Traits

from .compare import Agreement, compare_dates, compare_families, compare_givens

NIA_OID = "1.2.250.1.213.1.4.9"


def card_mix_up(record: Traits, held: Traits) -> dict[str, str]:
    """Guard 2: the same INS, but is it the same person?

    Returns:
        The agreement levels that speak against it; empty when nothing does. A valid INS that
        conflicts with the traits is almost never a typo: it is somebody else's card.
    """
    date = compare_dates(record.birth_date, held.birth_date)
    family = compare_families(record, held)
    given = compare_givens(record, held)
    against = {}
    if date in {Agreement.DIFFERENT, Agreement.MISSING}:
        against["birth_date"] = date.value
    if family is Agreement.DIFFERENT and given is not Agreement.EXACT:
        against["family"] = family.value
    if given is Agreement.DIFFERENT:
        against["given"] = given.value
    return against


def other_ins(record_oid: str, held_oids: frozenset[str]) -> str:
    """Guard 3: two different qualified INS are two persons; a NIA that became a NIR is a review.

    Returns:
        `review` for NIA against NIR, else `never`.
    """
    nia = {oid == NIA_OID for oid in (record_oid, *held_oids)}
    return "review" if len(nia) == 2 else "never"
