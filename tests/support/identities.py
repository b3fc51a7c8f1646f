"""Records and persons for the tests of the matcher: invented people, test INS numbers only."""

from __future__ import annotations

from typing import Any

from dedup.decide import NO_VERDICTS, Verdicts, decide
from dedup.identity import Candidate, HeldIns, PersonKeys
from dedup.keys import derive
from dedup.model import Model, load_model
from schemas.decision import MatchDecision, Realm
from schemas.patient import Address, Traits

SECRET = b"k" * 32
FR = load_model("fr")
GENERIC = load_model("generic").for_population(10_000)


def somebody(**changes: Any) -> Traits:
    """JEANNE DURAND, without an INS, with what a test changes."""
    traits: dict[str, Any] = {
        "identity_status": "PROV",
        "birth_family": "DURAND",
        "birth_given": "JEANNE",
        "birth_givens": ("JEANNE", "LOUISE"),
        "birth_date": "1984-05-17",
        "sex": "F",
        "birth_place": "63220",
        "address": Address(
            lines=("12 RUE DU MOULIN",), city="CLERMONT-FERRAND", postcode="63000", commune="63113"
        ),
        "phones": ("0639980001",),
    }
    return Traits(**{**traits, **changes})


def named(given: str, **changes: Any) -> Traits:
    """Somebody with another given name, and no further ones."""
    return somebody(birth_given=given, birth_givens=(given,), **changes)


def keys_of(traits: Traits, realm: Realm = Realm.TEST, model: Model = FR) -> PersonKeys:
    """Return the keys of traits."""
    return derive(traits, realm, SECRET, model)


def person(number: int, *known: Traits, realm: Realm = Realm.TEST, **changes: Any) -> Candidate:
    """Return a person who is known by these traits, and by the qualified INS in them."""
    candidate = Candidate(person_id=number, ins={}, aliases={}, **changes)
    for traits in known:
        keys = keys_of(traits, realm)
        candidate.aliases[keys.alias_digest] = keys.identity
        if keys.ins is not None:
            candidate.ins[keys.ins.digest] = HeldIns(keys.ins.ins)
    return candidate


def decided(
    traits: Traits,
    *known: Candidate,
    realm: Realm = Realm.TEST,
    model: Model = FR,
    verdicts: Verdicts = NO_VERDICTS,
) -> MatchDecision:
    """Return the verdict on traits beside these persons."""
    return decide(keys_of(traits, realm, model), known, model, verdicts)
