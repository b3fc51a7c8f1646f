from __future__ import annotations

from typing import Any

import pytest

from dedup.keys import KEY_VERSION, PARTS, derive, parts_of, starts_of
from dedup.normalize import normalise
from schemas.decision import Realm
from schemas.errors import PermanentError
from schemas.patient import Address, Ins, Traits
from tests.support.identities import GENERIC, keys_of, named, somebody
from tests.support.people import (
    DEMO_OID,
    DOMINIQUE_INS,
    NIA_OID,
    OTHER_INS,
    PRODUCTION_OID,
    dominique,
)

FULL_ADDRESS = Address(lines=("3 HIGH ROAD",), city="PERTH", postcode="6000", state="WA")
SECRET = b"k" * 32


def test_the_same_person_typed_otherwise_has_the_same_keys() -> None:
    plain = derive(dominique(), Realm.TEST, SECRET)
    typed = derive(dominique(birth_family="Pat Trois", birth_given="Dominique"), Realm.TEST, SECRET)
    assert plain.alias_digest == typed.alias_digest
    assert plain.blocking == typed.blocking
    assert plain.is_strict


def test_qualified_means_vali_and_an_ins_of_the_realm() -> None:
    assert derive(dominique(), Realm.TEST, SECRET).ins is not None
    assert derive(dominique(identity_status="PROV"), Realm.TEST, SECRET).ins is None
    assert derive(dominique(identity_status=""), Realm.TEST, SECRET).ins is None
    assert derive(dominique(ins=()), Realm.TEST, SECRET).ins is None


def test_a_demonstration_number_counts_in_realm_test() -> None:
    demo = Ins(matricule=DOMINIQUE_INS.matricule, oid=DEMO_OID)
    assert derive(dominique(ins=(demo,)), Realm.TEST, SECRET).ins is not None


def test_an_ins_of_the_other_realm_isolates_and_is_never_an_identity() -> None:
    real = Ins(matricule=DOMINIQUE_INS.matricule, oid=PRODUCTION_OID)
    for realm, ins in ((Realm.TEST, real), (Realm.PRODUCTION, DOMINIQUE_INS)):
        keys = derive(dominique(ins=(ins,)), realm, SECRET)
        assert keys.isolation == "ins_of_other_realm"
        assert keys.ins is None
        assert keys.blocking == ()


def test_the_authority_is_part_of_the_identity() -> None:
    demo = Ins(matricule=DOMINIQUE_INS.matricule, oid=DEMO_OID)
    one = derive(dominique(), Realm.TEST, SECRET).ins
    other = derive(dominique(ins=(demo,)), Realm.TEST, SECRET).ins
    assert one is not None
    assert other is not None
    assert one.digest != other.digest


def test_two_ins_that_contradict_each_other_are_none() -> None:
    assert derive(dominique(ins=(DOMINIQUE_INS, OTHER_INS)), Realm.TEST, SECRET).ins is None


def test_placeholders_yield_no_key() -> None:
    nobody = dominique(birth_family="INCONNU", birth_given="X", ins=())
    assert derive(nobody, Realm.TEST, SECRET).blocking == ()


def test_doubtful_identities_are_isolated() -> None:
    for status in ("FICT", "ANOM", "CACH", "DOUT"):
        keys = derive(dominique(identity_status=status), Realm.TEST, SECRET)
        assert keys.isolation == f"status_{status.lower()}"


def test_keys_depend_on_the_secret() -> None:
    assert set(derive(dominique(), Realm.TEST, SECRET).blocking).isdisjoint(
        derive(dominique(), Realm.TEST, b"x" * 32).blocking
    )


def test_a_missing_trait_is_never_strict() -> None:
    for missing in ("birth_family", "birth_given", "birth_date", "sex", "birth_place"):
        traits = dominique(**{"birth_givens": (), missing: ""})
        assert not derive(traits, Realm.TEST, SECRET).is_strict


# ------------------------------------------------------------------ families


def shared(one: Traits, other: Traits) -> tuple[int, int]:
    """Return how many tight keys, and how many keys in all, two records share."""
    mine, theirs = keys_of(one), keys_of(other)
    tight = set(mine.tight) & set(theirs.tight)
    return len(tight), len(set(mine.blocking) & set(theirs.blocking))


@pytest.mark.parametrize(
    ("changes", "tight", "more"),
    [
        ({}, 4, 4),
        ({"birth_family": "MARTIN"}, 3, 1),
        ({"birth_family": "DURANT"}, 4, 4),
        ({"birth_family": "MARTIN", "used_family": "DURAND"}, 4, 1),
        ({"birth_date": "1984-06-18"}, 0, 3),
        ({"birth_date": "1984"}, 0, 3),
        ({"birth_date": ""}, 0, 1),
        ({"birth_family": "JEANNE", "birth_given": "DURAND", "birth_givens": ()}, 2, 4),
        ({"birth_date": "1985-05-17"}, 0, 2),
        ({"birth_place": "75056", "phones": (), "address": None}, 2, 2),
    ],
)
def test_who_is_found_by_which_keys(changes: dict[str, Any], tight: int, more: int) -> None:
    found, all_ = shared(somebody(), somebody(**changes))
    assert (found, all_ - found) == (tight, more)


def test_a_default_date_is_no_key_but_with_both_names() -> None:
    default = somebody(birth_date="1984-01-01")
    assert shared(default, named("PAUL", birth_date="1984-01-01", phones=(), address=None)) == (
        0,
        0,
    )
    tight, _ = shared(default, somebody(birth_date="1984-01-01"))
    assert tight == 1
    assert shared(default, somebody()) == (0, 3)


def test_what_is_missing_is_no_key() -> None:
    bare = Traits(birth_family="DURAND", birth_given="JEANNE")
    assert keys_of(bare).blocking == ()
    assert keys_of(Traits()).blocking == ()
    assert len(keys_of(somebody(phones=("0000000000",))).wide) == 3


def test_every_key_is_in_one_list_and_in_range() -> None:
    keys = keys_of(somebody(used_family="MARTIN", used_given="NANA"))
    assert set(keys.tight).isdisjoint(keys.wide)
    assert list(keys.tight) == sorted(set(keys.tight))
    assert all(-(2**63) <= key < 2**63 for key in keys.blocking)
    assert len(keys.blocking) < 30


def test_each_distinct_identity_is_an_alias_of_its_own() -> None:
    moved = keys_of(somebody(address=None))
    assert moved.alias_digest != keys_of(somebody()).alias_digest
    assert moved.strict_digest == keys_of(somebody()).strict_digest


def test_keys_of_the_older_version_are_there_while_both_live() -> None:
    old = derive(dominique(), Realm.TEST, SECRET, version=1)
    new = derive(dominique(), Realm.TEST, SECRET)
    assert old.ins is not None
    assert new.ins is not None
    assert old.ins.key in old.tight
    assert new.ins.key in new.tight
    assert old.ins.digest == new.ins.digest
    assert (old.key_version, new.key_version, len(old.tight), old.wide) == (1, KEY_VERSION, 3, ())
    assert old.alias_digest == new.alias_digest
    with pytest.raises(PermanentError, match="key_version_unknown"):
        derive(dominique(), Realm.TEST, SECRET, version=99)


def test_a_nia_beside_a_nir_is_a_declared_history() -> None:
    nia = Ins(matricule="781102A12500908", oid=NIA_OID)
    nir = Ins(matricule="279035121518989", oid=PRODUCTION_OID)
    keys = keys_of(dominique(ins=(nia, nir)), Realm.PRODUCTION)
    assert keys.ins is not None
    assert keys.ins.ins == nir
    assert [former.ins for former in keys.former_ins] == [nia]
    assert {keys.ins.key, keys.former_ins[0].key} <= set(keys.tight)
    provisional = dominique(ins=(nia, nir), identity_status="PROV")
    assert keys_of(provisional, Realm.PRODUCTION).held_ins == (nia, nir)


@pytest.mark.parametrize(
    ("changes", "is_misfit"),
    [
        ({}, False),
        ({"birth_date": "1980-03-28"}, False),
        ({"birth_date": "1979-04-28"}, False),
        ({"sex": "M"}, False),
        ({"birth_date": "1980-04-28"}, True),
        ({"birth_date": "1980-03-28", "sex": "M"}, True),
        ({"birth_date": "1980-03-28", "sex": "U"}, False),
        ({"birth_date": "1980-01-01"}, False),
        ({"birth_date": "1980"}, False),
        ({"birth_date": ""}, False),
        ({"birth_date": "1980-04-28", "identity_status": "PROV"}, False),
    ],
)
def test_a_card_of_another_year_and_month_or_sex_is_somebody_elses(
    changes: dict[str, Any], is_misfit: bool
) -> None:
    assert keys_of(dominique(**changes)).is_misfit is is_misfit


def test_a_newborn_without_a_given_name_is_not_isolated() -> None:
    keys = keys_of(named("BEBE"))
    assert keys.isolation == ""
    assert keys.tight


def test_generic_isolates_nobody() -> None:
    bare = Traits(birth_given="anna", birth_date="1980-02-03")
    assert keys_of(bare).isolation == "placeholder_name"
    assert keys_of(bare, model=GENERIC).isolation == ""
    assert keys_of(bare, model=GENERIC).tight


def test_every_part_that_a_model_may_name_can_be_there() -> None:
    full = normalise(somebody(emails=("a@example.org",), address=FULL_ADDRESS))
    default = normalise(somebody(birth_date="1984-01-01"))
    assert {*parts_of(full), *parts_of(default), *starts_of(full)} == PARTS


def test_the_numbers_of_a_key_version_never_change() -> None:
    """A hub finds its people by these: other numbers need a new KEY_VERSION and a re-keying."""
    keys = derive(dominique(), Realm.TEST, SECRET)
    assert KEY_VERSION == 2
    assert keys.tight == (
        -4994302272950223982,
        -1539884222522423294,
        1599628132000999152,
        1882468940560395634,
        7722426615266639362,
    )
    assert keys.wide == (
        -1885078059665871006,
        492110657059272978,
        584654745036801858,
        985614443066890754,
    )
    assert str(keys.alias_digest) == "d30f1723-543d-92d5-16ce-bc9da0a0bea2"
    assert str(keys.strict_digest) == "37c65c27-c4df-482f-8a6d-6327cd54126a"
    assert keys.ins is not None
    assert str(keys.ins.digest) == "010e9686-d8d5-5350-e1c3-8976ff0c029c"
