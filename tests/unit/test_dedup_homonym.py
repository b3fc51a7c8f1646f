"""Guards that the million taught: homonyms, and cards that a nameless child borrows."""

from __future__ import annotations

import pytest

from dedup.compare import compare
from dedup.decide import decide
from dedup.guards import homonym
from dedup.identity import Candidate, HeldIns, PersonKeys
from dedup.keys import derive
from dedup.model import load_model
from dedup.normalize import normalise
from schemas.decision import MatchDecision, Realm, Verdict
from schemas.patient import Address, Ins, Traits

FR = load_model("fr")
OID = "1.2.250.1.213.1.4.10"
BIRTH = {
    "birth_family": "CHOPIN", "birth_given": "JOELLE", "birth_date": "1982-01-24", "sex": "F",
    "birth_place": "78146",
}  # fmt: skip


def somebody(**more: object) -> Traits:
    return Traits(**{**BIRTH, **more})  # type: ignore[arg-type]


def home(street: str, postcode: str, city: str = "") -> Address:
    return Address(lines=(street,), postcode=postcode, city=city)


def keys_of(traits: Traits) -> PersonKeys:
    return derive(traits, Realm.TEST, b"k" * 32, FR)


def decided(record: Traits, *known: Traits) -> MatchDecision:
    persons = []
    for number, traits in enumerate(known, 1):
        keys = keys_of(traits)
        ins = {keys.ins.digest: HeldIns(keys.ins.ins)} if keys.ins else {}
        persons.append(
            Candidate(person_id=number, ins=ins, aliases={keys.alias_digest: keys.identity})
        )
    return decide(keys_of(record), persons, FR)


APART = [
    ({"address": home("1 RUE PASTEUR", "78150")}, {"address": home("9 QUAI SUD", "33000")}),
    ({"phones": ("0639980006",)}, {"phones": ("0639981615",)}),
    ({"birth_givens": ("JOELLE", "VANESSA")}, {"birth_givens": ("JOELLE", "MARIE")}),
    # One of several further names in common is chance.
    (
        {"birth_givens": ("JOELLE", "KEVIN", "ANNE"), "phones": ("0639980006",)},
        {"birth_givens": ("JOELLE", "LEA", "KEVIN"), "phones": ("0639981615",)},
    ),
    # Two postcodes one digit apart are two towns.
    ({"address": home("1 RUE PASTEUR", "36000")}, {"address": home("2 RUE PASTEUR", "37000")}),
]
TOGETHER = [
    ({}, {}),
    ({"phones": ("0639980006",)}, {}),
    (
        {"address": home("1 RUE PASTEUR", "78150"), "phones": ("0639980006",)},
        {"address": home("9 QUAI SUD", "33000"), "phones": ("0639980006",)},
    ),
    (
        {"address": home("1 RUE PASTEUR", "78150"), "phones": ("0639980006",)},
        {"address": home("1 RUE PASTEUR", "78150"), "phones": ("0639981615",)},
    ),
    (
        {"birth_givens": ("JOELLE", "VANESSA"), "phones": ("0639980006",)},
        {"birth_givens": ("JOELLE", "VANESSA", "LEA"), "phones": ("0639981615",)},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), APART)
def test_a_homonym_is_left_to_a_steward(one: dict[str, object], other: dict[str, object]) -> None:
    first, second = somebody(**one), somebody(**other)
    mine, theirs = normalise(first), normalise(second)
    assert homonym(compare(mine, theirs), mine, theirs, FR)
    assert homonym(compare(theirs, mine), theirs, mine, FR)
    found = decided(first, second)
    assert (found.verdict, found.guard, found.contradicts) == (Verdict.REVIEW, "homonym", 1)


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_somebody_who_moved_is_not_a_homonym(
    one: dict[str, object], other: dict[str, object]
) -> None:
    found = decided(somebody(**one), somebody(**other))
    assert (found.verdict, found.person_id) == (Verdict.LINK, 1)


def test_an_ins_that_is_evidence_tells_a_homonym_apart() -> None:
    number = Ins(matricule="282017814690946", oid=OID)
    held = somebody(ins=(number,), identity_status="VALI", phones=("0639980006",))
    record = somebody(ins=(number,), identity_status="PROV", phones=("0639981615",))
    assert decided(record, held).verdict is Verdict.LINK
    without = somebody(identity_status="PROV", phones=("0639981615",))
    assert decided(without, held).guard == "homonym"


def test_two_nameless_twins_with_their_mothers_card_are_two() -> None:
    """Both say the same, and the number would make them one."""
    card = Ins(matricule="187025320180167", oid=OID)
    child = {
        "birth_family": "GARIN", "birth_date": "2025-05-27", "birth_place": "97420",
        "ins": (card,), "identity_status": "VALI", "phones": ("0639986606",),
    }  # fmt: skip
    nameless = somebody(**child, birth_given="BB")
    for record in (nameless, somebody(**child, birth_given="GABRIELLE")):
        found = decided(record, nameless)
        assert found.verdict is Verdict.REVIEW
        assert found.contradicts == 1


def test_a_nameless_newborn_with_its_own_card_is_found_by_it() -> None:
    card = Ins(matricule="225059742080693", oid=OID)
    child = {
        "birth_family": "GARIN", "birth_date": "2025-05-27", "birth_place": "97420",
        "ins": (card,), "identity_status": "VALI",
    }  # fmt: skip
    found = decided(somebody(**child, birth_given="BB"), somebody(**child, birth_given="AYAH"))
    assert (found.verdict, found.rule) == (Verdict.LINK, "same_ins")
