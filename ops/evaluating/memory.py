"""Persons in memory: the engine without a database, for training, tuning and benchmarks.

The same derivation, the same verdicts and the same order of looking as the resolver: tight keys
first, wide ones where no link was found. Nothing is bounded but the candidates of one look-up; the
hub never runs this.
"""

from __future__ import annotations

from typing import Final

from dedup.decide import decide
from dedup.guards import SAME_INS_OTHER_TRAITS
from dedup.identity import Candidate, HeldIns, PersonKeys
from dedup.keys import derive
from dedup.model import Model
from schemas.decision import MatchDecision, Realm, Verdict
from schemas.patient import Traits

CANDIDATE_CAP: Final = 300
"""Persons of one key that are looked at, as in the resolver."""
_SECRET: Final = b"evaluation only: nothing is kept"


class MemoryPersons:
    """Finds or makes the person of each record.

    Args:
        model: Of the matcher.
        realm: Of the run.
    """

    def __init__(self, model: Model, realm: Realm = Realm.TEST) -> None:
        self._model = model
        self._realm = realm
        self._persons: dict[int, Candidate] = {}
        self._under: dict[int, int | list[int]] = {}
        self.capped = 0
        """Look-ups that were cut."""

    def __len__(self) -> int:
        """Return the number of persons."""
        return len(self._persons)

    def take(self, traits: Traits) -> tuple[int, MatchDecision]:
        """Return the person of a record and the decision, and learn from it."""
        keys = derive(traits, self._realm, _SECRET, self._model)
        decision = decide(keys, self._candidates(keys.tight), self._model)
        if decision.person_id is None and keys.wide:
            decision = decide(keys, self._candidates(keys.blocking), self._model)
        person_id = decision.person_id
        if person_id is None:
            person_id = len(self._persons) + 1
            self._persons[person_id] = Candidate(
                person_id=person_id,
                ins={},
                aliases={},
                isolated=decision.verdict is Verdict.ISOLATE,
            )
        self._learn(person_id, keys, decision)
        return person_id, decision

    def person(self, person_id: int) -> Candidate:
        """Return what is known of a person."""
        return self._persons[person_id]

    def _candidates(self, keys: tuple[int, ...]) -> list[Candidate]:
        numbers: set[int] = set()
        for key in keys:
            found = self._under.get(key)
            if found is None:
                continue
            if isinstance(found, int):
                numbers.add(found)
                continue
            if len(found) > CANDIDATE_CAP:
                self.capped += 1
                found = found[:CANDIDATE_CAP]
            numbers.update(found)
        return [self._persons[number] for number in sorted(numbers)]

    def _learn(self, person_id: int, keys: PersonKeys, decision: MatchDecision) -> None:
        person = self._persons[person_id]
        person.aliases.setdefault(keys.alias_digest, keys.identity)
        numbers = (*keys.former_ins, *([keys.ins] if keys.ins is not None else ()))
        contested: set[int] = set()
        if decision.guard == SAME_INS_OTHER_TRAITS:
            contested = {number.key for number in numbers}
        else:
            for number in numbers:
                held = HeldIns(number.ins, number is not keys.ins)
                person.ins[number.digest] = held
        for key in keys.blocking:
            if key not in contested:
                self._keep(key, person_id)

    def _keep(self, key: int, person_id: int) -> None:
        found = self._under.get(key)
        if found is None:
            self._under[key] = person_id
        elif isinstance(found, int):
            if found != person_id:
                self._under[key] = [found, person_id]
        elif person_id not in found[-CANDIDATE_CAP:]:
            found.append(person_id)
