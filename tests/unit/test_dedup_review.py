"""What a verdict leads to, what goes where at an unmerge, and how many questions are asked."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.identity import Candidate
from dedup.keys import derive
from dedup.levels import FIELDS
from dedup.model import load_model
from dedup.queue import ItemKind, Priority, ReviewBudget, items_of, priority_of
from dedup.review import (
    Action,
    Came,
    PairVerdict,
    Pointers,
    Rows,
    Side,
    action_of,
    check_no_other_verdict,
    kept_of,
    pair_of,
    rows_of,
    sides_of,
    taken_from,
)
from dedup.sides import compare_persons, shown
from schemas.decision import CandidateEvidence, MatchDecision, Realm, Verdict
from schemas.errors import PermanentError
from tests.support.people import dominique

A, B, C = UUID(int=1), UUID(int=2), UUID(int=3)
#   1 <- 2 <- 4, 1 <- 3; 5 alone
POINTERS = Pointers(into={1: None, 2: 1, 3: 1, 4: 2, 5: None})


def test_pointers_are_followed_up_and_down() -> None:
    assert POINTERS.way_of(4) == [4, 2, 1]
    assert [POINTERS.end_of(each) for each in (1, 2, 3, 4, 5)] == [1, 1, 1, 1, 5]
    assert POINTERS.below(2) == {2, 4}
    assert POINTERS.below(1) == {1, 2, 3, 4}


def test_one_pointer_between_two_is_the_merge_to_undo() -> None:
    assert POINTERS.between(4, 2) == [4]
    assert POINTERS.between(1, 3) == [3]
    assert sorted(POINTERS.between(4, 3)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("verdict", "joined", "action"),
    [
        (PairVerdict.SAME, False, Action.MERGE),
        (PairVerdict.SAME, True, Action.NOTE),
        (PairVerdict.DIFFERENT, True, Action.UNMERGE),
        (PairVerdict.DIFFERENT, False, Action.NOTE),
        (PairVerdict.LATER, True, Action.NOTE),
        (PairVerdict.LATER, False, Action.NOTE),
    ],
)
def test_what_a_verdict_asks_for(verdict: PairVerdict, joined: bool, action: Action) -> None:
    assert action_of(verdict, joined=joined) is action


def test_the_older_is_kept_whoever_is_named_first() -> None:
    assert kept_of(7, 3) == kept_of(3, 7) == (3, 7)
    assert pair_of(7, 3) == (3, 7)
    with pytest.raises(PermanentError, match="same_person"):
        pair_of(3, 3)


def test_two_who_differ_are_not_joined_through_others() -> None:
    check_no_other_verdict((1, 5), {(1, 5): "different", (2, 3): "different"}, POINTERS)
    check_no_other_verdict((1, 5), {(4, 5): "same", (3, 5): "later"}, POINTERS)
    with pytest.raises(PermanentError, match="verdicts_contradict"):
        check_no_other_verdict((1, 5), {(4, 5): "different"}, POINTERS)


def test_what_moves_is_what_was_gained_and_nobody_else_needs() -> None:
    kept = Came(place=(0, 1), alias=A, keys=frozenset({1, 2}))
    gone = Came(place=(0, 2), alias=B, keys=frozenset({2, 3, 9}), numbers={C: 9})
    gained = Rows(aliases=frozenset({A, B}), ins=frozenset({C}), keys=frozenset({2, 3, 9}))
    moved = rows_of([gone], gained.ins)
    stays = rows_of([kept], gained.ins)
    assert taken_from(gained, moved, stays) == Rows(
        aliases=frozenset({B}), ins=frozenset({C}), keys=frozenset({3, 9})
    )


def test_anothers_number_leads_nobody() -> None:
    came = Came(place=None, alias=A, keys=frozenset({1, 9}), numbers={C: 9})
    assert rows_of([came], ()) == Rows(aliases=frozenset({A}), keys=frozenset({1}))


def test_each_is_judged_with_what_those_before_it_taught() -> None:
    came = [Came(place=None, alias=alias, keys=frozenset()) for alias in (A, B, C)]
    learnt: list[tuple[int, Side]] = []
    sides = sides_of(
        came,
        lambda at: Side.GONE if len(learnt) == at == 1 else Side.KEPT,
        lambda at, side: learnt.append((at, side)),
    )
    assert sides == [Side.KEPT, Side.GONE, Side.KEPT]
    assert learnt == list(enumerate(sides))


# ---------------------------------------------------------------- questions


def decision(**changes: object) -> MatchDecision:
    values: dict[str, object] = {
        "verdict": Verdict.REVIEW,
        "person_id": None,
        "rule": "new",
        "model_version": "fr-1",
    }
    return MatchDecision(**{**values, **changes})  # type: ignore[arg-type]


def test_a_contradicting_ins_goes_before_all_and_a_duplicate_behind() -> None:
    evidence = (CandidateEvidence(7, A, (), (), -1_500, "same_ins_other_traits"),)
    items = items_of(
        decision(
            guard="same_ins_other_traits", contradicts=7, possible_duplicate=9, candidates=evidence
        )
    )
    assert [(i.other_person_id, i.priority, i.kind, i.bits) for i in items] == [
        (7, Priority.FIRST, ItemKind.INS, -1_500),
        (9, Priority.LAST, ItemKind.DUPLICATE, None),
    ]
    assert items_of(decision(verdict=Verdict.NEW)) == []
    assert priority_of("score") == Priority.SECOND


def test_one_person_is_asked_about_once() -> None:
    items = items_of(decision(guard="score", contradicts=7, possible_duplicate=7))
    assert [(i.other_person_id, i.guard) for i in items] == [(7, "score")]


@given(
    share=st.floats(0.001, 1),
    burst=st.integers(1, 50),
    records=st.lists(st.lists(st.sampled_from(Priority.ALL), max_size=3), max_size=200),
)
def test_never_more_than_the_share_and_the_burst(
    share: float, burst: int, records: list[list[int]]
) -> None:
    budget = ReviewBudget(share, burst)
    opened = 0
    for asked in records:
        budget.pay_in(1)
        opened += sum(budget.take(priority) for priority in asked)
    assert opened <= share * len(records) + burst + 1e-6


def test_the_last_of_it_is_kept_for_the_urgent() -> None:
    budget = ReviewBudget(0.0001, 8)
    taken = [sum(budget.take(priority) for _ in range(8)) for priority in (3, 2, 1)]
    assert taken == [4, 2, 2]


# ---------------------------------------------------------------- both sides


def person(number: int, **changes: object) -> Candidate:
    keys = derive(dominique(**changes), Realm.TEST, b"s" * 32)
    return Candidate(person_id=number, ins={}, aliases={keys.alias_digest: keys.identity})


def test_both_sides_are_weighed_and_values_shown_only_where_they_may_be() -> None:
    model = load_model("fr")
    one, other = person(1), person(2, birth_given="DOMINIC", birth_givens=("DOMINIC",))
    shown = compare_persons(one, other, model, with_values=True)
    masked = compare_persons(one, other, model, with_values=False)
    assert shown is not None and masked is not None
    assert shown.total == pytest.approx(shown.prior + sum(f.bits for f in shown.fields))
    assert {f.one for f in masked.fields} | {f.other for f in masked.fields} == {""}
    given_name = next(f for f in shown.fields if f.field == "given")
    assert (given_name.one, given_name.other) == ("DOMINIQUE", "DOMINIC")
    assert given_name.level != "exact"
    swapped = compare_persons(other, one, model, with_values=False)
    assert swapped is not None and swapped.total == masked.total


def test_every_field_that_is_weighed_can_be_shown() -> None:
    identity = derive(dominique(), Realm.TEST, b"s" * 32).identity
    for name in FIELDS:
        assert isinstance(shown(identity, name), str)


def test_a_person_whose_key_was_destroyed_is_compared_with_nobody() -> None:
    lost = Candidate(person_id=2, ins={}, aliases={A: None})
    assert compare_persons(person(1), lost, load_model("fr"), with_values=True) is None
