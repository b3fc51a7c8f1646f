from __future__ import annotations

import msgspec

from dedup.decide import decide
from dedup.identity import Candidate, HeldIns
from dedup.keys import derive
from dedup.model import load_model
from schemas.decision import MatchDecision, Realm, Verdict
from schemas.patient import Ins, Traits
from tests.support.people import NIA_OID, OTHER_INS, PRODUCTION_OID, dominique

SECRET = b"k" * 32


def person(number: int, traits: Traits, *, isolated: bool = False) -> Candidate:
    keys = derive(traits, Realm.TEST, SECRET)
    ins = {keys.ins.digest: HeldIns(keys.ins.ins)} if keys.ins else {}
    return Candidate(
        person_id=number, ins=ins, aliases={keys.alias_digest: keys.identity}, isolated=isolated
    )


def verdict(traits: Traits, *known: Candidate, realm: Realm = Realm.TEST) -> MatchDecision:
    return decide(derive(traits, realm, SECRET), known, load_model("fr"))


def test_nobody_known_is_a_new_person() -> None:
    assert verdict(dominique()).verdict is Verdict.NEW


def test_the_same_ins_links_although_a_letter_differs() -> None:
    found = verdict(dominique(birth_family="PAT-TROI"), person(7, dominique()))
    assert (found.verdict, found.person_id, found.rule) == (Verdict.LINK, 7, "same_ins")


def test_the_same_ins_links_across_a_married_name() -> None:
    held = dominique(used_family="MARTIN")
    assert verdict(dominique(birth_family="MARTIN"), person(7, held)).person_id == 7


def test_somebody_elses_card_is_a_review_and_never_a_link() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    found = verdict(child, person(7, dominique()))
    assert (found.verdict, found.person_id) == (Verdict.REVIEW, None)
    assert (found.guard, found.contradicts) == ("same_ins_other_traits", 7)
    assert found.candidates[0].person_id == 7


def test_somebody_elses_card_again_goes_to_the_person_of_its_traits() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    known = person(
        8, dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01", ins=())
    )
    found = verdict(child, person(7, dominique()), known)
    assert (found.verdict, found.person_id, found.contradicts) == (Verdict.LINK, 8, 7)


def test_all_five_strict_traits_link_without_an_ins() -> None:
    found = verdict(dominique(ins=()), person(7, dominique()))
    assert (found.verdict, found.person_id, found.rule) == (Verdict.LINK, 7, "strict_traits")


def test_one_trait_off_links_where_all_the_rest_agrees() -> None:
    for change in (
        {"birth_family": "PAT-TROI"},
        {"birth_date": "1979-03-29"},
        {"birth_place": ""},
        {"sex": ""},
    ):
        found = verdict(dominique(ins=(), **change), person(7, dominique()))
        assert (found.verdict, found.rule) == (Verdict.LINK, "score"), change


def test_another_given_name_never_links_however_much_agrees() -> None:
    claude = dominique(ins=(), birth_given="CLAUDE", birth_givens=("CLAUDE",))
    found = verdict(claude, person(7, dominique()))
    assert (found.verdict, found.guard) == (Verdict.NEW, "given_different")


def test_two_qualified_ins_never_link_whatever_the_traits() -> None:
    found = verdict(dominique(ins=(OTHER_INS,)), person(7, dominique()))
    assert (found.verdict, found.guard) == (Verdict.NEW, "two_qualified_ins")


def test_an_ins_joins_a_person_without_one() -> None:
    found = verdict(dominique(), person(7, dominique(ins=())))
    assert (found.verdict, found.person_id) == (Verdict.LINK, 7)


def test_nia_against_nir_is_a_review() -> None:
    nia = dominique(ins=(Ins(matricule="781102A12500908", oid=NIA_OID),))
    nir = dominique(ins=(Ins(matricule="279035121518989", oid=PRODUCTION_OID),))
    keys = derive(nir, Realm.PRODUCTION, SECRET)
    assert keys.ins is not None
    held = Candidate(
        person_id=7,
        ins={keys.ins.digest: HeldIns(keys.ins.ins)},
        aliases={keys.alias_digest: keys.identity},
    )
    found = verdict(nia, held, realm=Realm.PRODUCTION)
    assert (found.verdict, found.guard) == (Verdict.REVIEW, "nia_against_nir")


def test_two_homonyms_are_not_chosen_between() -> None:
    ones = person(7, dominique(ins=(OTHER_INS,))), person(8, dominique())
    found = verdict(dominique(ins=()), *ones)
    assert (found.verdict, found.guard) == (Verdict.REVIEW, "several_of_same_traits")


def test_a_second_person_of_the_same_traits_opens_a_review_beside_the_link() -> None:
    found = verdict(dominique(), person(7, dominique()), person(9, dominique(ins=())))
    assert (found.person_id, found.possible_duplicate, found.guard) == (7, 9, "possible_duplicate")


def test_an_isolated_person_is_never_linked_to() -> None:
    found = verdict(dominique(), person(7, dominique(), isolated=True))
    assert found.verdict is Verdict.NEW


def test_an_isolated_record_is_never_linked() -> None:
    found = verdict(dominique(identity_status="DOUT"), person(7, dominique()))
    assert (found.verdict, found.person_id) == (Verdict.ISOLATE, None)


def test_evidence_holds_no_value() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    said = msgspec.json.encode(verdict(child, person(7, dominique()))).decode()
    for value in ("LEA", "2015", "DOMINIQUE", "PAT"):
        assert value not in said
