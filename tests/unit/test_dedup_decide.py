"""Who is it: link, review, new, isolated; and why."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dedup.weighed import EVIDENCE_KEPT, MAX_ALIASES
from schemas.decision import MatchDecision, Realm, Verdict
from schemas.patient import Ins
from tests.support.identities import FR, GENERIC, decided, named, person, somebody
from tests.support.people import NIA_OID, OTHER_INS, PRODUCTION_OID, dominique


def test_nobody_known_is_a_new_person() -> None:
    assert decided(dominique()).verdict is Verdict.NEW


def test_the_same_ins_links_although_a_letter_differs() -> None:
    found = decided(dominique(birth_family="PAT-TROI"), person(7, dominique()))
    assert (found.verdict, found.person_id, found.rule) == (Verdict.LINK, 7, "same_ins")


def test_the_same_ins_links_across_a_married_name() -> None:
    held = dominique(used_family="MARTIN")
    assert decided(dominique(birth_family="MARTIN"), person(7, held)).person_id == 7


def test_somebody_elses_card_is_a_review_and_never_a_link() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    found = decided(child, person(7, dominique()))
    assert (found.verdict, found.person_id) == (Verdict.REVIEW, None)
    assert (found.guard, found.contradicts) == ("same_ins_other_traits", 7)
    assert found.candidates[0].person_id == 7


def test_somebody_elses_card_again_goes_to_the_person_of_its_traits() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    known = person(
        8, dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01", ins=())
    )
    found = decided(child, person(7, dominique()), known)
    assert (found.verdict, found.person_id, found.contradicts) == (Verdict.LINK, 8, 7)


def test_all_five_strict_traits_link_without_an_ins() -> None:
    found = decided(dominique(ins=()), person(7, dominique()))
    assert (found.verdict, found.person_id, found.rule) == (Verdict.LINK, 7, "strict_traits")


def test_one_trait_off_links_where_all_the_rest_agrees() -> None:
    for change in (
        {"birth_family": "PAT-TROI"},
        {"birth_date": "1979-03-29"},
        {"birth_place": ""},
        {"sex": ""},
    ):
        found = decided(dominique(ins=(), **change), person(7, dominique()))
        assert (found.verdict, found.rule) == (Verdict.LINK, "score"), change


def test_another_given_name_never_links_however_much_agrees() -> None:
    claude = dominique(ins=(), birth_given="CLAUDE", birth_givens=("CLAUDE",))
    found = decided(claude, person(7, dominique()))
    assert (found.verdict, found.guard) == (Verdict.NEW, "given_different")


def test_two_qualified_ins_never_link_whatever_the_traits() -> None:
    found = decided(dominique(ins=(OTHER_INS,)), person(7, dominique()))
    assert (found.verdict, found.guard) == (Verdict.NEW, "two_qualified_ins")


def test_an_ins_joins_a_person_without_one() -> None:
    found = decided(dominique(), person(7, dominique(ins=())))
    assert (found.verdict, found.person_id) == (Verdict.LINK, 7)


def test_nia_against_nir_is_a_review() -> None:
    nia = dominique(ins=(Ins(matricule="781102A12500908", oid=NIA_OID),))
    nir = dominique(ins=(Ins(matricule="279035121518989", oid=PRODUCTION_OID),))
    held = person(7, nir, realm=Realm.PRODUCTION)
    found = decided(nia, held, realm=Realm.PRODUCTION)
    assert (found.verdict, found.guard) == (Verdict.REVIEW, "nia_against_nir")
    both = dominique(ins=(*nia.ins, *nir.ins))
    joined = decided(both, person(7, nia, realm=Realm.PRODUCTION), realm=Realm.PRODUCTION)
    assert (joined.verdict, joined.person_id, joined.rule) == (Verdict.LINK, 7, "declared_history")


def test_two_homonyms_are_not_chosen_between() -> None:
    ones = person(7, dominique(ins=(OTHER_INS,))), person(8, dominique())
    found = decided(dominique(ins=()), *ones)
    assert (found.verdict, found.guard) == (Verdict.REVIEW, "several_of_same_traits")


def test_a_second_person_of_the_same_traits_opens_a_review_beside_the_link() -> None:
    found = decided(dominique(), person(7, dominique()), person(9, dominique(ins=())))
    assert (found.person_id, found.possible_duplicate, found.guard) == (7, 9, "possible_duplicate")


def test_an_isolated_person_is_never_linked_to() -> None:
    found = decided(dominique(), person(7, dominique(), isolated=True))
    assert found.verdict is Verdict.NEW


def test_an_isolated_record_is_never_linked() -> None:
    found = decided(dominique(identity_status="DOUT"), person(7, dominique()))
    assert (found.verdict, found.person_id) == (Verdict.ISOLATE, None)


def test_evidence_holds_no_value() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    said = msgspec.json.encode(decided(child, person(7, dominique()))).decode()
    for value in ("LEA", "2015", "DOMINIQUE", "PAT"):
        assert value not in said


# ------------------------------------------------------------------ score and thresholds


def test_a_common_name_says_less_than_a_rare_one() -> None:
    common = named("MARIE", birth_family="MARTIN")
    rare = named("MARIE", birth_family="QUEFFELEC")
    total = [decided(who, person(7, who)).candidates[0].total for who in (common, rare)]
    assert total[0] < total[1]


def test_names_and_a_date_alone_are_for_a_steward() -> None:
    bare: dict[str, Any] = {"address": None, "phones": (), "birth_place": ""}
    who = named("MARIE", birth_family="MARTIN", **bare)
    found = decided(who, person(7, who))
    assert (found.verdict, found.guard, found.contradicts) == (Verdict.REVIEW, "score", 7)


def test_somebody_of_the_same_town_and_day_is_new() -> None:
    found = decided(named("PAUL", birth_family="MOREAU", sex="M"), person(7, somebody()))
    assert (found.verdict, found.contradicts) == (Verdict.NEW, None)


def test_the_better_of_two_is_linked_and_the_other_may_be_a_duplicate() -> None:
    moved = somebody(address=None, phones=())
    found = decided(somebody(), person(7, somebody()), person(9, moved))
    assert (found.verdict, found.person_id) == (Verdict.LINK, 7)
    assert (found.possible_duplicate, found.guard) == (9, "possible_duplicate")
    assert found.margin is not None
    assert found.margin >= FR.margin


def test_two_within_the_margin_are_not_chosen_between() -> None:
    found = decided(somebody(), person(7, somebody()), person(9, somebody()))
    assert (found.verdict, found.guard, found.margin) == (
        Verdict.REVIEW,
        "several_of_same_traits",
        0,
    )
    assert {found.contradicts, found.possible_duplicate} == {7, 9}


def test_whom_a_guard_stops_does_not_stand_in_the_way() -> None:
    twin = named("PAULINE")
    found = decided(somebody(), person(3, twin), person(7, somebody()))
    assert (found.verdict, found.person_id, found.guard) == (Verdict.LINK, 7, "")


def test_a_likelier_one_that_is_for_a_steward_holds_the_link_back() -> None:
    sparse = named("ANNE", address=None, phones=())
    alike = named("ANNE-MARIE")
    found = decided(named("ANNE"), person(3, alike), person(7, sparse))
    assert (found.verdict, found.contradicts, found.guard) == (
        Verdict.REVIEW,
        3,
        "given_both_attested",
    )


def test_any_identity_of_a_person_will_do() -> None:
    held = person(7, somebody(birth_family="MARTIN", used_family="DURAND"), somebody())
    found = decided(somebody(), held)
    assert (found.person_id, found.rule) == (7, "strict_traits")


# ------------------------------------------------------------------ bridging


def test_generic_bridges_and_fr_never_does() -> None:
    one, other = somebody(phones=()), somebody(address=None)
    known = person(7, one), person(9, other)
    bridged = decided(somebody(), *known, model=GENERIC)
    assert (bridged.verdict, bridged.person_id, bridged.bridges) == (Verdict.LINK, 7, (9,))
    assert decided(somebody(), *known).bridges == ()


# ------------------------------------------------------------------ stewards


def test_a_stewards_word_is_final() -> None:
    twin = somebody(birth_date="1984-05-18")
    known = person(7, somebody()), person(9, twin)
    assert decided(twin, *known).verdict is Verdict.LINK
    for verdicts in ({(7, 9): "different"}, {(7, 9): "different", (1, 2): "same"}):
        found = decided(twin, *known, verdicts=verdicts)
        assert (found.verdict, found.person_id) == (Verdict.LINK, 9)
        assert [c.guard for c in found.candidates if c.person_id == 7] == ["settled_different"]
        assert found.possible_duplicate is None


def test_two_that_a_steward_told_apart_are_no_duplicates() -> None:
    known = person(7, somebody(phones=())), person(9, somebody(used_given="NANA"))
    assert decided(somebody(), *known).possible_duplicate == 7
    found = decided(somebody(), *known, verdicts={(7, 9): "different"})
    assert (found.verdict, found.person_id, found.possible_duplicate) == (Verdict.LINK, 9, None)


def test_a_card_that_a_steward_gave_back_opens_no_second_item() -> None:
    child = dominique(birth_given="LEA", birth_givens=("LEA",), birth_date="2015-06-01")
    held = person(8, msgspec.structs.replace(child, ins=()))
    found = decided(child, person(7, dominique()), held, verdicts={(7, 8): "different"})
    assert (found.verdict, found.person_id) == (Verdict.LINK, 8)
    assert (found.guard, found.contradicts) == ("same_ins_other_traits", None)


# ------------------------------------------------------------------ bounds, determinism


def test_nobody_is_linked_to_a_person_in_quarantine() -> None:
    found = decided(dominique(), person(7, dominique(), quarantine="status_dout"))
    assert found.verdict is Verdict.NEW


def test_what_is_remembered_is_bounded_and_holds_the_one_it_is_about() -> None:
    many = [person(n, named("PAUL", birth_family=f"DURAND{'A' * n}")) for n in range(1, 40)]
    found = decided(somebody(), *many, person(99, somebody(birth_date="1984-05-18")))
    assert len(found.candidates) <= EVIDENCE_KEPT
    assert found.person_id == 99
    assert found.candidates[0].person_id == 99


def test_a_person_of_many_identities_is_compared_with_some() -> None:
    held = person(7, *(somebody(phones=(f"06399{n:05d}",)) for n in range(3 * MAX_ALIASES)))
    assert decided(somebody(), held).person_id == 7


def test_a_person_whose_key_is_gone_is_known_by_ins_alone() -> None:
    held = person(7, dominique())
    held.aliases = dict.fromkeys(held.aliases)
    other = dominique(birth_family="PAT-DEUX")
    assert decided(other, held).rule == "same_ins"
    assert decided(dominique(ins=()), held).verdict is Verdict.NEW


@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_candidates_does_not_matter(backwards: bool) -> None:
    known = [person(n, somebody(phones=(f"063998000{n}",))) for n in range(1, 6)]
    found = decided(somebody(), *(reversed(known) if backwards else known))
    assert found == decided(somebody(), *known)


def test_a_decision_survives_being_written_down() -> None:
    found = decided(somebody(), person(7, somebody()), person(9, named("PAUL")))
    written = msgspec.json.decode(msgspec.json.encode(found), type=MatchDecision)
    assert written == found
