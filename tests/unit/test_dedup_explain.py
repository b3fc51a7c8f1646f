"""A decision as a waterfall: every bit is accounted for, and no value is shown."""

from __future__ import annotations

import msgspec
import pytest

from dedup.explain import explain
from schemas.errors import PermanentError
from tests.support.identities import FR, GENERIC, decided, named, person, somebody
from tests.support.people import dominique


def test_the_steps_add_up_from_the_prior_to_the_total() -> None:
    found = decided(somebody(), person(7, somebody()), person(9, named("PAUL")))
    told = explain(found, FR)
    assert (told.link, told.review, told.margin) == (FR.link, FR.review, FR.margin)
    assert [w.person_id for w in told.waterfalls] == [7, 9]
    for waterfall in told.waterfalls:
        assert waterfall.start == -FR.prior
        assert waterfall.start + sum(s.weight for s in waterfall.steps) == waterfall.total
        assert waterfall.steps[-1].running == waterfall.total
    best, other = told.waterfalls
    assert best.posterior > 0.99
    assert [(s.field, s.level) for s in best.steps][:2] == [("family", "exact"), ("given", "exact")]
    assert (other.guard, other.act) == ("given_different", "new")


def test_missing_fields_are_no_steps() -> None:
    bare = somebody(address=None, phones=(), birth_place="")
    told = explain(decided(bare, person(7, somebody())), FR)
    fields = {step.field for step in told.waterfalls[0].steps}
    assert fields == {"family", "given", "middle", "birth_date", "sex"}


def test_a_person_whose_traits_are_gone_has_no_steps() -> None:
    held = person(7, dominique())
    held.aliases = dict.fromkeys(held.aliases)
    (waterfall,) = explain(decided(dominique(), held), FR).waterfalls
    assert (waterfall.steps, waterfall.posterior) == ((), 0.0)


def test_it_shows_no_value() -> None:
    told = explain(decided(somebody(), person(7, somebody())), FR)
    text = msgspec.json.encode(told).decode()
    for value in ("DURAND", "JEANNE", "LOUISE", "1984", "63220", "MOULIN", "0639"):
        assert value not in text


def test_another_models_weights_explain_nothing() -> None:
    with pytest.raises(PermanentError, match="model_is_another"):
        explain(decided(somebody(), person(7, somebody())), GENERIC)
