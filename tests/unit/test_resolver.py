"""The resolver on tables in memory: what one batch decides, and what it asks of the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from dedup.dossier import dossier_ins
from dedup.identity import Candidate, HeldIns, Merge
from dedup.key_function import KeyFunction
from dedup.resolver import Resolution, Resolver, Subject
from ops.runtime.metrics import METRICS
from schemas.decision import Realm, Verdict
from schemas.patient import Traits
from tests.fakes.persons import PersonsInMemory
from tests.support.people import DOMINIQUE_INS, OTHER_INS, dominique

KEYS: Final = KeyFunction(Realm.TEST, b"u" * 32)
AT: Final = datetime(2026, 11, 27, tzinfo=UTC)
NOBODY: Final[Any] = None
"""No connection: the tables are in memory."""


async def resolve(store: PersonsInMemory, *traits: Traits) -> list[Resolution]:
    subjects = [
        Subject(traits=t, keys=KEYS.derive(t), partition=0, offset=n) for n, t in enumerate(traits)
    ]
    return await Resolver(store, KEYS).resolve(NOBODY, subjects, AT)


async def test_a_record_that_loses_its_link_in_the_batch_asks_for_its_wide_keys() -> None:
    """By the tables alone both are the person without an INS; the first one's card parts them."""
    store = PersonsInMemory()
    (known,) = await resolve(store, dominique(ins=()))
    before = METRICS.second_lookups._value.get()
    one, other = await resolve(store, dominique(), dominique(ins=(OTHER_INS,)))
    assert one.person_id == known.person_id
    assert other.person_id != known.person_id
    assert other.decision.verdict is not Verdict.LINK
    assert METRICS.second_lookups._value.get() == before + 1


async def test_a_known_set_of_traits_writes_no_key_and_no_traits() -> None:
    store = PersonsInMemory()
    await resolve(store, dominique())
    keys = {key: list(persons) for key, persons in store.keys.items()}
    written: list[object] = []

    async def write(_connection: Any, **rows: Any) -> None:
        written.append([rows["ins"], rows["aliases"], rows["keys"]])

    store.write_identities = write  # type: ignore[method-assign, assignment]
    (again,) = await resolve(store, dominique())
    assert again.person_version == 2
    assert written == [[[], [], set()]]
    assert store.keys == keys


async def test_versions_grow_by_one_with_each_record_of_a_batch() -> None:
    store = PersonsInMemory()
    found = await resolve(store, dominique(), dominique(), dominique())
    assert [each.person_version for each in found] == [1, 2, 3]


def held(traits: Traits) -> HeldIns:
    keys = KEYS.derive(traits)
    assert keys.ins is not None
    return HeldIns(keys.ins.ins, strict_digest=keys.strict_digest)


def person(traits: Traits) -> Candidate:
    keys = KEYS.derive(traits)
    assert keys.ins is not None
    return Candidate(person_id=1, ins={keys.ins.digest: held(traits)}, aliases={})


def test_a_dossier_opens_for_the_strict_traits_that_came_with_the_ins() -> None:
    someone = person(dominique())
    assert dossier_ins(KEYS.derive(dominique(ins=())), someone) == DOMINIQUE_INS
    moved = dominique(ins=(), address=None, phones=())
    assert dossier_ins(KEYS.derive(moved), someone) == DOMINIQUE_INS


def test_a_dossier_stays_closed_for_what_was_linked_by_likeness() -> None:
    someone = person(dominique())
    for other in (
        dominique(ins=(), birth_family="PAT-TROIX"),
        dominique(ins=(), birth_date="1979-03-29"),
        dominique(ins=(), birth_place=""),
        dominique(ins=(), identity_status="PROV"),
    ):
        assert dossier_ins(KEYS.derive(other), someone) is None


def test_a_dossier_opens_where_a_steward_said_that_two_are_one() -> None:
    someone, other = person(dominique()), KEYS.derive(dominique(ins=(), birth_family="DURAND"))
    (digest,) = someone.ins
    someone.homes = {digest: 1, other.alias_digest: 2}
    assert dossier_ins(other, someone) == DOMINIQUE_INS
    someone.homes = {digest: 1, other.alias_digest: 1}
    assert dossier_ins(other, someone) is None


def test_what_came_since_a_merge_opens_no_dossier() -> None:
    """It came to both as one: no steward has said anything of it."""
    someone, other = person(dominique()), KEYS.derive(dominique(ins=(), birth_family="DURAND"))
    (digest,) = someone.ins
    traits = other.alias_digest

    def opens(owner_of_ins: int, owner_of_traits: int, *known: UUID) -> bool:
        someone.homes = {digest: owner_of_ins, traits: owner_of_traits}
        # 3 was merged into 2, and 2 into 1.
        someone.merges = {
            3: Merge(kept=2, known=frozenset(known)),
            2: Merge(kept=1, known=frozenset(known)),
        }
        return dossier_ins(other, someone) is not None

    assert not opens(3, 1)
    assert not opens(3, 2)
    assert not opens(1, 3)
    assert opens(3, 1, traits)
    assert opens(3, 2, traits)
    assert opens(1, 3, digest)
    assert not opens(1, 3, traits)
