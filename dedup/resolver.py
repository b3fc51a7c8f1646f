"""Candidates, decision, link: for each record of a batch, the person it is about.

Records of one batch see each other's persons, in their order, as if each were a batch of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from ops.runtime.failpoints import hit
from ops.runtime.metrics import METRICS
from ops.runtime.postgres import Connection
from schemas.decision import MatchDecision, Verdict
from schemas.errors import pure_step
from schemas.patient import Ins, Traits

from .decide import decide
from .guards import SAME_INS_OTHER_TRAITS
from .identity import Alias, Candidate, HeldIns, InsKey, PersonKeys
from .model import SERVICE_MODEL, Model, load_model
from .normalize import NORMALISE_VERSION
from .store import AliasRow, DedupStore, InsRow, LinkRow


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose person is asked for."""

    traits: Traits
    keys: PersonKeys
    partition: int
    offset: int


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """Who a record is about."""

    person_id: int
    person_version: int
    """Grows by one with every message about the person."""
    decision: MatchDecision
    qualified_ins: Ins | None
    """INS under which this record may enter a dossier: the record's own, or the person's where the
    laboratory had validated the identity and all strict traits agree; else None."""


class Resolver:
    """Finds or makes the persons of a batch.

    Args:
        store: The tables, on the batch's own connection.
        model: Which matcher decides; that of the service where none is given.
    """

    def __init__(self, store: DedupStore, model: Model | None = None) -> None:
        self._store = store
        self._model = model or load_model(SERVICE_MODEL)

    async def resolve(
        self, connection: Connection, subjects: Sequence[Subject], at: datetime
    ) -> list[Resolution]:
        """Return the person of each subject, in their order, and write what was decided.

        Takes the locks of all keys of the batch, then looks up in a later statement: two first
        results of one new person, wherever they are handled, make one person.
        """
        keys = {key for subject in subjects for key in subject.keys.blocking}
        await self._store.lock_keys(connection, keys)
        hit("dispatch.after_locks")
        under, persons = await self._store.look_up(connection, keys)
        hit("dispatch.after_lookup")
        batch = _Batch(under, persons, self._model)
        numbers = await self._store.new_numbers(connection, len(subjects))
        with pure_step():
            decided = [batch.take(subject, numbers) for subject in subjects]
        versions = await self._store.lock_persons(
            connection, {p for p, _ in decided if p not in batch.new}
        )
        resolutions = [
            batch.resolution(subject, person_id, decision, versions)
            for subject, (person_id, decision) in zip(subjects, decided, strict=True)
        ]
        await self._write(connection, batch, versions, at)
        await self._write_links(connection, subjects, resolutions, at)
        return resolutions

    async def _write(
        self,
        connection: Connection,
        batch: _Batch,
        versions: dict[int, int],
        at: datetime,
    ) -> None:
        await self._store.write_persons(
            connection,
            new=[(p, batch.versions[p], isolated) for p, isolated in batch.new.items()],
            versions={p: batch.versions[p] for p in versions},
            at=at,
        )
        await self._store.write_identities(
            connection,
            ins=list(batch.ins_rows.values()),
            aliases=list(batch.alias_rows.values()),
            keys=batch.key_rows,
            on=at.date(),
        )

    async def _write_links(
        self,
        connection: Connection,
        subjects: Sequence[Subject],
        resolutions: Sequence[Resolution],
        at: datetime,
    ) -> None:
        links = [
            LinkRow(
                person_id=resolution.person_id,
                partition=subject.partition,
                offset=subject.offset,
                alias_digest=subject.keys.alias_digest,
                decision=resolution.decision,
            )
            for subject, resolution in zip(subjects, resolutions, strict=True)
        ]
        await self._store.write_links(connection, links, at)
        taken = Counter((r.decision.verdict, r.decision.rule) for r in resolutions)
        for (verdict, rule), n in taken.items():
            METRICS.decisions.labels(verdict.value, rule).inc(n)


class _Batch:
    """What is known of persons while a batch is decided, and what is to be written for it."""

    def __init__(
        self, under: dict[int, list[int]], persons: dict[int, Candidate], model: Model
    ) -> None:
        self._under = under
        self._persons = persons
        self._model = model
        self.new: dict[int, bool] = {}
        self.versions: dict[int, int] = {}
        self.ins_rows: dict[tuple[int, UUID], InsRow] = {}
        self.alias_rows: dict[tuple[int, UUID], AliasRow] = {}
        self.key_rows: set[tuple[int, int]] = set()

    def take(self, subject: Subject, numbers: list[int]) -> tuple[int, MatchDecision]:
        """Decide on a subject, and let those behind it see its person."""
        keys = subject.keys
        decision = decide(keys, self._candidates(keys.tight), self._model)
        if decision.person_id is None and keys.wide:
            decision = decide(keys, self._candidates(keys.blocking), self._model)
        person_id = decision.person_id
        if person_id is None:
            person_id = self._make(numbers, isolated=decision.verdict is Verdict.ISOLATE)
        self._learn(person_id, subject, decision)
        return person_id, decision

    def resolution(
        self,
        subject: Subject,
        person_id: int,
        decision: MatchDecision,
        versions: dict[int, int],
    ) -> Resolution:
        """Give the resolution, with the person's next version."""
        held = self.versions.get(person_id, versions.get(person_id, 0))
        version = self.versions[person_id] = held + 1
        return Resolution(
            person_id=person_id,
            person_version=version,
            decision=decision,
            qualified_ins=self._dossier_ins(subject, person_id),
        )

    def _candidates(self, keys: tuple[int, ...]) -> list[Candidate]:
        numbers = {p for key in keys for p in self._under.get(key, ())}
        return [self._persons[p] for p in sorted(numbers)]

    def _make(self, numbers: list[int], *, isolated: bool) -> int:
        person_id = numbers.pop(0)
        self.new[person_id] = isolated
        self._persons[person_id] = Candidate(
            person_id=person_id, ins={}, aliases={}, isolated=isolated
        )
        return person_id

    def _learn(self, person_id: int, subject: Subject, decision: MatchDecision) -> None:
        person, keys = self._persons[person_id], subject.keys
        person.aliases[keys.alias_digest] = keys.identity
        self.alias_rows[person_id, keys.alias_digest] = AliasRow(
            person_id=person_id,
            digest=keys.alias_digest,
            alias=Alias(subject.traits, keys.identity, NORMALISE_VERSION),
        )
        numbers = (*keys.former_ins, *([keys.ins] if keys.ins is not None else ()))
        contested: set[int] = set()
        if _is_contested(decision):
            # The number is somebody else's: it must not lead here.
            contested = {number.key for number in numbers}
        else:
            for number in numbers:
                self._attach(person_id, number, is_former=number is not keys.ins)
        for key in keys.blocking:
            if key in contested:
                continue
            known = self._under.setdefault(key, [])
            if person_id not in known:
                known.append(person_id)
                self.key_rows.add((key, person_id))

    def _attach(self, person_id: int, number: InsKey, *, is_former: bool) -> None:
        self._persons[person_id].ins[number.digest] = HeldIns(number.ins, is_former)
        self.ins_rows[person_id, number.digest] = InsRow(
            person_id=person_id, digest=number.digest, ins=number.ins
        )

    def _dossier_ins(self, subject: Subject, person_id: int) -> Ins | None:
        person, keys = self._persons[person_id], subject.keys
        if keys.ins is not None:
            return keys.ins.ins if keys.ins.digest in person.ins else None
        if keys.is_validated and keys.is_strict and len(person.ins) == 1:
            return next(iter(person.ins.values())).ins
        return None


def _is_contested(decision: MatchDecision) -> bool:
    """Say whether the record's INS belongs to another person by what is known."""
    return decision.guard == SAME_INS_OTHER_TRAITS
