"""Deciding again between two persons, by the same pure function as in the stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from dedup.decide import decide
from dedup.identity import Candidate, HeldIns, InsKey, PersonKeys
from dedup.model import SERVICE_MODEL, load_model
from dedup.review import Came, Pointers, Rows, Side
from dedup.store import DedupStore
from ops.runtime.postgres import Connection
from ops.sources import ReportRow, Sources, Told
from schemas.decision import Verdict
from schemas.patient import Traits


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be decided again: a report's record, or traits that came without one."""

    report_id: UUID | None = None
    came: Came | None = None
    """None where it can be read no more: then it `stays` where it stood."""
    stays: Side = Side.KEPT
    keys: PersonKeys | None = None


class Keeper:
    """Says which keys are kept for a record: of every version in use, and beside what is hot.

    Args:
        store: Says what is hot.
        sources: Derives keys.
        connection: Of the transaction that holds the persons.
        versions: Of the key function, that are in use.
        at: Now.
    """

    def __init__(
        self,
        store: DedupStore,
        sources: Sources,
        connection: Connection,
        *,
        versions: tuple[int, ...],
        at: datetime,
    ) -> None:
        self._store = store
        self.sources = sources
        self._connection = connection
        self._versions = versions
        self._at = at

    @classmethod
    async def of(
        cls, store: DedupStore, sources: Sources, connection: Connection, at: datetime
    ) -> Keeper:
        """Read which versions are in use; they stay so until the transaction ends."""
        versions = (await store.key_versions(connection)).all
        return cls(store, sources, connection, versions=versions, at=at)

    async def came(self, place: tuple[int, int] | None, traits: Traits, keys: PersonKeys) -> Came:
        """Return what a record taught."""
        plain = self.sources.all_keys_of(traits, self._versions, frozenset())
        hot = await self._store.hot_of(self._connection, sorted(plain), self._at)
        return Came(
            place=place,
            alias=keys.alias_digest,
            keys=self.sources.all_keys_of(traits, self._versions, hot) if hot else plain,
            numbers={number.digest: number.key for number in numbers_of(keys)},
        )


async def subject_of_record(
    keeper: Keeper, row: ReportRow, told: Told | None, *, of_gone: bool
) -> Subject:
    """Return a report's current version as a subject."""
    stays = Side.GONE if of_gone else Side.KEPT
    if told is None:
        return Subject(report_id=row.report_id, stays=stays)
    return Subject(
        report_id=row.report_id,
        came=await keeper.came(row.place, told.message.traits, told.keys),
        stays=stays,
        keys=told.keys,
    )


async def subject_of_alias(keeper: Keeper, traits: Traits | None) -> Subject:
    """Return a set of traits of which no record is at hand as a subject."""
    if traits is None:
        return Subject()
    keys = keeper.sources.keys_of(traits)
    return Subject(came=await keeper.came(None, traits, keys), keys=keys)


class Bench:
    """Two persons as they were before they were merged, and what they have learnt again since.

    Args:
        kept: Whom the other was merged into.
        gone: The other.
    """

    def __init__(self, kept: Candidate, gone: Candidate) -> None:
        self._kept = kept
        self._gone = gone

    @classmethod
    async def of(
        cls,
        store: DedupStore,
        connection: Connection,
        *,
        kept: int,
        gone: int,
        below: Collection[int],
        gained: Mapping[int, Rows],
        pointers: Pointers,
    ) -> Bench:
        """Read the two from the tables.

        Args:
            store: The tables.
            connection: Holds all of them.
            kept: The end.
            gone: Who parts.
            below: Who parts with it.
            gained: What each person on the way learnt since: left out.
            pointers: Everybody, as they stand.
        """
        alone = await store.each_alone(connection, pointers.into)
        for person, rows in gained.items():
            for alias in rows.aliases:
                alone[person].aliases.pop(alias, None)
            for ins in rows.ins:
                alone[person].ins.pop(ins, None)
        sides = {kept: set(pointers.into) - set(below), gone: set(below)}
        both = [
            Candidate(
                person_id=end,
                ins={d: ins for each in sorted(members) for d, ins in alone[each].ins.items()},
                aliases={
                    d: alias for each in sorted(members) for d, alias in alone[each].aliases.items()
                },
            )
            for end, members in sides.items()
        ]
        return cls(both[0], both[1])

    def judge(self, subject: Subject) -> Side:
        """Say whose a subject is."""
        assert subject.keys is not None
        pair = sorted((self._kept, self._gone), key=lambda each: each.person_id)
        decision = decide(subject.keys, pair, load_model(SERVICE_MODEL))
        if decision.verdict is not Verdict.LINK:
            return Side.NEITHER
        return Side.KEPT if decision.person_id == self._kept.person_id else Side.GONE

    def learn(self, subject: Subject, side: Side) -> None:
        """Let those who come later see a subject with its person."""
        if side is Side.NEITHER:
            return
        assert subject.keys is not None
        person, other = (self._kept, self._gone) if side is Side.KEPT else (self._gone, self._kept)
        person.aliases[subject.keys.alias_digest] = subject.keys.identity
        for number in numbers_of(subject.keys):
            if number.digest not in other.ins:
                is_former = number is not subject.keys.ins
                person.ins.setdefault(number.digest, HeldIns(number.ins, is_former))


def numbers_of(keys: PersonKeys) -> tuple[InsKey, ...]:
    """Return the qualified INS of a record, those it declares as former first."""
    return (*keys.former_ins, *([keys.ins] if keys.ins is not None else ()))
