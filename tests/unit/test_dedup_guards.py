"""Each guard alone: what it must stop, and what it must let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dedup import guards
from dedup.compare import compare
from dedup.guards import PAIR_GUARDS, card_fits, is_twin_of, stopped_by_ins, stopped_by_traits
from dedup.identity import HeldIns
from dedup.normalize import normalise
from schemas.decision import Realm
from schemas.patient import Address, Ins, Traits
from tests.support.identities import FR, GENERIC, decided, keys_of, named, person, somebody
from tests.support.people import DOMINIQUE_INS, NIA_OID, OTHER_INS, PRODUCTION_OID, TEST_OID


def hits(guard: Callable[..., bool], one: Traits, other: Traits) -> bool:
    mine, theirs = normalise(one), normalise(other)
    levels = compare(mine, theirs)
    answer = guard(levels, mine, theirs, FR)
    assert answer == guard(compare(theirs, mine), theirs, mine, FR)
    return answer


def fits(one: Traits, other: Traits) -> bool:
    return card_fits(compare(normalise(one), normalise(other)))


# ------------------------------------------------------------------ 2: the same INS


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"birth_date": "1984-05-18"},
        {"birth_date": "1984-01-01"},
        {"birth_family": "DURANT"},
        {"birth_family": "MARTIN", "used_family": "DURAND"},
        {"birth_family": "MARTIN"},
        {"birth_given": "JANE", "birth_givens": ("JANE",)},
        {"birth_given": "BEBE", "birth_givens": ()},
    ],
)
def test_a_card_fits_its_owner_whatever_was_typed(changes: dict[str, Any]) -> None:
    assert fits(somebody(**changes), somebody())


@pytest.mark.parametrize(
    "changes",
    [
        {"birth_date": "2015-06-01"},
        {"birth_date": ""},
        {"birth_date": "1984-06-18"},
        {"birth_given": "PAUL", "birth_givens": ("PAUL",)},
        {"birth_family": "MARTIN", "birth_given": "BEBE", "birth_givens": ()},
    ],
)
def test_a_card_of_somebody_else_does_not(changes: dict[str, Any]) -> None:
    assert not fits(somebody(**changes), somebody())


# ------------------------------------------------------------------ 3 and 4: two INS


def by_ins(record: Traits, held: Traits, realm: Realm = Realm.TEST) -> str:
    return stopped_by_ins(keys_of(record, realm), person(1, held, realm=realm))


def valid(*ins: Ins, **changes: Any) -> Traits:
    return somebody(ins=ins, identity_status="VALI", **changes)


def test_two_qualified_ins_are_two_persons() -> None:
    assert by_ins(valid(OTHER_INS), valid(DOMINIQUE_INS)) == "two_qualified_ins"
    assert by_ins(valid(DOMINIQUE_INS), valid(DOMINIQUE_INS)) == ""
    assert by_ins(valid(DOMINIQUE_INS), somebody()) == ""
    assert by_ins(somebody(), valid(DOMINIQUE_INS)) == ""


def test_a_provisional_identitys_ins_is_no_identity() -> None:
    provisional = somebody(ins=(OTHER_INS,), identity_status="PROV")
    assert by_ins(provisional, valid(DOMINIQUE_INS)) == ""


NIA = Ins(matricule="781102A12500908", oid=NIA_OID)
NIR = Ins(matricule="279035121518989", oid=PRODUCTION_OID)
OTHER_NIR = Ins(matricule="255081416802538", oid=PRODUCTION_OID)


def test_a_nia_that_became_a_nir_is_for_a_steward() -> None:
    assert by_ins(valid(NIR), valid(NIA), Realm.PRODUCTION) == "nia_against_nir"
    assert by_ins(valid(NIA), valid(NIR), Realm.PRODUCTION) == "nia_against_nir"
    assert by_ins(valid(OTHER_NIR), valid(NIR), Realm.PRODUCTION) == "two_qualified_ins"


def test_a_declared_history_is_no_contradiction() -> None:
    assert by_ins(valid(NIR, NIA), valid(NIA), Realm.PRODUCTION) == ""
    assert by_ins(valid(NIR, NIA), valid(NIR), Realm.PRODUCTION) == ""


def test_a_person_with_both_is_known_by_either() -> None:
    both = person(1, valid(NIR), realm=Realm.PRODUCTION)
    nia = keys_of(valid(NIA), Realm.PRODUCTION)
    assert nia.ins is not None
    both.ins[nia.ins.digest] = HeldIns(NIA, is_former=True)
    assert stopped_by_ins(nia, both) == ""
    assert stopped_by_ins(keys_of(valid(OTHER_NIR), Realm.PRODUCTION), both) == "two_qualified_ins"


def test_twins_share_all_but_the_order_number() -> None:
    one = Ins(matricule="279035121518989", oid=TEST_OID)
    twin = Ins(matricule="279035121519001", oid=TEST_OID)
    assert is_twin_of(one, twin)
    assert not is_twin_of(one, one)
    assert not is_twin_of(one, OTHER_INS)
    evidence = somebody(ins=(twin,), identity_status="PROV")
    assert by_ins(evidence, valid(one)) == "twin_ins"


# ------------------------------------------------------------------ 5 to 9: traits


@pytest.mark.parametrize(
    ("guard", "one", "other", "stops"),
    [
        (guards.given_missing, named("BEBE"), somebody(), True),
        (guards.given_missing, named(""), somebody(), True),
        (guards.given_missing, named("J"), somebody(), True),
        (guards.given_missing, named("JEAN"), somebody(), False),
        (guards.given_different, named("PAUL"), somebody(), True),
        (guards.given_different, named("JEANE"), somebody(), False),
        (guards.given_different, named("GARCON"), somebody(), False),
        (guards.given_listed, named("LOUISE"), somebody(), True),
        (guards.given_listed, named("LOUISE"), somebody(used_given="LOUISE"), False),
        (guards.given_listed, named("JEANNE"), somebody(), False),
        (guards.given_both_attested, named("MARIE"), named("MARTINE"), True),
        (guards.given_both_attested, named("ANNE"), named("ANNE-MARIE"), True),
        (guards.given_both_attested, named("JULIE"), named("JULIA"), True),
        (guards.given_both_attested, named("JULIE"), named("JULIRE"), False),
        (guards.given_both_attested, named("JULIE"), named("Julie"), False),
        (guards.date_default, somebody(birth_date="1984-01-01"), somebody(), True),
        (guards.date_default, somebody(birth_date="1984-12-31"), somebody(), True),
        (guards.date_default, *[somebody(birth_date="1984-01-01")] * 2, False),
        (guards.date_default, somebody(birth_date="1984-05-18"), somebody(), False),
        (guards.date_not_exact, somebody(birth_date="1984-05-18"), somebody(), False),
        (guards.date_not_exact, somebody(birth_date="1984-06-18"), somebody(), True),
        (guards.date_not_exact, somebody(birth_date=""), somebody(), True),
        (guards.date_not_exact, somebody(birth_date="1984-05"), somebody(), True),
        (
            guards.date_not_exact,
            somebody(birth_date="1984-05-18", birth_family="DURANT"),
            somebody(),
            True,
        ),
        (
            guards.date_not_exact,
            somebody(birth_date="1984-03-05"),
            somebody(birth_date="1984-05-03"),
            False,
        ),
        (guards.family_different, somebody(birth_family="MARTIN"), somebody(), False),
        (
            guards.family_different,
            somebody(birth_family="MARTIN", birth_place="75056", phones=()),
            somebody(),
            True,
        ),
        (
            guards.family_different,
            somebody(birth_family="MARTIN", used_family="DURAND", birth_place=""),
            somebody(),
            False,
        ),
        (
            guards.family_different,
            somebody(birth_family="MARTIN", used_family="DURAND", birth_place="", phones=()),
            somebody(),
            True,
        ),
        (guards.family_different, somebody(birth_family="DURANT", phones=()), somebody(), False),
        (guards.sex_contradicts, somebody(sex="M"), somebody(), False),
        (guards.sex_contradicts, named("JEANE", sex="M"), somebody(), True),
        (guards.sex_contradicts, named("JEANE", sex="U"), somebody(), False),
    ],
)
def test_a_guard_stops_what_it_must_and_nothing_else(
    guard: Callable[..., bool], one: Traits, other: Traits, stops: bool
) -> None:
    assert hits(guard, one, other) is stops


ELSEWHERE = Address(lines=("3 QUAI BLEU",), city="BREST", postcode="29200", commune="29019")


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({}, False),
        ({"address": ELSEWHERE, "phones": (), "birth_givens": ()}, True),
        ({"address": ELSEWHERE, "phones": ("0199000001",), "birth_givens": ()}, True),
        ({"address": ELSEWHERE, "birth_givens": ()}, False),
        ({"address": ELSEWHERE, "phones": ()}, False),
        ({"address": None, "phones": (), "birth_givens": ()}, False),
    ],
)
def test_people_of_one_name_are_born_on_one_day_in_one_town(
    changes: dict[str, Any], stops: bool
) -> None:
    assert hits(guards.homonym, somebody(**changes), somebody()) is stops


def test_evidence_of_an_ins_speaks_against_a_homonym() -> None:
    held = person(7, valid(DOMINIQUE_INS))
    moved: dict[str, Any] = {"address": ELSEWHERE, "phones": (), "birth_givens": ()}
    assert decided(somebody(**moved), held).guard == "homonym"
    provisional = somebody(ins=(DOMINIQUE_INS,), identity_status="PROV", **moved)
    assert decided(provisional, held).person_id == 7


# ------------------------------------------------------------------ their order


def stopped(one: Traits, other: Traits) -> str:
    mine, theirs = normalise(one), normalise(other)
    return stopped_by_traits(compare(mine, theirs), mine, theirs, FR)


def test_the_first_that_hits_wins() -> None:
    worst = named("BEBE", birth_date="1971-01-01", birth_family="MARTIN", sex="M", phones=())
    assert stopped(worst, somebody()) == "given_missing"
    assert stopped(named("PAUL", birth_date="1971-11-30"), somebody()) == "given_different"
    later = somebody(birth_date="1971-11-30", sex="M")
    assert stopped(later, somebody()) == "date_not_exact"


def test_a_model_that_names_no_guard_has_none() -> None:
    mine, theirs = normalise(named("PAUL")), normalise(somebody())
    assert stopped_by_traits(compare(mine, theirs), mine, theirs, GENERIC) == ""


def test_the_service_has_every_guard() -> None:
    assert {name for name, _ in PAIR_GUARDS} <= set(FR.guards)
