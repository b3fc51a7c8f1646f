from __future__ import annotations

from dedup.keys import derive
from schemas.decision import Realm
from schemas.patient import Ins
from tests.support.people import (
    DEMO_OID,
    DOMINIQUE_INS,
    OTHER_INS,
    PRODUCTION_OID,
    dominique,
)

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
