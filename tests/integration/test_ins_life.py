"""The life of an INS: what qualifies it, what it joins, what it opens, and what takes its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.decision import Realm, Verdict
from schemas.patient import Ins
from tests.support.people import (
    DEMO_OID,
    DOMINIQUE_INS,
    NIA_OID,
    OTHER_INS,
    PRODUCTION_OID,
    TEST_OID,
    dominique,
)
from tests.support.postgres import Database
from tests.support.resolving import NOW, Resolving, resolving

NIA = Ins(matricule="885997512345663", oid=NIA_OID)
NIR = Ins(matricule=DOMINIQUE_INS.matricule, oid=PRODUCTION_OID)


@pytest.fixture
async def road(database: Database, tmp_path: Path) -> AsyncIterator[Resolving]:
    async with resolving(database, tmp_path) as each:
        yield each


@pytest.fixture
async def production(database: Database, tmp_path: Path) -> AsyncIterator[Resolving]:
    async with resolving(database, tmp_path, realm=Realm.PRODUCTION) as each:
        yield each


async def numbers_of(road: Resolving, person: int) -> int:
    count: int = await road.one("SELECT count(*) FROM person_ins WHERE person_id = $1", person)
    return count


@pytest.mark.parametrize("status", ["PROV", "VIDE", "", "RECUP"])
async def test_an_ins_of_an_identity_that_is_not_validated_is_no_identity(
    road: Resolving, status: str
) -> None:
    (found,) = await road.resolve(dominique(identity_status=status))
    assert found.qualified_ins is None
    assert await numbers_of(road, found.person_id) == 0


@pytest.mark.parametrize("status", ["VALI", "QUAL"])
@pytest.mark.parametrize("oid", [TEST_OID, DEMO_OID])
async def test_validated_with_an_ins_of_the_realm_is_qualified(
    road: Resolving, status: str, oid: str
) -> None:
    ins = Ins(matricule=DOMINIQUE_INS.matricule, oid=oid)
    (found,) = await road.resolve(dominique(identity_status=status, ins=(ins,)))
    assert found.qualified_ins == ins
    assert not found.gained_ins  # nobody waited: the person is new


async def test_an_ins_seen_later_joins_the_person_found_by_traits(road: Resolving) -> None:
    (before,) = await road.resolve(dominique(ins=()))
    assert before.qualified_ins is None
    (after,) = await road.resolve(dominique())
    assert after.person_id == before.person_id
    assert after.qualified_ins == DOMINIQUE_INS
    assert after.gained_ins
    (again,) = await road.resolve(dominique())
    assert not again.gained_ins


async def test_records_of_one_batch_gain_an_ins_together(road: Resolving) -> None:
    """Both are of a person who was known: whoever holds its reports must go over them once."""
    (known,) = await road.persons(dominique(ins=()))
    found = await road.resolve(dominique(ins=()), dominique(), dominique(ins=()))
    assert {each.person_id for each in found} == {known}
    assert {each.gained_ins for each in found} == {True}


async def test_a_validated_record_without_ins_gets_that_of_its_person_if_all_traits_agree(
    road: Resolving,
) -> None:
    await road.persons(dominique())
    (same,) = await road.resolve(dominique(ins=()))
    assert same.qualified_ins == DOMINIQUE_INS
    (provisional,) = await road.resolve(dominique(ins=(), identity_status="PROV"))
    assert provisional.qualified_ins is None
    (slip,) = await road.resolve(dominique(ins=(), birth_family="PAT-TROIX"))
    assert slip.qualified_ins is None


async def test_an_ins_of_somebody_else_opens_a_review_and_is_not_attached(road: Resolving) -> None:
    (owner,) = await road.persons(dominique())
    child = dominique(birth_given="LEO", birth_givens=("LEO",), birth_date="2019-05-02", sex="M")
    (found,) = await road.resolve(child)
    assert found.person_id != owner
    assert found.qualified_ins is None
    assert found.decision.contradicts == owner
    assert await numbers_of(road, found.person_id) == 0
    (item,) = await road.rows("SELECT person_id, other_person_id, guard FROM review_item")
    assert (item["person_id"], item["other_person_id"]) == (found.person_id, owner)
    assert item["guard"] == "same_ins_other_traits"
    # Nor does it lead there from now on.
    assert await road.persons(dominique()) == [owner]


async def test_two_different_ins_are_two_persons_whatever_the_traits(road: Resolving) -> None:
    (one,) = await road.persons(dominique())
    (other,) = await road.resolve(dominique(ins=(OTHER_INS,)))
    assert other.person_id != one
    assert other.decision.verdict is not Verdict.LINK


async def test_a_nir_after_a_nia_is_a_review_where_nothing_declares_it(
    production: Resolving,
) -> None:
    (nia,) = await production.persons(dominique(ins=(NIA,)))
    (nir,) = await production.resolve(dominique(ins=(NIR,)))
    assert nir.person_id != nia
    assert nir.decision.verdict is Verdict.REVIEW
    assert nir.decision.contradicts == nia


async def test_a_declared_history_joins_and_dates_what_it_replaces(production: Resolving) -> None:
    (nia,) = await production.persons(dominique(ins=(NIA,)))
    later = NOW + timedelta(days=3)
    (both,) = await production.resolve(dominique(ins=(NIA, NIR)), at=later)
    assert both.person_id == nia
    assert both.decision.rule == "declared_history"
    assert both.qualified_ins == NIR
    assert both.gained_ins  # its reports went out under the NIA
    rows = await production.rows(
        "SELECT oid, first_seen_on, replaced_on FROM person_ins WHERE person_id = $1", nia
    )
    dated = {row["oid"]: (row["first_seen_on"], row["replaced_on"]) for row in rows}
    assert dated == {NIA_OID: (NOW.date(), later.date()), PRODUCTION_OID: (later.date(), None)}
    # By either number the same person from now on; the dossier's is the NIR.
    (by_nir,) = await production.resolve(dominique(ins=(NIR,)))
    (by_nia,) = await production.resolve(dominique(ins=(NIA,)))
    assert by_nir.person_id == by_nia.person_id == nia
    (without,) = await production.resolve(dominique(ins=()))
    assert without.qualified_ins == NIR


async def test_a_declared_history_of_somebody_new_keeps_both(production: Resolving) -> None:
    (both,) = await production.persons(dominique(ins=(NIR, NIA)))
    assert await production.persons(dominique(ins=(NIA,))) == [both]
    assert await numbers_of(production, both) == 2


async def test_an_ins_of_the_test_realm_never_meets_production(production: Resolving) -> None:
    (real,) = await production.persons(dominique(ins=(NIR,)))
    (test,) = await production.resolve(dominique())
    assert test.person_id != real
    assert test.decision.verdict is Verdict.ISOLATE
    assert test.qualified_ins is None


@pytest.mark.parametrize("status", ["DOUT", "FICT", "INVA", "USUR", "CACH", "COLP", "COLV", "ANOM"])
async def test_a_quarantined_identity_is_a_person_of_its_own_that_nothing_finds(
    road: Resolving, status: str
) -> None:
    (real,) = await road.persons(dominique())
    (first,) = await road.resolve(dominique(identity_status=status))
    (second,) = await road.resolve(dominique(identity_status=status))
    assert len({real, first.person_id, second.person_id}) == 3
    assert first.decision.verdict is Verdict.ISOLATE
    assert first.qualified_ins is None
    assert (
        await road.one("SELECT count(*) FROM person_key WHERE person_id = $1", first.person_id) == 0
    )
    assert await road.persons(dominique()) == [real]
