"""The decisions of a batch, in memory: what its records find, learn, and leave to be written. Pure.

Records see each other's persons, in their order, as if each were a batch of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from schemas.decision import MatchDecision, Verdict
from schemas.patient import Ins, Traits

from .decide import Verdicts, decide
from .dossier import dossier_ins
from .guards import SAME_INS_OTHER_TRAITS
from .identity import Alias, Candidate, HeldIns, InsKey, PersonKeys
from .model import Model
from .narrowing import Ways
from .normalize import NORMALISE_VERSION


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose person is asked for."""

    traits: Traits
    keys: PersonKeys
    partition: int
    offset: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A subject with the keys it is asked by, and what is written besides while keys change."""

    subject: Subject
    ways: Ways
    other: PersonKeys | None = None
    """Its keys of the version that is being filled."""
    also: Ways = Ways()
    """The same as they are locked and written; they are never asked."""

    @property
    def all(self) -> tuple[int, ...]:
        """Every key that is locked and written."""
        return self.ways.all + self.also.all


class Known(msgspec.Struct, kw_only=True):
    """What the tables know of the persons under the keys that were asked for."""

    ends: dict[int, int] = msgspec.field(default_factory=dict)
    """Number -> whom it became by merges: mostly itself."""
    under: dict[int, list[int]] = msgspec.field(default_factory=dict)
    """Key -> persons; whoever was merged is replaced by whom they became."""
    persons: dict[int, Candidate] = msgspec.field(default_factory=dict)
    rows: dict[tuple[int, UUID], tuple[int, date]] = msgspec.field(default_factory=dict)
    """(person, digest of an INS or of traits) -> whose row it is (the person's, or somebody's who
    was merged into it), and when it was seen last."""
    verdicts: Verdicts = msgspec.field(default_factory=dict)
    """What stewards said of pairs of these persons."""

    def under_keys(self, keys: Iterable[int]) -> set[int]:
        """Return the persons that the tables have under these keys."""
        return {p for key in keys for p in self.under.get(key, ())}

    def judge(self, subject: Subject, keys: Sequence[int], model: Model) -> MatchDecision:
        """Decide on a record by the tables alone, among the persons under some of its keys."""
        found = [self.persons[p] for p in sorted(self.under_keys(keys))]
        return decide(subject.keys, found, model, self.verdicts)


class InsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A qualified INS to write for a person; `is_former` where another has replaced it."""

    person_id: int
    digest: UUID
    ins: Ins
    strict_digest: UUID
    is_former: bool = False


class AliasRow(msgspec.Struct, frozen=True, kw_only=True):
    """A set of traits to write for a person."""

    person_id: int
    digest: UUID
    alias: Alias


class Unasked(Exception):
    """A record needs its wide keys after all, and they were not asked for."""


class Batch:
    """Decides on the records of a batch in their order; leaves `known` as it is.

    Args:
        known: What was loaded.
        model: Which matcher decides.
        widened: Places of the records whose wide keys were asked for.
        numbers: Unused person numbers, one a record.
        on: Today.
    """

    def __init__(
        self,
        known: Known,
        model: Model,
        *,
        widened: Collection[int],
        numbers: Sequence[int],
        on: date,
    ) -> None:
        self._known = known
        self._model = model
        self._widened = widened
        self._numbers = list(numbers)
        self._on = on
        self._added: dict[int, list[int]] = {}
        self._changed: dict[int, Candidate] = {}
        self.new: dict[int, bool] = {}
        """New persons, and whether they are isolated."""
        self.versions: dict[int, int] = {}
        self.ins_rows: dict[tuple[int, UUID], InsRow] = {}
        self.alias_rows: dict[tuple[int, UUID], AliasRow] = {}
        self.key_rows: set[tuple[int, int]] = set()
        self.gained: set[int] = set()
        """Persons that were known when a qualified INS came, or another one than they had."""

    def take(
        self, place: int, asked: Asked, before: MatchDecision | None
    ) -> tuple[int, MatchDecision]:
        """Decide on a record, and let those behind it see its person.

        Args:
            place: Of the record in the batch.
            asked: The record.
            before: What was decided by the tables alone; it stands where no record of this batch
                touched anybody it could be about.

        Raises:
            Unasked: Its wide keys are needed and were not asked for.
        """
        decision = before if before is not None and self._is_untouched(asked) else None
        if decision is None:
            decision = self._judge(place, asked)
        person_id = decision.person_id
        if person_id is None:
            person_id = self._make(isolated=decision.verdict is Verdict.ISOLATE)
        self._learn(person_id, asked, decision)
        return person_id, decision

    def next_version(self, person_id: int, held: int) -> int:
        """Return the person's next version; `held` is what its row says."""
        version = self.versions[person_id] = self.versions.get(person_id, held) + 1
        return version

    def dossier_ins(self, subject: Subject, person_id: int) -> Ins | None:
        """Return the INS under which a record may enter a dossier."""
        return dossier_ins(subject.keys, self._person(person_id))

    # ------------------------------------------------------------------ parts

    def _judge(self, place: int, asked: Asked) -> MatchDecision:
        decision = self._decide(asked, asked.ways.tight)
        if not wants_more(decision) or len(asked.ways.all) == len(asked.ways.tight):
            return decision
        if place not in self._widened:
            raise Unasked
        return self._decide(asked, asked.ways.all)

    def _decide(self, asked: Asked, keys: Sequence[int]) -> MatchDecision:
        found = self._candidates(keys)
        return decide(asked.subject.keys, found, self._model, self._known.verdicts)

    def _is_untouched(self, asked: Asked) -> bool:
        if not self._added and not self._changed:
            return True
        if any(key in self._added for key in asked.ways.all):
            return False
        under, changed = self._known.under, self._changed
        return not any(p in changed for key in asked.ways.all for p in under.get(key, ()))

    def _person(self, person_id: int) -> Candidate:
        found = self._changed.get(person_id)
        return self._known.persons[person_id] if found is None else found

    def _candidates(self, keys: Sequence[int]) -> list[Candidate]:
        numbers = self._known.under_keys(keys)
        numbers |= {p for key in keys for p in self._added.get(key, ())}
        return [self._person(p) for p in sorted(numbers)]

    def _make(self, *, isolated: bool) -> int:
        person_id = self._numbers.pop(0)
        self.new[person_id] = isolated
        self._changed[person_id] = Candidate(
            person_id=person_id, ins={}, aliases={}, isolated=isolated
        )
        return person_id

    def _open(self, person_id: int) -> Candidate:
        """Return a person that may be changed: a copy of what was loaded."""
        found = self._changed.get(person_id)
        if found is None:
            held = self._known.persons[person_id]
            found = self._changed[person_id] = msgspec.structs.replace(
                held, ins=dict(held.ins), aliases=dict(held.aliases)
            )
        return found

    def _learn(self, person_id: int, asked: Asked, decision: MatchDecision) -> None:
        keys = asked.subject.keys
        numbers = _numbers(asked)
        if attaches(decision):
            for each in _declared(keys):
                self._learn_ins(person_id, each, keys, numbers[each.digest])
        if self._see(person_id, keys.alias_digest):
            self.alias_rows[person_id, keys.alias_digest] = AliasRow(
                person_id=self._row_of(person_id, keys.alias_digest),
                digest=keys.alias_digest,
                alias=alias_of(asked.subject),
            )
        if keys.alias_digest not in self._person(person_id).aliases:
            self._open(person_id).aliases[keys.alias_digest] = keys.identity
            of_ins = {key for each in numbers.values() for key in each}
            self._lead(person_id, [k for k in asked.all if k not in of_ins])

    def _learn_ins(
        self, person_id: int, key: InsKey, keys: PersonKeys, numbers: Sequence[int]
    ) -> None:
        person = self._person(person_id)
        held = person.ins.get(key.digest)
        is_former = key is not keys.ins or (held is not None and held.is_former)
        now = HeldIns(ins=key.ins, is_former=is_former, strict_digest=keys.strict_digest)
        # Other strict traits beside the number let other reports of the person into its dossier.
        if person_id not in self.new and (
            held is None or is_former > held.is_former or held.strict_digest != keys.strict_digest
        ):
            self.gained.add(person_id)
        if held is None:
            self._lead(person_id, numbers)
        if held == now and not self._see(person_id, key.digest):
            return
        self._open(person_id).ins[key.digest] = now
        self.ins_rows[person_id, key.digest] = InsRow(
            person_id=self._row_of(person_id, key.digest),
            digest=key.digest,
            ins=key.ins,
            strict_digest=keys.strict_digest,
            is_former=is_former,
        )

    def _lead(self, person_id: int, keys: Sequence[int]) -> None:
        for key in keys:
            added = self._added.setdefault(key, [])
            if person_id not in added:
                added.append(person_id)
                if person_id not in self._known.under.get(key, ()):
                    self.key_rows.add((key, person_id))

    def _see(self, person_id: int, digest: UUID) -> bool:
        """Say whether a row must be written: new, or last seen before today."""
        row = self._known.rows.get((person_id, digest))
        return row is None or row[1] < self._on

    def _row_of(self, person_id: int, digest: UUID) -> int:
        row = self._known.rows.get((person_id, digest))
        return person_id if row is None else row[0]


def wants_more(decision: MatchDecision) -> bool:
    """Say whether the wide keys are asked: the tight ones gave no link."""
    return decision.verdict not in {Verdict.LINK, Verdict.ISOLATE}


def attaches(decision: MatchDecision) -> bool:
    """Say whether the record's INS becomes the person's.

    Not where it belongs to another person by what is known: it must neither open the dossier of its
    owner nor pull later records over.
    """
    return decision.guard != SAME_INS_OTHER_TRAITS


def alias_of(subject: Subject) -> Alias:
    """Return a record's traits as they are kept: as received, for a steward, and folded."""
    return Alias(
        traits=subject.traits,
        identity=subject.keys.identity,
        normalise_version=NORMALISE_VERSION,
    )


def _declared(keys: PersonKeys) -> tuple[InsKey, ...]:
    if keys.ins is None:
        return ()
    return (keys.ins, *keys.former_ins)


def _numbers(asked: Asked) -> dict[UUID, list[int]]:
    """Return the keys of each INS that a record declares, of all versions in use."""
    found: dict[UUID, list[int]] = {}
    for keys in (asked.subject.keys, asked.other):
        if keys is not None:
            for each in _declared(keys):
                found.setdefault(each.digest, []).append(each.key)
    return found
