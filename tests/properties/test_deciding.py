"""A batch is a bound on work, never on what is decided; and what was decided is read back whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.evidence import pack, unpack
from dedup.key_function import KeyFunction
from dedup.keys import VERSION_BITS
from dedup.narrowing import narrowed, ways
from dedup.persons import Bounds
from dedup.resolver import Resolver, Subject
from ops.simulate.desk import TEST
from ops.simulate.population import Population
from ops.simulate.stream import IdentityStream
from schemas.decision import CandidateEvidence, MatchDecision, Realm, Verdict
from schemas.patient import Traits
from tests.fakes.persons import PersonsInMemory

SECRET: Final = b"p" * 32
KEYS: Final = KeyFunction(Realm.TEST, SECRET)
AT: Final = datetime(2026, 11, 27, tzinfo=UTC)
NOBODY: Final[Any] = None
"""No connection: the tables are in memory."""

# A few people, each with many records, so that records of one batch are about the same persons.
_STREAM: Final = IdentityStream(Population(3, 12, date(2026, 11, 1)), TEST, 120, 4)
RECORDS: Final = [_STREAM.record(n).traits for n in range(120)]


async def resolve(
    store: PersonsInMemory, records: list[Traits], cuts: list[int]
) -> list[tuple[int, MatchDecision]]:
    resolver = Resolver(store, KEYS)
    found: list[tuple[int, MatchDecision]] = []
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(records)}), len(records)]
    for low, high in pairwise(bounds):
        subjects = [
            Subject(traits=t, keys=KEYS.derive(t), partition=0, offset=n)
            for n, t in enumerate(records[low:high], low)
        ]
        found += [
            (each.person_id, each.decision) for each in await resolver.resolve(NOBODY, subjects, AT)
        ]
    return found


def groups(found: list[tuple[int, MatchDecision]]) -> list[int]:
    """Return for each record the first record of the same person."""
    first: dict[int, int] = {}
    return [first.setdefault(person, n) for n, (person, _) in enumerate(found)]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(RECORDS), min_size=1, max_size=25),
    st.lists(st.integers(1, 24), max_size=6),
)
def test_any_cut_into_batches_finds_the_same_persons(
    records: list[Traits], cuts: list[int]
) -> None:
    whole = asyncio.run(resolve(PersonsInMemory(), records, []))
    parts = asyncio.run(resolve(PersonsInMemory(), records, cuts))
    alone = asyncio.run(resolve(PersonsInMemory(), records, list(range(len(records)))))
    assert groups(whole) == groups(parts) == groups(alone)
    said = [[d.verdict, d.rule, d.guard] for _, d in whole]
    assert said == [[d.verdict, d.rule, d.guard] for _, d in alone]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(RECORDS), min_size=1, max_size=40))
def test_the_number_of_statements_does_not_grow_with_the_batch(records: list[Traits]) -> None:
    store = PersonsInMemory()
    asyncio.run(resolve(store, RECORDS[:50], []))
    before = store.statements
    asyncio.run(resolve(store, records, []))
    assert store.statements - before <= 17


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.sampled_from(RECORDS), min_size=5, max_size=30),
    st.lists(st.integers(1, 29), max_size=10),
)
def test_whatever_turns_hot_a_record_that_was_linked_is_linked_again(
    records: list[Traits], cuts: list[int]
) -> None:
    """With a bound of one person a key nearly every key is hot."""
    store = PersonsInMemory(Bounds(key_persons=1))
    asyncio.run(resolve(store, records, cuts))
    second = asyncio.run(resolve(store, records, cuts))
    third = asyncio.run(resolve(store, records, cuts))
    for (one, _), (other, decision) in zip(second, third, strict=True):
        if decision.verdict is Verdict.LINK:
            assert one == other
    assert all(len(persons) <= 31 for persons in store.keys.values())


levels = st.lists(st.integers(0, 9), max_size=13).map(tuple)
weights = st.lists(st.integers(-30_000, 30_000), max_size=13).map(tuple)
candidates = st.builds(
    CandidateEvidence,
    st.integers(1, 2**40),
    st.none() | st.uuids(),
    levels,
    weights,
    st.integers(-(10**6), 10**6),
    st.sampled_from(["", "given_name", "two_qualified_ins"]),
)
numbers = st.none() | st.integers(1, 2**40)
decisions = st.builds(
    MatchDecision,
    verdict=st.sampled_from(Verdict),
    person_id=numbers,
    rule=st.sampled_from(["new", "score", "same_ins"]),
    model_version=st.text(max_size=20),
    guard=st.text(max_size=20),
    candidates=st.lists(candidates, max_size=8).map(tuple),
    contradicts=numbers,
    possible_duplicate=numbers,
    margin=st.none() | st.integers(0, 10**6),
    bridges=st.lists(st.integers(1, 2**40), max_size=3).map(tuple),
)


@given(decisions)
def test_a_decision_is_read_back_bit_for_bit(decision: MatchDecision) -> None:
    assert unpack(pack(decision)) == decision


@given(st.sampled_from(RECORDS), st.data())
def test_hot_keys_are_replaced_and_an_ins_never_is(traits: Traits, data: st.DataObject) -> None:
    keys = KEYS.derive(traits)
    hot = set(data.draw(st.lists(st.sampled_from(keys.blocking or (0,)))))
    own = {keys.ins.key} if keys.ins is not None else set()
    found = ways(keys, hot - own, SECRET)
    assert set(found.tight) | set(found.wide) == set(keys.blocking) - (hot - own)
    expected = {n for key in hot - own for n in narrowed(key, keys.identity, SECRET)}
    assert set(found.narrow) == (expected if keys.blocking else set())
    assert all(key & VERSION_BITS == keys.key_version for key in found.narrow)
