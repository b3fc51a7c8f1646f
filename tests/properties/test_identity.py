"""The matcher's laws: normalise twice = once, symmetric scores, decisions that replay equal."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup.compare import compare
from dedup.decide import decide
from dedup.explain import explain
from dedup.guards import PAIR_GUARDS, stopped_by_traits
from dedup.identity import Candidate, HeldIns, Identity
from dedup.keys import derive
from dedup.levels import LEVELS
from dedup.model import Model, load_model
from dedup.normalize import as_traits, normalise
from dedup.score import total_of, weigh
from schemas.decision import MatchDecision, Realm, Verdict
from schemas.patient import Address, Ins, Traits

SECRET: Final = b"k" * 32
MODELS: Final = (load_model("fr"), load_model("generic").for_population(1_000))

# Few values, so that records often agree; and any text, so that nothing is taken for granted.
_any = st.text(max_size=30)
_family = st.sampled_from(["DURAND", "Durand", "DURANT", "MARTIN", "LE GUEN", "X", ""]) | _any
_given = st.sampled_from(["JEANNE", "JEANE", "MARIE", "MARTINE", "BEBE", "J", ""]) | _any
_date = (
    st.sampled_from(["1984-05-17", "1984-05-18", "1984-01-01", "1984", "1985-06", ""])
    | st.dates().map(str)
    | st.text(max_size=12)
)
_place = st.sampled_from(["63220", "63113", "75056", "99352", "99999", ""]) | _any
_phone = st.sampled_from(["0639980001", "+33639980001", "0199000001", "0000000000"]) | _any
_ins = st.sampled_from([
    Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.10"),
    Ins(matricule="186022A21532523", oid="1.2.250.1.213.1.4.10"),
    Ins(matricule="279035121518989", oid="1.2.250.1.213.1.4.8"),
])  # fmt: skip

_line = st.sampled_from(["12 RUE DU MOULIN", "12 bis r du moulin"]) | _any
addresses = st.builds(
    Address,
    lines=st.lists(
        st.sampled_from(["12 RUE DU MOULIN", "12 bis r du moulin"]) | _any, max_size=3
    ).map(tuple),
    city=st.sampled_from(["PARIS", "Paris 12e", "ST DENIS"]) | _any,
    postcode=st.sampled_from(["63000", "75012", "F-75012"]) | _any,
    commune=_place,
    state=_any,
)
traits = st.builds(
    Traits,
    ins=st.lists(_ins, max_size=2).map(tuple),
    identity_status=st.sampled_from(["VALI", "PROV", "DOUT", ""]),
    birth_family=_family,
    birth_given=_given,
    birth_givens=st.lists(_given, max_size=4).map(tuple),
    used_family=_family,
    used_given=_given,
    birth_date=_date,
    sex=st.sampled_from(["M", "F", "U", ""]) | _any,
    birth_place=_place,
    address=st.none() | addresses,
    phones=st.lists(_phone, max_size=3).map(tuple),
    emails=st.lists(st.emails() | _any, max_size=2).map(tuple),
)
_calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_calm
@given(traits)
def test_normalising_twice_is_normalising_once(record: Traits) -> None:
    once = normalise(record)
    assert normalise(as_traits(once)) == once
    assert normalise(record) == once


@_calm
@given(traits)
def test_an_identity_survives_being_written_down(record: Traits) -> None:
    found = normalise(record)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Identity) == found


@_calm
@given(traits, traits)
def test_score_and_guards_are_symmetric(one: Traits, other: Traits) -> None:
    mine, theirs = normalise(one), normalise(other)
    levels = compare(mine, theirs)
    assert levels == compare(theirs, mine)
    assert all(0 <= level < len(LEVELS[field][1]) for field, level in enumerate(levels))
    for model in MODELS:
        weights = weigh(levels, mine, theirs, model)
        assert weights == weigh(levels, theirs, mine, model)
        assert sum(weights) - model.prior == total_of(weights, model)
        assert stopped_by_traits(levels, mine, theirs, model) == stopped_by_traits(
            levels, theirs, mine, model
        )
    for name, guard in PAIR_GUARDS:
        assert guard(levels, mine, theirs, MODELS[0]) == guard(levels, theirs, mine, MODELS[0]), (
            name
        )


@_calm
@given(traits)
def test_one_agrees_with_oneself(record: Traits) -> None:
    mine = normalise(record)
    levels = compare(mine, mine)
    worst = {"different", "apart", "two_digits", "one_digit", "near", "similar"}
    assert not {LEVELS[field][1][level] for field, level in enumerate(levels)} & worst


def _persons(records: list[Traits]) -> list[Candidate]:
    persons = []
    for number, record in enumerate(records, 1):
        keys = derive(record, Realm.TEST, SECRET)
        ins = {keys.ins.digest: HeldIns(keys.ins.ins)} if keys.ins else {}
        persons.append(
            Candidate(
                person_id=number,
                ins=ins,
                aliases={keys.alias_digest: keys.identity},
                isolated=bool(keys.isolation),
            )
        )
    return persons


@_calm
@given(
    traits,
    st.lists(traits, max_size=5),
    st.dictionaries(
        st.sampled_from([(1, 2), (1, 3), (2, 3)]), st.sampled_from(["different", "same", "later"])
    ),
    st.sampled_from(MODELS),
    st.randoms(use_true_random=False),
)
def test_any_decision_replays_equal(
    record: Traits,
    known: list[Traits],
    verdicts: dict[tuple[int, int], str],
    model: Model,
    rng: Random,
) -> None:
    keys = derive(record, Realm.TEST, SECRET, model)
    persons = _persons(known)
    found = decide(keys, persons, model, verdicts)
    again = _persons(known)
    rng.shuffle(again)
    replayed = decide(derive(record, Realm.TEST, SECRET, model), again, model, dict(verdicts))
    assert replayed == found
    assert msgspec.json.encode(replayed) == msgspec.json.encode(found)
    written = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=MatchDecision)
    assert written == found
    _holds(found, persons, isolated=bool(keys.isolation))
    explain(found, model)


def _holds(found: MatchDecision, persons: list[Candidate], isolated: bool) -> None:
    """Whatever was decided: a link is to somebody who may be linked to, and only a link is."""
    assert (found.verdict is Verdict.LINK) == (found.person_id is not None)
    assert (found.verdict is Verdict.ISOLATE) == isolated
    open_ones = {p.person_id for p in persons if not p.isolated}
    if found.person_id is not None:
        assert found.person_id in open_ones
        about = [c for c in found.candidates if c.person_id == found.person_id]
        # The same INS goes before the guards of a pair (JEANE, JEANNE: both are names).
        by_ins = found.rule in {"same_ins", "declared_history"}
        assert by_ins or [c.guard for c in about] == [""]
    if found.verdict is Verdict.REVIEW:
        assert found.contradicts in open_ones
    assert found.person_id not in {found.contradicts, found.possible_duplicate} - {None}
